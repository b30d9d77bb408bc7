"""What a run was trained on, as its dataset.json records it: classes, numbers of images, held-out images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alexplore.core.regular_files import read_json
from alexplore.runs.data.errors import DataError
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import read_number


@dataclass(frozen=True)
class TrainedOn:
    """What a run was trained on.

    `classes` are in the order of the network's outputs. `train` and `val` are the numbers of images, None if the run
    was written by a version that did not record them. `held_out` are the paths of the validation images, relative to
    the image folder, if they were held out of its training images. `mean` and `std` are those of the pixels by channel,
    used if the recipe normalises by the data set. `decoder` is the decoder of the image files: Pillow, if the run was
    written by a version that did not record it.
    """

    classes: tuple[str, ...]
    train: int | None = None
    val: int | None = None
    held_out: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    decoder: str = "pillow"


def read_trained_on(run: RunDirectory) -> TrainedOn | None:
    """Return what a run was trained on; None if it was not trained yet, or if the file is damaged."""
    return parse_trained_on(read_json(run.dataset_file, links=False) or {})


def parse_trained_on(values: Mapping[str, Any]) -> TrainedOn | None:
    """Return what a run was trained on from the content of dataset.json; None if it has no names of classes."""
    classes, held_out = values.get("classes"), values.get("held_out", [])
    if not _are_names(classes) or not classes:
        return None
    train, val = (count if type(count := values.get(key)) is int and count >= 0 else None for key in ("train", "val"))
    mean, std = (_numbers(values.get(key)) for key in ("mean", "std"))
    decoder = values.get("decoder", "pillow")
    return TrainedOn(
        tuple(classes), train, val, tuple(held_out) if _are_names(held_out) else (), mean, std, str(decoder)
    )


def _numbers(values: Any) -> tuple[float, ...]:
    """Return values if all are numbers, without those outside 0 to 1; nothing otherwise."""
    numbers = [read_number(value) for value in values] if isinstance(values, list | tuple) else []
    return tuple(value for value in numbers if value is not None and 0 <= value <= 1) if None not in numbers else ()


def _are_names(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(name, str) for name in values)


def check_classes(trained_on: TrainedOn, found: tuple[str, ...], where: object) -> None:
    """Check that a folder to train on has the classes that a run was trained on; their order does not matter.

    Raises:
        DataError: classes are missing or new; the message names them.
    """
    if set(found) != set(trained_on.classes):
        missing, new = _differences(trained_on, found)
        differences = [f"{_some(missing)} {'is' if len(missing) == 1 else 'are'} missing"] * bool(missing)
        differences += [f"{_some(new)} {'is' if len(new) == 1 else 'are'} new"] * bool(new)
        raise DataError(
            f"{where} does not have the classes that the run was trained on ({_some(trained_on.classes)}): "
            f"{' and '.join(differences)}. Rename the folders as they were, name another folder with --data DIR, or "
            "start a new run"
        )


def check_known(classes: tuple[str, ...], found: tuple[str, ...], where: object) -> None:
    """Check that a folder to evaluate on has only classes that the network was trained on.

    Raises:
        DataError: it has other classes; the message names them.
    """
    if new := [name for name in found if name not in classes]:
        one = len(new) == 1
        raise DataError(
            f"{where} has {'a class' if one else 'classes'} that the network was not trained on: {_some(new)}; it "
            f"knows {_some(classes)}. Rename the folder{'s' * (not one)}, or leave {'it' if one else 'them'} out"
        )


def change_text(trained_on: TrainedOn, train: int, val: int) -> str | None:
    """Return how the numbers of images differ from those that a run was trained on; None if they are equal."""
    changes = [
        f"{now:,} {part} images instead of {before:,}"
        for part, before, now in (("training", trained_on.train, train), ("validation", trained_on.val, val))
        if before is not None and before != now
    ]
    return f"the data has changed since the run was last trained: {' and '.join(changes)}" if changes else None


def _differences(trained_on: TrainedOn, found: tuple[str, ...]) -> tuple[list[str], list[str]]:
    return sorted(set(trained_on.classes) - set(found)), sorted(set(found) - set(trained_on.classes))


def _some(names: tuple[str, ...] | list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
