"""What a network must fit to learn a data set, for each data set that a recipe may name. No torch, no downloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alexplore.core.home import NoHomeError, expand, user_folder
from alexplore.presets.datasets import DATASETS, PublishedImages
from alexplore.runs.config import DataSource, RunConfig
from alexplore.runs.image_layout import LAYOUT, DataError, find_layout

TRAIN_IMAGES, VAL_IMAGES = 10_000, 2_000  # synthetic ones; or 10 and 2 for each class, if that is more
IMAGES = "images.safetensors"  # the file in which the cache keeps a data set

Need = Literal["here", "to fetch", "needs a folder", "drawn"]
"""What is needed to train on a data set: nothing, a download, a folder that the run names, or nothing ("drawn")."""


@dataclass(frozen=True)
class DatasetShape:
    """The sizes of a data set that a network depends on.

    `channels` of an image; number of `classes`, None if the data set has as many as the network has outputs; number of
    images that a run trains on, None if it is not known without reading the data set.
    """

    name: str
    channels: int
    classes: int | None
    train_images: int | None


def dataset_shape(config: RunConfig) -> DatasetShape:
    """Return the sizes of the data set that a run is to learn.

    Raises:
        DataError: the data set is an image folder that is missing or laid out wrongly.
    """
    entry = DATASETS[config.recipe.dataset]
    if entry.needs_folder and config.data.folder is None:
        raise DataError(f"{entry.title} has to be named: --data DIR, with {LAYOUT}")
    return SHAPES[entry.name](config)


def cache_folder(name: str) -> Path:
    """Return the folder that a data set is cached in for this user.

    Raises:
        NoHomeError: there is no home folder.
    """
    return user_folder("cache", "set $XDG_CACHE_HOME to cache data sets") / name


def dataset_need(name: str) -> Need:
    """Return what it takes to train on a data set. Only looks whether files exist."""
    entry = DATASETS[name]
    if entry.needs_folder:
        return "needs a folder"
    if entry.images is None:
        return "drawn"
    if any(Path(folder).is_dir() for folder in entry.installed_in):
        return "here"
    try:
        return "here" if (cache_folder(name) / IMAGES).is_file() else "to fetch"
    except NoHomeError:
        return "to fetch"


def _image_folder(config: RunConfig) -> DatasetShape:
    """The classes are the folders; images are decoded to as many channels, 1 or 3, as the network reads."""
    folder = expand(config.data.folder or "")
    channels = 1 if config.network.input[0] == 1 else 3
    return DatasetShape(str(folder), channels, len(find_layout(folder).classes), train_images=None)


def _published(name: str, images: PublishedImages) -> Callable[[RunConfig], DatasetShape]:
    """A data set that is the same for everyone."""

    def shape(config: RunConfig) -> DatasetShape:
        count = min(images.train, config.data.limit_train or images.train)
        return DatasetShape(name, images.channels, len(images.classes), count)

    return shape


def synthetic_counts(source: DataSource, classes: int) -> tuple[int, int]:
    """Return how many training and validation images are drawn."""
    return source.limit_train or max(TRAIN_IMAGES, 10 * classes), source.limit_val or max(VAL_IMAGES, 2 * classes)


def image_counts(config: RunConfig, classes: int) -> tuple[int, int] | None:
    """Return how many images a run trains on and is validated with; None for a folder, which has to be read for it."""
    entry = DATASETS[config.recipe.dataset]
    if entry.needs_folder:
        return None
    if entry.images is None:
        return synthetic_counts(config.data, classes)
    limits = config.data.limit_train, config.data.limit_val
    train, val = (
        min(there, limit or there) for there, limit in zip((entry.images.train, entry.images.val), limits, strict=True)
    )
    return train, val


def _synthetic(config: RunConfig) -> DatasetShape:
    """Images are drawn with as many channels and classes as the network has."""
    return DatasetShape("synthetic", config.network.input[0], classes=None, train_images=config.data.limit_train)


SHAPES: Mapping[str, Callable[[RunConfig], DatasetShape]] = {
    **{name: _published(name, entry.images) for name, entry in DATASETS.items() if entry.images},
    "imagefolder": _image_folder,
    "synthetic": _synthetic,
}
"""One entry for each of `DATASETS`."""
