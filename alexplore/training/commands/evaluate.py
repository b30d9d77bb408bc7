"""`alexplore evaluate`: the exact accuracy of a run on its validation images."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from alexplore.core.boundary import print_data, print_error, print_note, run_guarded
from alexplore.presets.datasets import DATASETS
from alexplore.runs.config import RunConfig
from alexplore.training.commands.load_model import LoadedModel, load_model
from alexplore.training.data import DataError, Dataset, Preprocess, open_dataset
from alexplore.training.data.image_folder import open_test_images
from alexplore.training.evaluate import evaluate
from alexplore.training.precision import Precision

LABELS = {"val/loss": "loss", "val/acc": "top-1", "val/acc5": "top-5"}


def evaluate_run() -> int:
    """Print the loss and the top-1 and top-5 accuracy; return the exit code."""
    parser = argparse.ArgumentParser(prog="alexplore evaluate")
    parser.add_argument("source", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--ten-crop", action="store_true")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    loaded = load_model(arguments.source, arguments.weights)
    config = loaded.config
    if arguments.data:
        config = replace(config, data=replace(config.data, folder=arguments.data))
    dataset = _open_dataset(loaded, config, elsewhere=bool(arguments.data))
    preprocess = Preprocess(config.recipe, config.network.input, dataset, loaded.device)
    if arguments.ten_crop and preprocess.resized_size == config.network.input[1:]:
        print_note("no resize in the recipe: each of the ten crops is the whole image, or its mirror image")
    result = evaluate(
        loaded.model,
        dataset.val,
        preprocess,
        Precision("fp32", loaded.device),
        batch_size=config.recipe.batch_size,
        ten_crops=arguments.ten_crop,
    )
    if not result.images:
        raise DataError(f"none of the {len(dataset.val):,} validation images could be read")
    values = result.values(len(dataset.classes))
    if arguments.json:
        print_data(json.dumps({**values, "images": result.images, "weights": str(loaded.weights)}))
        return 0
    crops = "ten crops" if arguments.ten_crop else "the centre" if config.recipe.random_crop else "whole images"
    print_data(f"{dataset.name}, {result.images:,} validation images, {crops}, {loaded.weights.name} weights")
    print_data(" · ".join(f"{label} {values[key]:.4f}" for key, label in LABELS.items() if key in values))
    return 0


def _open_dataset(loaded: LoadedModel, config: RunConfig, *, elsewhere: bool) -> Dataset:
    """Return the data set to evaluate on; of an image folder, the validation images alone are looked for."""
    if not DATASETS[config.recipe.dataset].needs_folder:
        return open_dataset(config, loaded.device, print_note)
    images = open_test_images(
        config,
        loaded.dataset.classes,
        loaded.trained_on,
        loaded.device,
        print_note,
        by_position=loaded.trained_on is None,
        elsewhere=elsewhere,
    )
    return replace(loaded.dataset, val=images)


if __name__ == "__main__":
    sys.exit(run_guarded(evaluate_run, print_error))
