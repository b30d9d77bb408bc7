"""`alexplore evaluate`: a run's exact accuracy on its validation images."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from alexplore.core.boundary import print_error, run_guarded
from alexplore.training.commands.trained import load_trained
from alexplore.training.data import DataError, Preprocess, open_dataset
from alexplore.training.evaluate import evaluate
from alexplore.training.precision import Precision


def evaluate_run() -> int:
    """Print loss, top-1 and top-5."""
    parser = argparse.ArgumentParser(prog="alexplore evaluate")
    parser.add_argument("source", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--ten-crop", action="store_true")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    trained = load_trained(arguments.source, arguments.weights)
    config = trained.config
    if arguments.data:
        config = replace(config, data=replace(config.data, folder=arguments.data))
    dataset = open_dataset(config, trained.device, lambda line: print(line, file=sys.stderr))
    preprocess = Preprocess(config.recipe, config.network.input, dataset, trained.device)
    if arguments.ten_crop and preprocess.stage == config.network.input[1:]:
        print("no resize in the recipe: each of the ten crops is the whole image, or its mirror image", file=sys.stderr)
    result = evaluate(
        trained.model,
        dataset.val,
        preprocess,
        Precision("fp32", trained.device),
        batch_size=config.recipe.batch_size,
        ten_crops=arguments.ten_crop,
    )
    if not result.images:
        raise DataError(f"none of the {len(dataset.val):,} validation images could be read")
    values = result.values(len(dataset.classes))
    if arguments.json:
        print(json.dumps({**values, "images": result.images, "weights": str(trained.weights)}))
        return 0
    crops = "ten crops" if arguments.ten_crop else "the centre" if config.recipe.random_crop else "whole images"
    print(f"{dataset.name}, {result.images:,} validation images, {crops}, {trained.weights.name} weights")
    print(" · ".join(f"{label} {values[key]:.4f}" for key, label in LABELS.items() if key in values))
    return 0


LABELS = {"val/loss": "loss", "val/acc": "top-1", "val/acc5": "top-5"}


if __name__ == "__main__":
    sys.exit(run_guarded(evaluate_run, print_error))
