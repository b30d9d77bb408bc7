"""`alexplore evaluate`: the figures of a run on its validation images, or on other images."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from os.path import relpath
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexplore.core.boundary import print_data, print_error, print_note, run_guarded
from alexplore.core.home import expand
from alexplore.core.process_exit import exit_process
from alexplore.presets.datasets import DATASETS
from alexplore.runs.config import RunConfig
from alexplore.runs.data.dataset_files import DATASET_FILES
from alexplore.runs.data.errors import DataError
from alexplore.training.commands.load_model import LoadedModel, check_outputs, load_model
from alexplore.training.data.catalog import open_dataset
from alexplore.training.data.dataset import Dataset, Split, indices_read
from alexplore.training.data.folder_split import FolderSplit
from alexplore.training.data.image_folder import open_test_images, open_unlabelled_images
from alexplore.training.data.packed import PackedSplit
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.errors import UsageError
from alexplore.training.evaluate import score_batches
from alexplore.training.evaluation_figures import image_predictions, make_evaluation
from alexplore.training.precision import Precision


def evaluate_run() -> int:
    """Print a JSON object, see `EvaluationAnswer`; return the exit code.

    With `--probabilities` it has the predictions for each image, which it always has for images without labels.
    """
    parser = argparse.ArgumentParser(prog="alexplore evaluate")
    parser.add_argument("source", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--ten-crop", action="store_true")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--probabilities", action="store_true")
    arguments = parser.parse_args()
    loaded = load_model(arguments.source, arguments.weights)
    config = loaded.config
    if arguments.data:
        config = replace(config, data=replace(config.data, folder=arguments.data))
    dataset, labelled = open_images(loaded, config, elsewhere=bool(arguments.data))
    preprocess = Preprocess(config.recipe, config.network.input, dataset, loaded.device)
    if arguments.ten_crop and preprocess.resized_size == config.network.input[1:]:
        print_note("no resize in the recipe: each of the ten crops is the whole image, or its mirror image")
    scores, labels, names = _score(loaded, config, dataset.val, preprocess, ten_crops=arguments.ten_crop)
    classes, weights = dataset.classes, str(loaded.weights)
    if labelled:
        cropped = preprocess.resized_size != config.network.input[1:]
        crops = "ten crops" if arguments.ten_crop else "the centre" if cropped else "whole images"
        evaluation = make_evaluation(scores, labels, names, classes, dataset=dataset.name, crops=crops, weights=weights)
        answer = evaluation.to_dict()
    else:
        answer = {"images": len(labels), "weights": weights, "classes": list(classes)}
    if arguments.probabilities or not labelled:
        predictions = image_predictions(scores, labels if labelled else None, names, classes)
        answer["predictions"] = [_without_none(vars(one)) for one in predictions]
    print_data(json.dumps(answer))
    return 0


def open_images(loaded: LoadedModel, config: RunConfig, *, elsewhere: bool) -> tuple[Dataset, bool]:
    """Return a data set with the images as its validation images, and whether they have labels.

    In an image folder, only the validation images are listed. `elsewhere` says that the user has named the folder.

    Raises:
        UsageError: the folder that the user has named does not have the data set.
    """
    if not DATASETS[config.recipe.dataset].needs_folder:
        if elsewhere:
            _check_published(config)
        return open_dataset(config, loaded.device, print_note), True
    unlabelled = None
    if elsewhere:
        unlabelled = open_unlabelled_images(config, loaded.device, print_note, loaded.dataset.decoder)
    if unlabelled is not None:
        print_note(f"{config.data.folder} has no folders of classes, so its {len(unlabelled):,} images have no labels")
        return replace(loaded.dataset, val=unlabelled), False
    images = open_test_images(
        config,
        loaded.dataset.classes,
        loaded.trained_on,
        loaded.device,
        print_note,
        decoder=loaded.dataset.decoder,
        by_position=loaded.trained_on is None,
        elsewhere=elsewhere,
    )
    return replace(loaded.dataset, val=images), True


def _check_published(config: RunConfig) -> None:
    """Check that the folder that the user has named has the files of the run's data set, and no other images.

    Raises:
        UsageError, DataError: it does not, or only some of them.
    """
    name, folder = config.recipe.dataset, config.data.folder or ""
    if name not in DATASET_FILES:
        raise UsageError(f"--data {folder}: the images of {name} are drawn by the program: leave --data out")
    if not DATASET_FILES[name].find(expand(folder)):
        raise UsageError(
            f"--data {folder}: it has none of the files of {name}, on whose test images the network is evaluated. "
            "Classify images of your own with `alexplore predict`"
        )


def _score(
    loaded: LoadedModel, config: RunConfig, split: Split, preprocess: Preprocess, *, ten_crops: bool
) -> tuple[Tensor, Tensor, list[str]]:
    """Return log-probabilities (N, classes), labels (N,) and names of the images that can be read, on the CPU.

    A name is the path in an image folder, else the image's number.

    Raises:
        DataError: none can be read.
    """
    batches = score_batches(
        loaded.model,
        split,
        preprocess,
        Precision("fp32", loaded.device),
        batch_size=config.recipe.images_at_once(),
        ten_crops=ten_crops,
    )
    scores: list[Tensor] = []
    labels: list[Tensor] = []
    names: list[str] = []
    for batch in batches:
        scores.append(batch.scores.cpu())
        labels.append(batch.labels.cpu())
        names += [_name(split, index) for index in indices_read(split, batch.chosen, len(batch.labels)).tolist()]
    if not scores:
        raise DataError(f"none of the {len(split):,} validation images could be read", failure=True)
    check_outputs(torch.cat(scores), loaded)
    return torch.cat(scores), torch.cat(labels), names


def _name(split: Split, index: int) -> str:
    return relpath(split.path(index), split.folder) if isinstance(split, FolderSplit | PackedSplit) else f"#{index}"


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


if __name__ == "__main__":
    exit_process(run_guarded(evaluate_run, print_error))
