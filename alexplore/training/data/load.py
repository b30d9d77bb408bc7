"""From what a run asks for to its data set: found, checked against the network, and cut to size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from alexplore.network.graph import Network
from alexplore.network.shapes import shape_text
from alexplore.runs.config import RunConfig
from alexplore.runs.datasets import DatasetShape
from alexplore.runs.preflight import count_outputs, fit_problems
from alexplore.training.data.dataset import DataError, Dataset, Resident, Split, balanced, pixel_statistics
from alexplore.training.data.folder import FolderSplit, open_listings
from alexplore.training.data.preprocess import IMAGENET_MEAN, IMAGENET_STD, stage_size
from alexplore.training.data.record import KNOWN, Known, load_known
from alexplore.training.data.synthetic import LARGEST, synthetic_split

Report = Callable[[str], None]

SYNTHETIC_TRAIN = 10_000
SYNTHETIC_VAL = 2_000


def open_dataset(config: RunConfig, device: torch.device, report: Report) -> Dataset:
    """The data set of a run, its images on the device or read from their folder as they are needed.

    `report` is called with a short line for whatever takes time or is worth knowing.

    Raises:
        DataError: it can't be had, is damaged, or does not fit the network (with what would mend that).
    """
    stage = stage_size(config.recipe, config.network.input)
    name = config.recipe.dataset
    if name in KNOWN:
        dataset = _known(KNOWN[name], config, device, report)
    elif name == "imagefolder":
        dataset = _folder(config, stage, device, report)
    else:
        dataset = _synthetic(config, device)
    report(_summary(dataset, config))
    return dataset


def check_fit(name: str, classes: int, channels: int, network: Network) -> None:
    """Whether a network can learn a data set of so many classes and channels.

    Raises:
        DataError: it can't; the message says what to set.
    """
    problems = list(fit_problems(network, DatasetShape(name, channels, classes, train_images=None)))
    if problems:
        raise DataError("; and ".join(problem.message for problem in problems))


def _known(known: Known, config: RunConfig, device: torch.device, report: Report) -> Dataset:
    check_fit(known.name, len(known.classes), known.channels, config.network)
    arrays = load_known(known, config.data, report)
    train, val = (
        _resident(arrays[f"{part}_images"], arrays[f"{part}_labels"], limit, device)
        for part, limit in (("train", config.data.limit_train), ("val", config.data.limit_val))
    )
    return Dataset(known.name, known.classes, known.channels, known.mean, known.std, train, val, size=known.size)


def _resident(images: Tensor, labels: Tensor, limit: int | None, device: torch.device) -> Resident:
    if limit is not None and limit < len(labels):
        chosen = balanced(labels, limit)
        images, labels = images[chosen], labels[chosen]
    return Resident(images, labels, device)


def _folder(config: RunConfig, stage: tuple[int, int], device: torch.device, report: Report) -> Dataset:
    if config.data.folder is None:
        raise DataError(
            "an image folder has to be named: --data DIR, with DIR/train/CLASS/*.jpg and DIR/val/CLASS/*.jpg"
        )
    folder = Path(config.data.folder).expanduser()
    channels = 1 if config.network.input[0] == 1 else 3
    listings = open_listings(folder, report)
    check_fit(str(folder), len(listings[0].classes), channels, config.network)
    train, val = (
        FolderSplit(listing.limited(limit), channels, stage, device, report)
        for listing, limit in zip(listings, (config.data.limit_train, config.data.limit_val), strict=True)
    )
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    if config.recipe.normalize == "dataset":
        report("measuring the colours of the training images")
        mean, std = _mean_and_std(train)
    elif channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Dataset("imagefolder", listings[0].classes, channels, mean, std, train, val, size=stage)


def _synthetic(config: RunConfig, device: torch.device) -> Dataset:
    network = config.network
    classes = count_outputs(network)
    if classes is None:
        raise DataError("the network's last layer has no output: mend the network before training it")
    channels = network.input[0]
    size = min(network.input[1], LARGEST), min(network.input[2], LARGEST)
    counts = (
        config.data.limit_train or max(SYNTHETIC_TRAIN, 10 * classes),
        config.data.limit_val or max(SYNTHETIC_VAL, 2 * classes),
    )
    train, val = (
        Resident(*synthetic_split(classes, channels, size, count, part), device) for part, count in enumerate(counts)
    )
    names = tuple(f"pattern {i + 1}" for i in range(classes))
    return Dataset("synthetic", names, channels, *_mean_and_std(train), train, val, synthetic=True, size=size)


def _mean_and_std(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, covariance = pixel_statistics(split)
    return tuple(mean.tolist()), tuple(covariance.diagonal().sqrt().tolist())


def _summary(dataset: Dataset, config: RunConfig) -> str:
    """What there is, and what is done to its size, in a line."""
    words = f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.val):,} validation images"
    words += f" of {len(dataset.classes):,} classes"
    if dataset.synthetic:
        words += ", drawn on the fly: no real pictures"
    if dataset.size is not None:
        words += f", {shape_text((dataset.channels, *dataset.size))}"
        if dataset.size != config.network.input[1:]:
            words += f", brought to the network's {shape_text(config.network.input)}"
    return words
