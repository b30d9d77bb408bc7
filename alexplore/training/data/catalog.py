"""How each data set is opened.

To add one: an entry in `OPENERS`, and what is known about it in `alexplore.presets.datasets`. A data set that everyone
has the same files of is a `PublishedDataset`, such as those in `mnist.py` and `cifar.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch

from alexplore.network.shapes import shape_text
from alexplore.presets.datasets import DATASETS
from alexplore.runs.config import RunConfig
from alexplore.runs.data.trained_on import TrainedOn
from alexplore.training.data.cifar import CIFAR_10, CIFAR_100
from alexplore.training.data.dataset import Dataset, Report
from alexplore.training.data.image_folder import open_image_folder
from alexplore.training.data.mnist import MNIST_KIN
from alexplore.training.data.preprocess import resized_size
from alexplore.training.data.published import PublishedDataset, open_published
from alexplore.training.data.svhn import SVHN
from alexplore.training.data.synthetic import open_synthetic

PUBLISHED: Mapping[str, PublishedDataset] = {
    published.name: published for published in (*MNIST_KIN.values(), CIFAR_10, CIFAR_100, SVHN)
}
"""The data sets that are downloaded and cached."""

Opener = Callable[[RunConfig, torch.device, Report, TrainedOn | None], Dataset]

OPENERS: Mapping[str, Opener] = {
    **{name: partial(open_published, published) for name, published in PUBLISHED.items()},
    "imagefolder": open_image_folder,
    "synthetic": open_synthetic,
}
"""How each entry of `DATASETS` is opened."""


def open_dataset(
    config: RunConfig, device: torch.device, report: Report, trained_on: TrainedOn | None = None
) -> Dataset:
    """Return the data set of a run: its images are on the device, or read from their folder when they are needed.

    `trained_on` is what the run was trained on before, if it was.
    `report` gets a line before everything that takes time, and the warnings.

    Raises:
        DataError: it can't be found, is damaged or laid out wrongly, or does not fit the network or what the run
            was trained on.
    """
    resized_size(config.recipe, config.network.input)  # before anything is read or downloaded
    dataset = OPENERS[config.recipe.dataset](config, device, report, trained_on)
    report(_summary(dataset, config))
    return dataset


def _summary(dataset: Dataset, config: RunConfig) -> str:
    """Return the numbers of images and classes, and how the images are resized, in a line."""
    words = f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.val):,} validation images"
    words += f" of {len(dataset.classes):,} classes"
    if dataset.synthetic:
        words += ", drawn by the program: not real images"
    if dataset.size is not None:
        words += f", {shape_text((dataset.channels, *dataset.size))}"
        if dataset.size != config.network.input[1:]:
            words += f", resized to the network's {shape_text(config.network.input)}"
    if DATASETS[dataset.name].needs_folder:
        words += f", decoded with {dataset.decoder}"
    return words
