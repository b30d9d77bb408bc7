"""What a network must fit to learn a data set, for each data set that a recipe may name. No torch, no downloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alexplore.network.graph import Network
from alexplore.runs.config import RunConfig

IMAGE_FOLDER = "imagefolder"
FOLDER_LAYOUT = "DIR/train/CLASS/*.jpg and DIR/val/CLASS/*.jpg"
PARTS = ("train", "val")


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


class DatasetFolderError(Exception):
    """The folder of a data set is missing or laid out wrongly; the message says how."""


def dataset_shape(config: RunConfig) -> DatasetShape:
    """Return the sizes of the data set that a run is to learn.

    Raises:
        DatasetFolderError: the data set is an image folder that is missing or laid out wrongly.
    """
    return SHAPES[config.recipe.dataset](config)


def class_names(folder: Path) -> list[str]:
    """Return the names of the classes of one part of an image folder: its folders, without hidden ones, sorted.

    Raises:
        DatasetFolderError: the folder can't be read.
    """
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DatasetFolderError(f"{folder} can't be read: {error.strerror}") from None


def _image_folder(config: RunConfig) -> DatasetShape:
    """The classes are the folders; images are decoded to as many channels, 1 or 3, as the network reads."""
    if config.data.folder is None:
        raise DatasetFolderError(f"an image folder has to be named: --data DIR, with {FOLDER_LAYOUT}")
    folder = Path(config.data.folder).expanduser()
    missing = [str(folder / part) for part in PARTS if not (folder / part).is_dir()]
    if missing:
        raise DatasetFolderError(f"no folder {' and no folder '.join(missing)}: an image folder has {FOLDER_LAYOUT}")
    train, val = (class_names(folder / part) for part in PARTS)
    if not train:
        raise DatasetFolderError(f"{folder / 'train'} has no folders in it: there must be one for each class")
    if train != val:
        only = [
            f"only {part} has {', '.join(sorted(names)[:5])}{' …' if len(names) > 5 else ''}"
            for part, names in (("train", set(train) - set(val)), ("val", set(val) - set(train)))
            if names
        ]
        raise DatasetFolderError(f"{folder}: train and val have not the same classes: {'; '.join(only)}")
    return DatasetShape(str(folder), _folder_channels(config.network), len(train), None)


def _folder_channels(network: Network) -> int:
    return 1 if network.input[0] == 1 else 3


def _published(name: str, *, channels: int, classes: int, train_images: int) -> Callable[[RunConfig], DatasetShape]:
    """A data set that is the same for everyone."""

    def shape(config: RunConfig) -> DatasetShape:
        return DatasetShape(name, channels, classes, min(train_images, config.data.limit_train or train_images))

    return shape


def _synthetic(config: RunConfig) -> DatasetShape:
    """Images are drawn with as many channels and classes as the network has."""
    return DatasetShape("synthetic", config.network.input[0], classes=None, train_images=config.data.limit_train)


SHAPES: Mapping[str, Callable[[RunConfig], DatasetShape]] = {
    "fashion-mnist": _published("fashion-mnist", channels=1, classes=10, train_images=60_000),
    "cifar10": _published("cifar10", channels=3, classes=10, train_images=50_000),
    IMAGE_FOLDER: _image_folder,
    "synthetic": _synthetic,
}
"""One entry for each name that `Recipe.dataset` allows."""
