"""Image files that worker processes decode."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import wait as wait_for_one
from multiprocessing.process import BaseProcess as Process
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from alexplore.core.cpu_count import processors
from alexplore.core.formatting import bytes_text
from alexplore.runs.data.errors import DataError
from alexplore.training.data.dataset import Report, damaged_text
from alexplore.training.data.decoded_images import DecodedImages, has_room, local_ranks
from alexplore.training.data.decoders import DECODERS, PILLOW
from alexplore.training.data.folder_listing import Listing
from alexplore.training.data.images import open_image, why_unreadable
from alexplore.training.errors import killed_decoder_text
from alexplore.training.parallel.launched import die_with_parent
from alexplore.training.transfer import to_device

MOST_WORKERS = 8
BATCHES_AHEAD = 2  # of each worker process; the DataLoader's own default
SHARED_MEMORY = Path("/dev/shm")

BATCH_SECONDS, IMAGE_SECONDS = 300.0, 1.0
"""The longest time that decoding may take: of a batch, and of each of its images if they are many."""


TIMED_OUT = "timed out after"
"""What PyTorch says when no batch has come in time, and all decoding processes live."""

LOOK_SECONDS = 1.0
"""The time without a batch after which PyTorch looks whether all decoding processes live."""

KILLED_SECONDS = 1.0
"""The longest time from a broken connection with a decoding process until the system reports its end."""


class FolderSplit:
    """A split whose images are decoded and resized by worker processes when they are needed first.

    They are kept for later epochs if they have room in memory. A damaged image is reported once.
    """

    def __init__(
        self,
        listing: Listing,
        channels: int,
        size: tuple[int, int],
        device: torch.device,
        report: Report,
        workers: int | None = None,
        *,
        decoder: str = PILLOW,
        keep: bool = False,
    ) -> None:
        """Decode to uint8 (channels, *size) in `workers` processes, by default as many as this rank has processors.

        `keep` is for splits that are read more than once.
        """
        self.labels = listing.labels
        self.damaged: dict[str, str] = {}
        self._listing = listing
        self._decoder = _Decoder(listing, channels, size, decoder)
        self._image_bytes = channels * size[0] * size[1]
        kept = keep and has_room(len(self) * self._image_bytes)
        self._decoded = DecodedImages(len(self), (*size, channels)) if kept else None
        self._device = device
        self._report = report
        self._workers = count_decoders() if workers is None else workers

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: Tensor, batch_size: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Split.batches`; damaged images are left out of their batch."""
        chunks = [chunk for chunk in torch.split(order[skip * batch_size :], batch_size) if len(chunk)]
        if self._decoded is None:
            for images, indices in self._decode(chunks, batch_size):
                yield self._on_device(images, indices)
            return
        missing = [self._decoded.missing(chunk) for chunk in chunks]
        decoded = self._decode([indices for indices in missing if len(indices)], batch_size)
        for chunk, indices in zip(chunks, missing, strict=True):
            if len(indices):
                images, read = next(decoded)
                self._decoded.add(images, read, indices)
            yield self._on_device(*self._decoded.take(chunk))

    def _on_device(self, images: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch of images (N, H, W, C) and their labels as `batches` yields them."""
        if self._device.type == "cuda" and not images.is_pinned():
            images = images.pin_memory()  # else the copy waits for the step before
        return (
            to_device(images, self._device).permute(0, 3, 1, 2),
            to_device(self.labels[indices], self._device),
        )

    def _decode(self, chunks: list[Tensor], batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images (N, H, W, C) of each chunk that can be read, and their indices; report the others."""
        workers = min(self._workers, len(chunks), self._workers_in_shared_memory(batch_size))
        done = 0
        while done < len(chunks):
            try:
                for images, kept, failures in self._load(chunks[done:], workers):
                    self._check_present(failures, len(chunks[done]))
                    done += 1
                    for index, reason in failures:
                        self._report_damage(index, reason)
                    yield images, torch.tensor(kept, dtype=torch.int64)
            except _SharedMemoryError:
                self._report(
                    f"{SHARED_MEMORY} is full ({bytes_text(_free_shared_memory() or 0)} free, a batch takes "
                    f"{bytes_text(batch_size * self._image_bytes)}): images are decoded in the training process for "
                    "the rest of this epoch, which is slower; make room there, in a container with --shm-size"
                )
                workers = 0

    @property
    def folder(self) -> Path:
        """The folder that all its images are in."""
        return self._listing.folder

    def path(self, index: int) -> str:
        """See `Split.path`."""
        return str(self._listing.folder / self._listing.paths[index])

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
            pin_memory=self._device.type == "cuda" and self._decoded is None,
            prefetch_factor=BATCHES_AHEAD if workers else None,
            timeout=min(LOOK_SECONDS, slowest) if workers else 0,
        )
        batches = _without_handler(loader)
        waited = 0.0
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (RuntimeError, OSError) as error:
                waited += loader.timeout
                if TIMED_OUT in str(error) and waited < slowest:
                    continue
                self._explain(f"{error} {error.__cause__} {_killed_text(batches)}", slowest)
                raise
            waited = 0.0
            yield batch

    def _explain(self, error: str, seconds: float) -> None:
        """Raise the exception that explains an error of the loader, if it is a known one.

        Raises:
            _SharedMemoryError, DataError: see `_load`.
        """
        if any(sign in error for sign in ("shared memory", "No space left", "Bus error")):
            raise _SharedMemoryError from None
        if TIMED_OUT in error:
            raise DataError(
                f"{self._listing.folder}: no batch of images in {seconds:,.0f} s: the disk or the network that it is "
                "on does not answer; resume when it does",
                failure=True,
            ) from None
        if text := killed_decoder_text(error):
            raise DataError(text, failure=True) from None

    def _check_present(self, failures: list[tuple[int, str]], count: int) -> None:
        """Check that the images that could not be read are damaged, and not gone with their folder.

        Raises:
            DataError: a folder is gone, or none of the `count` images of a batch is there any more.
        """
        folder = self._listing.folder
        paths = [self._listing.paths[index] for index, _ in failures]
        inside = (path.partition("/") for path in paths)  # without a "/", a path is that of an image in no class
        lost = {folder, *(folder / name for name, slash, _ in inside if slash)} if paths else set()
        missing = next((path for path in sorted(lost) if not path.is_dir()), None)
        if missing is None and len(paths) == count > 1 and not any((folder / path).exists() for path in paths):
            missing = folder
        if missing is not None:
            raise DataError(
                f"{missing}: its images are gone; the training needs them: bring them back, and resume", failure=True
            )

    def _report_damage(self, index: int, reason: str) -> None:
        path = self.path(index)
        if path not in self.damaged:
            self.damaged[path] = reason
            self._report(damaged_text(path, reason))

    def _workers_in_shared_memory(self, batch_size: int) -> int:
        """Return how many workers' batches fit into shared memory: it is small in containers, and full is fatal."""
        free = _free_shared_memory()
        return self._workers if free is None else free // (2 * BATCHES_AHEAD * batch_size * self._image_bytes)


def count_decoders() -> int:
    """Return the number of decoding processes of a rank: its share of the processors that this process may use."""
    return max(1, min(MOST_WORKERS, processors() // local_ranks()))


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

    def __init__(self, listing: Listing, channels: int, size: tuple[int, int], decoder: str) -> None:
        self._listing = listing
        self._decoder = decoder
        self.channels = channels
        self.size = size

    def __len__(self) -> int:
        return len(self._listing.paths)

    def __getitem__(self, index: int) -> _Sample:
        try:
            with open_image(self._listing.folder / self._listing.paths[index]) as image:
                return index, DECODERS[self._decoder](image, self.channels, self.size), ""
        except MemoryError:
            raise
        except Exception as error:  # a decoder raises anything when a file is damaged
            return index, None, why_unreadable(error)

    def collate(self, samples: list[_Sample]) -> _Decoded:
        """Join samples. In a process of the loader, put the images into shared memory; this fails if it is full.

        If the loader did that, a thread of the process would fail, and the batch would never arrive.
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


def _without_handler(loader: DataLoader[_Sample]) -> Iterator[_Decoded]:
    """Return the batches of a loader without PyTorch's handler of SIGCHLD.

    When a decoding process is killed, the handler raises an error wherever the program is, as while it saves a
    checkpoint, and never again. So each `LOOK_SECONDS` without a batch PyTorch looks whether all processes live.
    """
    before = signal.getsignal(signal.SIGCHLD)
    batches: Iterator[_Decoded] = iter(loader)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, before)
    return batches


def _killed_text(batches: object) -> str:
    """Return PyTorch's message about a killed process if a decoding process of a loader was killed; else ""."""
    processes: list[Process] = getattr(batches, "_workers", [])
    if not processes:
        return ""
    wait_for_one([process.sentinel for process in processes], KILLED_SECONDS)
    killed = (process.exitcode for process in processes if process.exitcode is not None and process.exitcode < 0)
    return next((f"killed by signal: {signal.strsignal(-code)}." for code in killed), "")


def _start_decoder(_: int) -> None:
    """Let the training process handle signals; a process of the loader ends when that does."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
