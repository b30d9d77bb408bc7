"""The sizes of data sets that a network must fit, and whether a data set is on this machine. No torch, no downloads.

What is known of each data set is declared in `alexplore.presets.datasets`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alexplore.core.home import NoHomeError, expand, user_folder
from alexplore.network.graph import Network
from alexplore.presets.datasets import DATASETS, PublishedImages
from alexplore.runs.config import DataSource, RunConfig
from alexplore.runs.data.dataset_files import DATASET_FILES
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import LAYOUT, check_pictures, find_layout

TRAIN_IMAGES, VAL_IMAGES = 10_000, 2_000  # of synthetic data; 10 and 2 for each class if that is more
LARGEST_SIDE = 32  # of synthetic images, in pixels; they are resized for larger inputs
IMAGES = "images.safetensors"  # the file of a data set in the cache

Need = Literal["here", "to fetch", "needs a folder", "drawn"]
"""What training on a data set needs: nothing more, a download, a folder to be named, or nothing as images are drawn."""


@dataclass(frozen=True)
class DatasetShape:
    """The sizes of a data set that a network depends on.

    `channels` of an image; number of `classes`, None if the data set has as many as the network has outputs; number of
    images that a run trains on, None if the data set must be read to know it.
    """

    name: str
    channels: int
    classes: int | None
    train_images: int | None


def dataset_shape(config: RunConfig) -> DatasetShape:
    """Return the sizes of the data set that a run trains on.

    Raises:
        DataError: the data set is an image folder that is missing or laid out wrongly, or has a class without pictures.
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
    """Return what training on a data set needs. Only checks whether files exist."""
    entry = DATASETS[name]
    if entry.needs_folder:
        return "needs a folder"
    if entry.images is None:
        return "drawn"
    return "to fetch" if folder_of(name) is None else "here"


def folder_of(name: str) -> Path | None:
    """Return the folder that has a published data set, of the user's cache or a package; None if it is not here.

    Only checks whether files exist.
    """
    folders = data_folders(name, DATASETS[name].installed_in)
    return next((folder for folder in folders if _is_in(name, folder)), None)


def data_folders(name: str, installed_in: Sequence[str]) -> list[Path]:
    """Return the folders that may have a published data set: in the user's cache, and those of installed packages."""
    folders = list(map(Path, installed_in))
    with suppress(NoHomeError):
        folders.insert(0, cache_folder(name))
    return folders


def _is_in(name: str, folder: Path) -> bool:
    """Return whether a folder has a data set: as the cache keeps it, or its files."""
    try:
        return folder.is_dir() and ((folder / IMAGES).is_file() or bool(DATASET_FILES[name].find(folder)))
    except (DataError, OSError):  # some of the files are missing, or the folder can't be read
        return False


def image_channels(network: Network) -> int:
    """Return the channels of the images of a folder for a network: 1 or 3, as it has."""
    return 1 if network.input[0] == 1 else 3


def _image_folder(config: RunConfig) -> DatasetShape:
    """Return the sizes of an image folder: a class for each folder in it, and 1 or 3 channels, as the network has."""
    folder = expand(config.data.folder or "")
    layout = find_layout(folder)
    check_pictures(layout)
    return DatasetShape(str(folder), image_channels(config.network), len(layout.classes), train_images=None)


def _published(name: str, images: PublishedImages) -> Callable[[RunConfig], DatasetShape]:
    """Return the function that gives the sizes of a published data set."""

    def shape(config: RunConfig) -> DatasetShape:
        count = min(images.train, config.data.limit_train or images.train)
        return DatasetShape(name, images.channels, len(images.classes), count)

    return shape


def synthetic_counts(source: DataSource, classes: int) -> tuple[int, int]:
    """Return how many training and validation images are drawn."""
    return source.limit_train or max(TRAIN_IMAGES, 10 * classes), source.limit_val or max(VAL_IMAGES, 2 * classes)


def synthetic_size(config: RunConfig) -> tuple[int, int]:
    """Return the height and width of synthetic images."""
    _, height, width = config.network.input
    return min(height, LARGEST_SIDE), min(width, LARGEST_SIDE)


def drawn_bytes(config: RunConfig) -> int:
    """Return the memory of the images that are drawn, 8 bits a value; 0 for a data set that is read from files."""
    entry = DATASETS[config.recipe.dataset]
    if entry.images is not None or entry.needs_folder:
        return 0
    height, width = synthetic_size(config)
    return sum(synthetic_counts(config.data, config.network.classes or 0)) * config.network.input[0] * height * width


def image_counts(config: RunConfig, classes: int) -> tuple[int, int] | None:
    """Return the numbers of training and validation images; None for an image folder, which must be read first."""
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
    """Return the sizes of synthetic data: images are drawn with the network's channels and classes."""
    return DatasetShape("synthetic", config.network.input[0], classes=None, train_images=config.data.limit_train)


SHAPES: Mapping[str, Callable[[RunConfig], DatasetShape]] = {
    **{name: _published(name, entry.images) for name, entry in DATASETS.items() if entry.images},
    "imagefolder": _image_folder,
    "synthetic": _synthetic,
}
"""One entry for each of `DATASETS`."""
