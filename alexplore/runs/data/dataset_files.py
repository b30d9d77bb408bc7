"""Check the files of a published data set before there is a run. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from alexplore.runs.data import checksummed_files, idx_files
from alexplore.runs.data.errors import DataError

Files = dict[str, Path]
"""The files of a data set by the names that its module gives them; empty if there are none."""


class DatasetFiles(NamedTuple):
    """How the files of a published data set are found and checked. Both raise a DataError."""

    find: Callable[[Path], Files]
    check: Callable[[Files], None]


DATASET_FILES: Mapping[str, DatasetFiles] = {
    **{
        name: DatasetFiles(partial(idx_files.find, data), partial(idx_files.check, data))
        for name, data in idx_files.IDX_DATASETS.items()
    },
    **{
        data.name: DatasetFiles(partial(checksummed_files.find, data), partial(checksummed_files.check, data))
        for data in (checksummed_files.CIFAR_10, checksummed_files.CIFAR_100, checksummed_files.SVHN)
    },
}
"""One entry for each published data set of `DATASETS`."""


def check_folder(name: str, folder: Path) -> None:
    """Check the files of a data set that are in a folder; a data set that is not published is not checked.

    Raises:
        DataError: some of them are missing, damaged, of another data set, or can't be read.
    """
    dataset_files = DATASET_FILES.get(name)
    files = dataset_files.find(folder) if dataset_files else {}
    try:
        states = tuple(
            (key, path, state.st_size, state.st_mtime_ns) for key, path in files.items() for state in [path.stat()]
        )
    except OSError:  # it is gone: reading it reports that
        return
    if states and (error := _error_of(name, states)) is not None:
        raise error


@lru_cache(maxsize=16)
def _error_of(name: str, states: tuple[tuple[str, Path, int, int], ...]) -> DataError | None:
    """Return why files, in the states of their last change, are not those of a data set; None if they are."""
    try:
        DATASET_FILES[name].check({key: path for key, path, *_ in states})
    except DataError as error:
        return error.with_traceback(None)
    return None
