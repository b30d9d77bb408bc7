"""Image folders with a folder for each class, decoded by worker processes."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from multiprocessing.connection import wait as wait_for_one
from multiprocessing.process import BaseProcess as Process
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from alexplore.core.cpu_count import processors
from alexplore.core.formatting import bytes_text
from alexplore.core.home import expand
from alexplore.runs.config import RunConfig
from alexplore.runs.dataset_shapes import dataset_shape
from alexplore.runs.image_layout import (
    DataError,
    Layout,
    LeftOut,
    class_folders,
    empty_text,
    find_layout,
    find_pictures,
    find_test_images,
)
from alexplore.runs.listed_images import list_pictures
from alexplore.runs.packed_images import Packed, read_packed
from alexplore.runs.trained_on import TrainedOn, check_classes, check_known
from alexplore.training.data.dataset import (
    Dataset,
    Report,
    check_fit,
    choose_balanced,
    damaged_text,
    mean_and_std,
)
from alexplore.training.data.decoded_images import DecodedImages, has_room
from alexplore.training.data.decoders import DECODERS, PILLOW, choose_decoder
from alexplore.training.data.dim_images import dim_text
from alexplore.training.data.images import open_image, why_unreadable
from alexplore.training.data.packed import PackedSplit
from alexplore.training.data.preprocess import IMAGENET_MEAN, IMAGENET_STD, resized_size
from alexplore.training.errors import killed_decoder_text
from alexplore.training.parallel.launched import die_with_parent
from alexplore.training.randomness import seed_for

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


def open_image_folder(
    config: RunConfig, device: torch.device, report: Report, trained_on: TrainedOn | None = None
) -> Dataset:
    """Return the images of the folder that a run names, grey if its network reads one channel, else in colour.

    The mean and the standard deviation are ImageNet's unless the recipe asks for the data set's own. If the run was
    trained before, its classes keep their order, and the images that it held out stay held out.

    Raises:
        DataError: no folder is named, it is laid out wrongly or does not fit the network, a class has no images, it has
            not the classes that the run was trained on, or the recipe's `resize` is too small.
    """
    shape = dataset_shape(config)
    layout = find_layout(expand(config.data.folder or ""))
    if trained_on is not None:
        check_classes(trained_on, layout.classes, layout.folder)
        layout = replace(layout, classes=trained_on.classes)
    check_fit(config.network, shape)
    size = resized_size(config.recipe, config.network.input)
    left_out = LeftOut(layout.folder)
    listings = _list_parts(config, layout, trained_on, left_out)
    decoder, warning = choose_decoder(trained_on.decoder if trained_on else None)
    if (packed := listings[0].packed) is not None:
        decoder, size = packed.decoder, (packed.side, packed.side)
    train, val = (
        open_split(listing.limited(limit), shape.channels, size, device, report, decoder=decoder, keep=True)
        for listing, limit in zip(listings, (config.data.limit_train, config.data.limit_val), strict=True)
    )
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    if config.recipe.normalize == "dataset" and trained_on is not None and len(trained_on.mean) == shape.channels:
        mean, std = trained_on.mean, trained_on.std  # what the weights were trained with, also if images were added
    elif config.recipe.normalize == "dataset":
        report("measuring the colours of the training images")
        mean, std = mean_and_std(train)
    elif shape.channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Dataset(
        "imagefolder",
        layout.classes,
        shape.channels,
        mean,
        std,
        train,
        val,
        size=size,
        held_out=listings[1].paths if layout.val is None else (),
        decoder=decoder,
        notes=(
            *(f"{layout.folder}: {text}" for text in (left_out.text, listings[0].dim_text) if text),
            *([warning] if warning else []),
        ),
    )


def _list_parts(
    config: RunConfig, layout: Layout, trained_on: TrainedOn | None, left_out: LeftOut
) -> tuple[Listing, Listing]:
    """Return the training and the validation images, without limits."""
    train = list_images(layout.train, layout.classes, left_out)
    if layout.val is not None:
        return train, list_images(layout.val, layout.classes, left_out)
    if trained_on is None or not trained_on.held_out:
        held_out = draw_held_out(train, config.data.val_share, config.recipe.seed)
    else:
        held_out = set(trained_on.held_out)
    parts = train.partition(held_out)
    for part, what in zip(parts, ("to train on", "to validate on"), strict=True):
        if not part.paths:
            known = f": none of the {len(held_out):,} that the run held out is there" if trained_on else ""
            raise DataError(
                f"{layout.train} has no image {what}{known}; {len(train.paths):,} in all. Add images, or name another "
                "folder with --data DIR"
            )
    return parts


def open_test_images(
    config: RunConfig,
    classes: tuple[str, ...],
    trained_on: TrainedOn | None,
    device: torch.device,
    report: Report,
    *,
    decoder: str = PILLOW,
    by_position: bool = False,
    elsewhere: bool = False,
) -> FolderSplit | PackedSplit:
    """Return the images to evaluate on: those in the folder's validation part, or all in a folder of test images alone.

    Of a folder from which the run held out images, only those are taken; a folder `elsewhere` is a copy of it if it has
    most of them. `classes` are the network's, by whose names the folders are labelled; with `by_position` also by their
    order, if there are as many.

    Raises:
        DataError: no folder is named, it can't be read, holds no images, or has classes that the network does not know.
    """
    if config.data.folder is None:
        dataset_shape(config)  # says what has to be named
    folder, found = find_test_images(expand(config.data.folder or ""))
    if by_position and not set(found) <= set(classes) and len(found) == len(classes):
        classes = found
    check_known(classes, found, folder)
    if missing := len(classes) - len(found):
        report(f"{folder} has images of {len(found):,} classes; {missing:,} others that the network knows have none")
    left_out = LeftOut(folder)
    listing = list_images(folder, classes, left_out, all_needed=False)
    if not listing.paths:
        raise DataError(f"{folder} has no images to evaluate on")
    if trained_on is not None and trained_on.held_out:
        _, held_out = listing.partition(set(trained_on.held_out))
        if not elsewhere or 2 * len(held_out.paths) > len(trained_on.held_out):
            listing = held_out
            report(f"evaluating on the {len(listing.paths):,} images that were held out of the training")
    for text in (left_out.text, listing.dim_text):
        if text:
            report(f"{folder}: {text}")
    channels = 1 if config.network.input[0] == 1 else 3
    size = resized_size(config.recipe, config.network.input)
    return open_split(listing.limited(config.data.limit_val), channels, size, device, report, decoder=decoder)


def open_unlabelled_images(
    config: RunConfig, device: torch.device, report: Report, decoder: str = PILLOW
) -> FolderSplit | None:
    """Return all images in a folder that has no folders of classes; None if it has some.

    Their labels, 0, mean nothing.

    Raises:
        DataError: the folder can't be read, or holds no images.
    """
    folder = expand(config.data.folder or "")
    if class_folders(folder):
        return None
    left_out = LeftOut(folder)
    paths = tuple(find_pictures(folder, left_out))
    if not paths:
        raise DataError(f"{folder} has no images to evaluate on")
    listing = Listing(folder, paths, torch.zeros(len(paths), dtype=torch.int64))
    for text in (left_out.text, listing.dim_text):
        if text:
            report(f"{folder}: {text}")
    channels = 1 if config.network.input[0] == 1 else 3
    size = resized_size(config.recipe, config.network.input)
    return FolderSplit(listing, channels, size, device, report, decoder=decoder)


@dataclass(frozen=True)
class Listing:
    """The images of one part of an image folder."""

    folder: Path

    paths: tuple[str, ...]
    """Relative to the folder."""

    labels: Tensor
    """int64 (N,): the indices of the classes."""

    packed: Packed | None = None
    """The packed folder that the images are in; None if they are in files of their own."""

    rows: Tensor | None = None
    """int64 (N,): their places among the packed images."""

    @property
    def dim_text(self) -> str:
        """A warning if the images are nearly black for a reason; see `dim_images`. Empty for packed ones."""
        return "" if self.packed else dim_text(self.folder, self.paths)

    def limited(self, limit: int | None) -> Listing:
        """Return the listing of `limit` images, taken from the classes in turn."""
        if limit is None:
            return self
        return self._choose(choose_balanced(self.labels, limit))

    def partition(self, held_out: Set[str]) -> tuple[Listing, Listing]:
        """Return the listings of the images whose paths are not in `held_out`, and of those whose paths are."""
        chosen = torch.tensor([path in held_out for path in self.paths], dtype=torch.bool)
        return self._choose((~chosen).nonzero()[:, 0]), self._choose(chosen.nonzero()[:, 0])

    def _choose(self, indices: Tensor) -> Listing:
        paths = tuple(self.paths[i] for i in indices.tolist())
        rows = None if self.rows is None else self.rows[indices]
        return Listing(self.folder, paths, self.labels[indices], self.packed, rows)


def draw_held_out(listing: Listing, share: float, seed: int) -> set[str]:
    """Return the paths of the images that are held out for validation: a share of each class, drawn by the seed.

    At least one image of each class is held out and at least one is trained on; a class of one image is trained on.
    The draw depends on the paths, not on the order of the listing.
    """
    by_class: dict[int, list[str]] = {}
    for path, label in zip(listing.paths, listing.labels.tolist(), strict=True):
        by_class.setdefault(label, []).append(path)
    held_out: set[str] = set()
    for paths in by_class.values():
        count = min(max(1, round(share * len(paths))), len(paths) - 1)
        held_out.update(sorted(paths, key=lambda path: (seed_for(seed, f"held out {path}"), path))[:count])
    return held_out


def list_images(folder: Path, classes: Sequence[str], left_out: LeftOut, *, all_needed: bool = True) -> Listing:
    """Return the images in a folder that contains a folder for each class; other files are counted in `left_out`.

    Raises:
        DataError: a class has no images although `all_needed`, or a folder can't be read.
    """
    if (packed := read_packed(folder)) is not None:
        listing = _list_packed(packed, classes)
        counts = torch.bincount(listing.labels, minlength=len(classes)).tolist()
        empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    else:
        pictures = list_pictures(folder, classes, left_out)
        empty = [name for name, found in pictures.items() if not found]
        sizes = torch.tensor([len(found) for found in pictures.values()], dtype=torch.int64)
        paths = tuple(path for found in pictures.values() for path in found)
        listing = Listing(folder, paths, torch.arange(len(sizes)).repeat_interleave(sizes))
    if empty and all_needed:
        raise DataError(empty_text(folder, empty))
    return listing


def _list_packed(packed: Packed, classes: Sequence[str]) -> Listing:
    """Return the packed images of the classes, in the order of the classes."""
    packed.check_sizes()
    paths, start = packed.paths(), 0
    places: dict[str, range] = {}
    for name, count in packed.classes.items():
        places[name] = range(start, start + count)
        start += count
    rows = [row for name in classes for row in places.get(name, ())]
    sizes = torch.tensor([len(places.get(name, ())) for name in classes])
    labels = torch.arange(len(classes)).repeat_interleave(sizes)
    return Listing(packed.folder, tuple(paths[row] for row in rows), labels, packed, torch.tensor(rows))


def open_split(
    listing: Listing,
    channels: int,
    size: tuple[int, int],
    device: torch.device,
    report: Report,
    *,
    decoder: str = PILLOW,
    keep: bool = False,
) -> FolderSplit | PackedSplit:
    """Return the split of a listing: of packed images in their own size, or of image files decoded to `size`."""
    if listing.packed is not None and listing.rows is not None:
        return PackedSplit(listing.packed, listing.paths, listing.labels, listing.rows, channels, device)
    return FolderSplit(listing, channels, size, device, report, decoder=decoder, keep=keep)


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
        return (
            images.to(self._device, non_blocking=True).permute(0, 3, 1, 2),
            self.labels[indices].to(self._device, non_blocking=True),
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
            pin_memory=self._device.type == "cuda",
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
        lost = {folder, *(folder / path.partition("/")[0] for path in paths)} if paths else set()
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
