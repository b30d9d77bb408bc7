"""Data sets that are the same for everyone: find, check, download and cache their files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from alexplore.core.home import expand
from alexplore.presets.datasets import DATASETS, PublishedImages
from alexplore.runs.config import DataSource, RunConfig
from alexplore.runs.data.dataset_files import DATASET_FILES, Files
from alexplore.runs.data.dataset_shapes import data_folders, dataset_shape
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.trained_on import TrainedOn
from alexplore.training.data import cache, download
from alexplore.training.data.cache import Arrays
from alexplore.training.data.dataset import Dataset, Report, ResidentSplit, check_fit, choose_balanced


@dataclass(frozen=True)
class Download:
    """A way to download a data set."""

    title: str

    fetch: Callable[[Path, Report], Path]
    """Downloads into a folder, which it creates, and returns the folder that the files are in.

    It raises a DownloadError if that is not possible.
    """


@dataclass(frozen=True)
class PublishedDataset:
    """How the files of an entry of `DATASETS` are found and read."""

    name: str

    unpack: Callable[[Files, Path], bool]
    """Checks the files, and writes or links them to another folder; returns whether their checksums are known.

    Files whose checksums are not known are read, but not cached. It raises a DataError if one is damaged.
    """

    read: Callable[[Path], Arrays]
    """Reads the images and labels from that folder."""

    downloads: tuple[Download, ...]
    """Tried in this order."""

    installed_in: tuple[str, ...] = ()
    """Folders that a package of the operating system may have put the files into."""

    @property
    def images(self) -> PublishedImages:
        """What is known about the images without reading them."""
        images = DATASETS[self.name].images
        assert images is not None
        return images

    def find(self, folder: Path) -> Files:
        """Return the files in a folder.

        Raises:
            DataError: only some of them are there.
        """
        return DATASET_FILES[self.name].find(folder)


def open_published(
    published: PublishedDataset, config: RunConfig, device: torch.device, report: Report, _: TrainedOn | None = None
) -> Dataset:
    """Return the data set, cut to the run's limits, on the device.

    Raises:
        DataError: it does not fit the network, is damaged, or can't be found or downloaded.
    """
    check_fit(config.network, dataset_shape(config))
    arrays = load_arrays(published, config.data, report)
    train, val = (
        _limit(arrays[f"{part}_images"], arrays[f"{part}_labels"], limit, device)
        for part, limit in (("train", config.data.limit_train), ("val", config.data.limit_val))
    )
    images = published.images
    return Dataset(
        published.name, images.classes, images.channels, images.mean, images.std, train, val, size=images.size
    )


def _limit(images: Tensor, labels: Tensor, limit: int | None, device: torch.device) -> ResidentSplit:
    if limit is not None and limit < len(labels):
        chosen = choose_balanced(labels, limit)
        images, labels = images[chosen], labels[chosen]
    return ResidentSplit(images, labels, device)


def load_arrays(published: PublishedDataset, source: DataSource, report: Report) -> Arrays:
    """Return the images and labels from the first place that has them.

    The places are the folder that the run names, the user's cache, the folders of installed packages, and, if the run
    allows downloads, the internet.

    Raises:
        DataError: the named folder does not exist or holds damaged files, or no place has the data set; the message
            lists everything that was tried.
    """
    tried: list[str] = []
    if source.folder is not None:
        arrays = _load_from_named_folder(published, expand(source.folder), report, tried)
        if arrays:
            return arrays
    if arrays := cache.load(published.name, report):
        return arrays
    with cache.locked(published.name, report) as writable:
        if arrays := cache.load(published.name, _no_report):  # another process has written it in the meantime
            return arrays
        for folder in data_folders(published.name, published.installed_in):
            if arrays := _try_folder(published, folder, writable, report, tried):
                return arrays
        for way in published.downloads if source.download else ():
            download_one = partial(_download, published, way, writable, report, tried)
            try:
                if arrays := cache.work_with_room(download_one, writable, report):
                    return arrays
            except OSError as error:
                report(f"{way.title} failed: {error}")
                tried.append(f"{way.title}: {error}")
    if not source.download:
        tried.append("downloads: switched off")
    lines = "\n".join(f"  - {line}" for line in tried)
    raise DataError(
        f"{published.name} was not found and could not be downloaded. Tried:\n{lines}\n"
        f"Copy its files to this machine and name their folder with --data DIR, or train on --dataset synthetic",
        failure=True,
    )


def _load_from_named_folder(
    published: PublishedDataset, folder: Path, report: Report, tried: list[str]
) -> Arrays | None:
    """Read the files in the folder that the run names; None if it has none of them. Damaged files are an error."""
    if not folder.is_dir():
        raise DataError(f"--data {folder}: not a folder")
    files = published.find(folder)
    if not files:
        report(f"{folder} does not contain {published.name}; looking in other places")
        tried.append(f"{folder}: not there")
        return None
    with cache.locked(published.name, report) as writable:
        return _read(published, files, writable, report)


def _try_folder(
    published: PublishedDataset,
    folder: Path,
    writable: Path | None,
    report: Report,
    tried: list[str],
    *,
    checked: bool = False,
) -> Arrays | None:
    """Read the files in a folder; None if they are missing or damaged; `tried` then gets the reason.

    `checked` are files that were checked when they were downloaded.
    """
    try:
        files = published.find(folder)
        if files:
            return _read(published, files, writable, report, checked=checked)
        tried.append(f"{folder}: not there")
    except DataError as error:
        report(str(error))
        tried.append(str(error))
    return None


def _download(
    published: PublishedDataset, way: Download, writable: Path | None, report: Report, tried: list[str], work: Path
) -> Arrays | None:
    """Download the files into a work folder and read them; None if that failed; `tried` then gets the reason.

    Raises:
        OSError: the work folder can't be written.
    """
    try:
        folder = way.fetch(work / "download", report)
    except download.DownloadError as error:
        if (full := os.strerror(errno.ENOSPC)) in str(error):
            raise OSError(errno.ENOSPC, full, str(work)) from None
        report(f"{way.title} failed: {error}")
        tried.append(f"{way.title}: {error}")
        return None
    return _try_folder(published, folder, writable, report, tried, checked=True)


def _read(
    published: PublishedDataset, files: Files, writable: Path | None, report: Report, *, checked: bool = False
) -> Arrays:
    """Check files and read them, or the cache's copy of them; write that copy if the cache folder is `writable`."""

    def read(work: Path) -> tuple[Arrays, bool]:
        known = published.unpack(files, work) or checked
        if known and (arrays := cache.load(published.name, report)):
            return arrays, known
        if not known:
            report(f"{published.name}: no checksums of these files are known; they are read as they are")
        report(f"reading {published.name}, which takes some seconds" + (" the first time" if writable else ""))
        return published.read(work), known

    arrays, known = cache.work_with_room(read, writable, report)
    if writable and known:
        try:
            cache.save(published.name, arrays)
        except OSError as error:
            report(f"{published.name} could not be cached in {writable}: {error.strerror}")
    return arrays


def _no_report(_: str) -> None:
    pass
