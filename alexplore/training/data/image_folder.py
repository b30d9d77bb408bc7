"""Image folders in ImageNet's layout, train/CLASS/*.jpg and val/CLASS/*.jpg, decoded by worker processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from alexplore.core.cpu_count import processors
from alexplore.core.formatting import bytes_text
from alexplore.core.home import expand
from alexplore.runs.config import RunConfig
from alexplore.runs.datasets import PARTS, DataError, dataset_shape, find_classes
from alexplore.training.data.dataset import (
    Dataset,
    Report,
    check_fit,
    choose_balanced,
    damaged_text,
    mean_and_std,
)
from alexplore.training.data.images import open_image, read_image, why_unreadable
from alexplore.training.data.preprocess import IMAGENET_MEAN, IMAGENET_STD, resized_size
from alexplore.training.parallel.launched import die_with_parent

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
MOST_WORKERS = 8
BATCHES_AHEAD = 2  # of each worker process; the DataLoader's own default
SHARED_MEMORY = Path("/dev/shm")

BATCH_SECONDS, IMAGE_SECONDS = 300.0, 1.0
"""The longest time that decoding may take: of a batch, and of each of its images if they are many."""


def open_image_folder(config: RunConfig, device: torch.device, report: Report) -> Dataset:
    """Return the images of the folder that a run names, grey if its network reads one channel, else in colour.

    The mean and the standard deviation are ImageNet's unless the recipe asks for the data set's own.

    Raises:
        DataError: no folder is named, it is laid out wrongly or does not fit the network, a class has no images, or
            the recipe's `resize` is too small.
    """
    shape = dataset_shape(config)
    check_fit(config.network, shape)
    folder = expand(config.data.folder or "")
    classes = find_classes(folder)
    size = resized_size(config.recipe, config.network.input)
    train, val = (
        FolderSplit(list_images(folder / part, classes, report).limited(limit), shape.channels, size, device, report)
        for part, limit in zip(PARTS, (config.data.limit_train, config.data.limit_val), strict=True)
    )
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    if config.recipe.normalize == "dataset":
        report("measuring the colours of the training images")
        mean, std = mean_and_std(train)
    elif shape.channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Dataset("imagefolder", tuple(classes), shape.channels, mean, std, train, val, size=size)


@dataclass(frozen=True)
class Listing:
    """The images of one part of an image folder."""

    folder: Path

    paths: tuple[str, ...]
    """Relative to the folder."""

    labels: Tensor
    """int64 (N,): the indices of the classes."""

    def limited(self, limit: int | None) -> Listing:
        """Return the listing of `limit` images, taken from the classes in turn."""
        chosen = choose_balanced(self.labels, limit)
        return Listing(self.folder, tuple(self.paths[i] for i in chosen.tolist()), self.labels[chosen])


def list_images(folder: Path, classes: list[str], report: Report) -> Listing:
    """Return the images in a folder that contains a folder for each class; other files are reported.

    Raises:
        DataError: a class has no images, or a folder can't be read.
    """
    paths: list[str] = []
    labels: list[int] = []
    others = [entry.name for entry in _entries(folder) if entry.is_file() and not entry.name.startswith(".")]
    empty = []
    for label, name in enumerate(classes):
        before = len(paths)
        for file in _files(folder / name):
            if Path(file).suffix.lower() in SUFFIXES:
                paths.append(f"{name}/{file}")
                labels.append(label)
            else:
                others.append(f"{name}/{file}")
        if len(paths) == before:
            empty.append(name)
    if empty:
        one = len(empty) == 1
        raise DataError(
            f"{folder}: {'class' if one else 'classes'} {_some(empty)} {'has' if one else 'have'} no images: add some, "
            f"or remove the folder{'s' * (not one)} from train and val"
        )
    if others:
        report(f"{folder}: {len(others):,} files are not images and are left out: {_some(sorted(others))}")
    return Listing(folder, tuple(paths), torch.tensor(labels))


class FolderSplit:
    """A split whose images are decoded and resized by worker processes when they are needed.

    A damaged image is reported once.
    """

    def __init__(
        self,
        listing: Listing,
        channels: int,
        size: tuple[int, int],
        device: torch.device,
        report: Report,
        workers: int | None = None,
    ) -> None:
        """Decode to uint8 (channels, *size) in `workers` processes, by default as many as this rank has processors."""
        self.labels = listing.labels
        self.damaged: dict[str, str] = {}
        self._listing = listing
        self._decoder = _Decoder(listing, channels, size)
        self._image_bytes = channels * size[0] * size[1]
        self._device = device
        self._report = report
        self._workers = count_decoders() if workers is None else workers

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: Tensor, batch_size: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Split.batches`; damaged images are left out of their batch."""
        chunks = [chunk for chunk in torch.split(order[skip * batch_size :], batch_size) if len(chunk)]
        workers = min(self._workers, len(chunks), self._workers_in_shared_memory(batch_size))
        done = 0
        while done < len(chunks):
            try:
                for images, kept, failures in self._load(chunks[done:], workers):
                    self._check_present(failures, len(chunks[done]))
                    done += 1
                    for index, reason in failures:
                        self._report_damage(index, reason)
                    yield (
                        images.to(self._device, non_blocking=True).permute(0, 3, 1, 2),
                        self.labels[kept].to(self._device, non_blocking=True),
                    )
            except _SharedMemoryError:
                self._report(
                    f"{SHARED_MEMORY} is full ({bytes_text(_free_shared_memory() or 0)} free, a batch takes "
                    f"{bytes_text(batch_size * self._image_bytes)}): images are decoded in the training process for "
                    "the rest of this epoch, which is slower; make room there, in a container with --shm-size"
                )
                workers = 0

    def _load(self, chunks: list[Tensor], workers: int) -> Iterator[_Decoded]:
        """Yield the chunks, decoded in processes, or in this one if `workers` is 0.

        Raises:
            _SharedMemoryError: there is no room for a batch in shared memory, through which processes send it.
            DataError: a process was killed, or no batch came within `BATCH_SECONDS`.
        """
        slowest = max(BATCH_SECONDS, max(map(len, chunks)) * IMAGE_SECONDS)
        loader: DataLoader[_Sample] = DataLoader(
            self._decoder,
            batch_sampler=_Chunks(chunks),
            num_workers=workers,
            collate_fn=self._decoder.collate,
            worker_init_fn=_start_decoder,
            pin_memory=self._device.type == "cuda",
            prefetch_factor=BATCHES_AHEAD if workers else None,
            timeout=slowest if workers else 0,
        )
        batches = iter(loader)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (RuntimeError, OSError) as error:
                self._explain(f"{error} {error.__cause__}", slowest)  # the cause has the signal
                raise
            yield batch

    def _explain(self, error: str, seconds: float) -> None:
        """Raise what an error of the loader means, if it is known."""
        if any(sign in error for sign in ("shared memory", "No space left", "Bus error")):
            raise _SharedMemoryError from None
        if "timed out after" in error:
            raise DataError(
                f"{self._listing.folder}: no batch of images in {seconds:,.0f} s: the disk or the network that it is "
                "on does not answer; resume when it does"
            ) from None
        if killed := re.search("killed by signal: (.*?)\\.", error):
            raise DataError(
                f"a process that decodes images was killed by a signal ({killed[1]}); if the machine is out of memory, "
                "use a smaller --batch-size"
            ) from None

    def _check_present(self, failures: list[tuple[int, str]], count: int) -> None:
        """Check that the images that could not be read are damaged, and not gone with their folder.

        Raises:
            DataError: a folder is gone, or none of the `count` images of a batch is there any more.
        """
        folder = self._listing.folder
        paths = [self._listing.paths[index] for index, _ in failures]
        lost = {folder, *(folder / path.partition("/")[0] for path in paths)} if paths else set()
        missing = next((path for path in sorted(lost) if not path.is_dir()), None)
        if missing is None and len(paths) == count > 1 and not any((folder / path).exists() for path in paths):
            missing = folder
        if missing is not None:
            raise DataError(f"{missing}: its images are gone; the training needs them: bring them back, and resume")

    def _report_damage(self, index: int, reason: str) -> None:
        path = str(self._listing.folder / self._listing.paths[index])
        if path not in self.damaged:
            self.damaged[path] = reason
            self._report(damaged_text(path, reason))

    def _workers_in_shared_memory(self, batch_size: int) -> int:
        """Return how many workers' batches fit into shared memory: it is small in containers, and full is fatal."""
        free = _free_shared_memory()
        return self._workers if free is None else free // (2 * BATCHES_AHEAD * batch_size * self._image_bytes)


def count_decoders() -> int:
    """Return the number of decoding processes of a rank: its share of the processors that this process may use."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(MOST_WORKERS, processors() // ranks))


def _free_shared_memory() -> int | None:
    """Return the free bytes of shared memory; None on a machine that keeps it elsewhere."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None


class _SharedMemoryError(Exception):
    """There is no room for a batch in shared memory."""


_Sample = tuple[int, Tensor | None, str]

_Decoded = tuple[Tensor, list[int], list[tuple[int, str]]]
"""The readable images (N, H, W, C), their indices, and the indices and reasons of the others."""


class _Decoder(TorchDataset[_Sample]):
    """Runs in the worker processes: maps an index to pixels, or to the reason why there are none."""

    def __init__(self, listing: Listing, channels: int, size: tuple[int, int]) -> None:
        self._listing = listing
        self.channels = channels
        self.size = size

    def __len__(self) -> int:
        return len(self._listing.paths)

    def __getitem__(self, index: int) -> _Sample:
        try:
            with open_image(self._listing.folder / self._listing.paths[index]) as image:
                return index, read_image(image, self.channels, self.size), ""
        except MemoryError:
            raise
        except Exception as error:  # a decoder raises anything when a file is damaged
            return index, None, why_unreadable(error)

    def collate(self, samples: list[_Sample]) -> _Decoded:
        """Put samples together. In a process of the loader the images are in shared memory, so that it fails if full.

        Left to the loader, a thread of the process would fail, and the batch would never arrive.
        """
        kept = [(index, pixels.permute(1, 2, 0)) for index, pixels, _ in samples if pixels is not None]
        images = torch.empty(len(kept), *self.size, self.channels, dtype=torch.uint8)
        if get_worker_info() is not None:
            images.share_memory_()  # type: ignore[no-untyped-call]
        for position, (_, pixels) in enumerate(kept):
            images[position] = pixels
        failures = [(index, reason) for index, pixels, reason in samples if pixels is None]
        return images, [index for index, _ in kept], failures


class _Chunks:
    """Batches of indices as a batch sampler, each made into a list when it is needed."""

    def __init__(self, chunks: list[Tensor]) -> None:
        self._chunks = chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def __iter__(self) -> Iterator[list[int]]:
        return (chunk.tolist() for chunk in self._chunks)


def _start_decoder(_: int) -> None:
    """Let the training process handle signals; a process of the loader ends when that does."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{folder} can't be read: {error.strerror}") from None


def _files(folder: Path, above: frozenset[Path] = frozenset()) -> list[str]:
    """Return the files under a folder and the folders inside it, as sorted paths relative to it.

    Hidden ones are left out: systems write `._NAME` beside each picture, `.DS_Store` and the like. So is a link that
    leads back to one of the folders `above`.
    """
    files: list[str] = []
    real = folder.resolve()
    if real in above:
        return files
    for entry in _entries(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            files += [f"{entry.name}/{name}" for name in _files(folder / entry.name, above | {real})]
        elif entry.is_file():
            files.append(entry.name)
    return sorted(files)


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
