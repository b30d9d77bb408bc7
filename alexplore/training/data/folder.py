"""Image folders in ImageNet's layout: train/CLASS/*.jpg and val/CLASS/*.jpg, decoded by worker processes."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from alexplore.core.cpu_count import processors
from alexplore.training.data.dataset import DataError, balanced, left_out
from alexplore.training.data.images import read_image, why_unreadable

Report = Callable[[str], None]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
MOST_WORKERS = 8
BATCHES_AHEAD = 2  # of every worker, the DataLoader's own default


@dataclass(frozen=True)
class Listing:
    """The images of one part of an image folder: their paths, relative to it, and their classes' indices."""

    folder: Path
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: Tensor

    def limited(self, limit: int | None) -> Listing:
        """With so many images, taken from the classes in turn."""
        chosen = balanced(self.labels, limit)
        return Listing(self.folder, self.classes, tuple(self.paths[i] for i in chosen.tolist()), self.labels[chosen])


def list_images(folder: Path, report: Report) -> Listing:
    """The images under a folder that has a folder for each class; what is no image is reported.

    Raises:
        DataError: there are no classes, or a class has no image.
    """
    classes = sorted(entry.name for entry in _entries(folder) if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise DataError(f"{folder} has no folders in it: there must be one for each class, with its images")
    paths: list[str] = []
    labels: list[int] = []
    others = [entry.name for entry in _entries(folder) if entry.is_file()]
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
        report(f"{folder}: {len(others):,} files are no images and are left out: {_some(sorted(others))}")
    return Listing(folder, tuple(classes), tuple(paths), torch.tensor(labels))


def open_listings(folder: Path, report: Report) -> tuple[Listing, Listing]:
    """The training and validation images of an image folder.

    Raises:
        DataError: a part is missing, a class is empty, or the two parts have not the same classes.
    """
    parts = [folder / part for part in ("train", "val")]
    missing = [str(part) for part in parts if not part.is_dir()]
    if missing:
        raise DataError(
            f"no folder {' and no folder '.join(missing)}: an image folder has train/CLASS/*.jpg and val/CLASS/*.jpg"
        )
    train, val = (list_images(part, report) for part in parts)
    if train.classes != val.classes:
        only = [
            f"only {part} has {_some(sorted(names))}"
            for part, names in (
                ("train", set(train.classes) - set(val.classes)),
                ("val", set(val.classes) - set(train.classes)),
            )
            if names
        ]
        raise DataError(f"{folder}: train and val have not the same classes: {'; '.join(only)}")
    return train, val


class FolderSplit:
    """A split whose images are decoded as they are needed, by worker processes, each brought to one size.

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
        """Decode to uint8 (channels, *size); `workers` processes, or as many as there are processors for this rank."""
        self.labels = listing.labels
        self.damaged: dict[str, str] = {}
        self._listing = listing
        self._decoder = _Decoder(listing, channels, size)
        self._image_bytes = channels * size[0] * size[1]
        self._device = device
        self._report = report
        self._workers = decoders() if workers is None else workers

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: Tensor, batch_size: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Split.batches`; damaged images are left out of their batch."""
        chunks = [chunk for chunk in torch.split(order[skip * batch_size :], batch_size) if len(chunk)]
        workers = min(self._workers, len(chunks), self._room(batch_size))
        loader: DataLoader[_Sample] = DataLoader(
            self._decoder,
            batch_sampler=_Chunks(chunks),
            num_workers=workers,
            collate_fn=self._decoder.collate,
            worker_init_fn=_quiet_worker,
            pin_memory=self._device.type == "cuda",
            prefetch_factor=BATCHES_AHEAD if workers else None,
        )
        for images, kept, failures in loader:
            for index, reason in failures:
                self._tell(index, reason)
            yield (
                images.to(self._device, non_blocking=True).permute(0, 3, 1, 2),
                self.labels[kept].to(self._device, non_blocking=True),
            )

    def _tell(self, index: int, reason: str) -> None:
        path = str(self._listing.folder / self._listing.paths[index])
        if path not in self.damaged:
            self.damaged[path] = reason
            self._report(left_out(path, reason))

    def _room(self, batch_size: int) -> int:
        """How many workers' batches fit into shared memory, which is small in containers: too many are a bus error."""
        shared = Path("/dev/shm")
        if not shared.is_dir():
            return self._workers
        return shutil.disk_usage(shared).free // (2 * BATCHES_AHEAD * batch_size * self._image_bytes)


def decoders() -> int:
    """Decoding processes for one rank: an equal share of the processors that this process may use."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(MOST_WORKERS, processors() // ranks))


_Sample = tuple[int, Tensor | None, str]
_Decoded = tuple[Tensor, Tensor, list[tuple[int, str]]]


class _Decoder(TorchDataset[_Sample]):
    """Runs in the worker processes: an index to its pixels, or to the reason why there are none."""

    def __init__(self, listing: Listing, channels: int, size: tuple[int, int]) -> None:
        self._listing = listing
        self.channels = channels
        self.size = size

    def __len__(self) -> int:
        return len(self._listing.paths)

    def __getitem__(self, index: int) -> _Sample:
        from PIL import Image

        try:
            with Image.open(self._listing.folder / self._listing.paths[index]) as image:
                return index, read_image(image, self.channels, self.size), ""
        except MemoryError:
            raise
        except Exception as error:  # (decoders meet damage with whatever they stumble over)
            return index, None, why_unreadable(error)

    def collate(self, samples: list[_Sample]) -> _Decoded:
        """A batch (N, H, W, C) of what could be read, its indices, and what could not."""
        kept = [(index, pixels.permute(1, 2, 0)) for index, pixels, _ in samples if pixels is not None]
        images = torch.empty(len(kept), *self.size, self.channels, dtype=torch.uint8)
        for position, (_, pixels) in enumerate(kept):
            images[position] = pixels
        failures = [(index, reason) for index, pixels, reason in samples if pixels is None]
        return images, torch.tensor([index for index, _ in kept], dtype=torch.int64), failures


class _Chunks:
    """Batches of indices, made as they are asked for."""

    def __init__(self, chunks: list[Tensor]) -> None:
        self._chunks = chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def __iter__(self) -> Iterator[list[int]]:
        return (chunk.tolist() for chunk in self._chunks)


def _quiet_worker(_: int) -> None:
    """Leave signals to the process that trains; when it ends, so does this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{folder} can't be read: {error.strerror}") from None


def _files(folder: Path) -> list[str]:
    """The files under a folder, also in folders inside it, relative to it and in order."""
    files: list[str] = []
    for entry in _entries(folder):
        if entry.is_dir():
            files += [f"{entry.name}/{name}" for name in _files(folder / entry.name)]
        elif entry.is_file():
            files.append(entry.name)
    return sorted(files)


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
