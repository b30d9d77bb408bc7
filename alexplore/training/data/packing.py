"""Pack an image folder: decode every image once, to shards of one size (see `alexplore.runs.data.packed_images`).

The shorter side is resized and the centre cropped (paper, section 2, with a side of 256). Complete shards are kept:
packing that was killed continues after the last one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from alexplore.core.atomic_files import write_atomically
from alexplore.core.formatting import bytes_text
from alexplore.core.home import resolved
from alexplore.core.regular_files import open_regular, parse_json, read_text
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import JUNK_FOLDERS, LeftOut, entries, find_layout
from alexplore.runs.data.packed_images import CHANNELS, INDEX, PATHS, Packed, PackedError, Shard, read_packed
from alexplore.training.data.cache import lock
from alexplore.training.data.dataset import Report, damaged_text
from alexplore.training.data.decoders import choose_decoder
from alexplore.training.data.folder_listing import Listing, list_images
from alexplore.training.data.folder_split import FolderSplit

SHARD_IMAGES, BATCH = 1024, 64
PROGRESS = "progress.jsonl"
REPORT_SECONDS = 2.0

SHARD_NAME = re.compile(r"shard-([0-9]{5,})\.(u8|part)")
"""The name of a shard, or of one that is being written; `shard-00000.tar` is WebDataset's."""


def pack(source: Path, target: Path, side: int, report: Report) -> list[Packed]:
    """Pack the parts of an image folder into a separate folder, and return them.

    Raises:
        DataError: the image folder can't be read, or has a name with a line end; `target` is inside it, or has files
            that packing did not write; another process packs into it; or there is no room.
        PackedError: what is packed in `target` is damaged.
    """
    layout = find_layout(source)
    if read_packed(layout.train) is not None:
        raise DataError(f"{source} is packed already")
    if resolved(target).is_relative_to(resolved(source)):
        raise DataError(f"{target} is inside {source}, of which it would become a class; choose another --output")
    parts = [(layout.train, target / layout.train.name)] if layout.val else [(layout.train, target)]
    if layout.val is not None:
        parts.append((layout.val, target / layout.val.name))
    _check_own(target, [own for _, own in parts])
    left_out = LeftOut(source)
    listings = [(list_images(folder, layout.classes, left_out), own) for folder, own in parts]
    for listing, _ in listings:
        _check_names(listing)
    for note in listings[0][0].notes(source, left_out):
        report(note)
    target.mkdir(parents=True, exist_ok=True)
    with _locked(target):
        need = sum(len(listing.paths) * side**2 * CHANNELS for listing, _ in listings)
        have = sum(file.stat().st_size for _, own in listings for _, file in _shard_files(own))
        if need - have > (free := shutil.disk_usage(target).free):
            raise DataError(
                f"{target}: {sum(len(listing.paths) for listing, _ in listings):,} images of {side}×{side} pixels take "
                f"{bytes_text(need)}, and {bytes_text(free + have)} are free: choose a smaller --side or another "
                "--output",
                failure=True,
            )
        return [_pack_part(listing, layout.classes, own, side, report) for listing, own in listings]


def check(packed: Packed, report: Report) -> None:
    """Read all shards of a packed part and compare their checksums.

    Raises:
        PackedError: one is damaged.
    """
    packed.check_sizes()
    packed.paths()
    for number, shard in enumerate(packed.shards):
        with open_regular(packed.shard_file(number)) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
                raise PackedError(f"{packed.shard_file(number)} is damaged: its checksum is wrong; pack it again")
    report(f"{packed.folder}: all {packed.images:,} images are as they were written (shards: {len(packed.shards):,})")


def _check_own(target: Path, folders: list[Path]) -> None:
    """Refuse a target with files that packing did not write; `folders` are those of the parts.

    Raises:
        DataError: a folder has entries, but no sign of a packing.
    """
    names = {target: _visible(target) - {own.name for own in folders if own != target}}
    names.update({own: _visible(own) for own in folders})
    begun = {own for own in folders if any((own / file).exists() for file in (INDEX, PROGRESS))}
    for folder, found in names.items():
        if found and folder not in begun and not (folder == target and begun):
            raise DataError(
                f"{folder} has other files in it ({min(found)}), and packed images need a folder of their own: choose "
                "another --output"
            )


def _check_names(listing: Listing) -> None:
    """Refuse paths that paths.txt, with a path in each line, can't hold.

    Raises:
        DataError: a path has a line end in it.
    """
    if wrong := [path for path in listing.paths if "\n" in path]:
        raise DataError(
            f"{str(listing.folder / wrong[0])!r}: there is a line end in this name ({len(wrong):,} in all), which a "
            "packed folder can't have: rename it"
        )


def _visible(folder: Path) -> set[str]:
    """Return the names in a folder, without hidden ones, such as the lock, and those that systems add."""
    found = entries(folder) if folder.exists() else []
    return {entry.name for entry in found if not entry.name.startswith(".")} - JUNK_FOLDERS


def _shard_files(folder: Path) -> list[tuple[int, Path]]:
    """Return the numbers and the paths of the shards in a folder, also of those that are being written."""
    found = [(SHARD_NAME.fullmatch(entry.name), entry) for entry in entries(folder)] if folder.is_dir() else []
    return [(int(match[1]), Path(entry.path)) for match, entry in found if match and entry.is_file()]


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    with (target / ".lock").open("w") as file:
        if lock(file) is False:  # without locks, the user alone knows whether another process packs into it
            raise DataError(f"another process is packing into {target}: wait for it, or choose another --output")
        yield


def _pack_part(listing: Listing, classes: tuple[str, ...], folder: Path, side: int, report: Report) -> Packed:
    """Pack one part, from where an earlier attempt ended."""
    decoder, _ = choose_decoder()
    identity = _identity(listing, side, decoder)
    folder.mkdir(parents=True, exist_ok=True)
    progress = _Progress(folder / PROGRESS, identity)
    if (done := read_packed(folder)) is not None:
        if progress.finished_identity() == identity:
            report(f"{folder}: packed already, {done.images:,} images")
            done.check_sizes()
            return done
        report(
            f"{folder}: packed before from other files, with another --side or decoder, or by an earlier version; "
            "packing it again"
        )
        (folder / INDEX).unlink()
    shards, damaged = progress.read(side)
    split = FolderSplit(listing, CHANNELS, (side, side), torch.device("cpu"), lambda _: None, decoder=decoder)
    total, first = len(listing.paths), len(shards) * SHARD_IMAGES
    if shards:
        report(f"{folder}: {first:,} of {total:,} images were packed before")
    started = reported = time.monotonic()
    for start in range(first, total, SHARD_IMAGES):
        indices = torch.arange(start, min(total, start + SHARD_IMAGES))
        shard = _write_shard(split, indices, folder / f"shard-{len(shards):05}.u8")
        unread = [i for i in indices.tolist() if split.path(i) in split.damaged]
        lost = {listing.paths[i]: split.damaged[split.path(i)] for i in unread}
        for path, reason in lost.items():
            report(damaged_text(path, reason))
        damaged |= lost
        shards.append(shard)
        progress.add(shard, lost)
        now, done_now = time.monotonic(), int(indices[-1]) + 1
        if now - reported > REPORT_SECONDS or done_now == total:
            speed = (done_now - first) / (now - started)
            left = (total - done_now) / speed
            report(f"{folder}: {done_now:,} of {total:,} images, {speed:,.0f} images/s, {left:,.0f} s left")
            reported = now
    kept = [i for i, path in enumerate(listing.paths) if path not in damaged]
    content = "".join(f"{listing.paths[i]}\n" for i in kept).encode(errors="surrogateescape")
    counts = torch.bincount(listing.labels[kept], minlength=len(classes)).tolist()
    packed = Packed(
        folder,
        side,
        decoder,
        dict(zip(classes, counts, strict=True)),
        tuple(shards),
        hashlib.sha256(content).hexdigest(),
        damaged,
    )
    write_atomically(folder / PATHS, content)
    write_atomically(folder / INDEX, json.dumps(packed.to_dict(), indent=1) + "\n")
    return packed


def _identity(listing: Listing, side: int, decoder: str) -> str:
    """Return what tells whether the pixels would be the same: the files with their states, and how they are decoded.

    The states are those before the first file is read: one that is replaced meanwhile has another the next time.
    """
    digest = hashlib.sha256(f"{side}\n{decoder}\n".encode())
    above = f"{listing.folder}{os.sep}"
    for path in listing.paths:
        try:
            status = os.stat(above + path)  # noqa: PTH116 (a Path for each of a million takes as long again)
            state = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:  # reported when it is read
            state = "unread"
        digest.update(f"{path}\n{state}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _write_shard(split: FolderSplit, indices: torch.Tensor, file: Path) -> Shard:
    """Decode images into a new shard, which gets its name when it is complete."""
    work, digest, images = file.with_suffix(".part"), hashlib.sha256(), 0
    with work.open("wb") as out:
        for batch, _ in split.batches(indices, BATCH):
            content = batch.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
            digest.update(content)
            out.write(content)
            images += len(batch)
        out.flush()
        os.fsync(out.fileno())
    work.replace(file)
    return Shard(images, digest.hexdigest())


class _Progress:
    """The shards that are complete, one line for each, after a line that identifies the images."""

    def __init__(self, file: Path, identity: str) -> None:
        self._file, self._identity = file, identity

    def finished_identity(self) -> str | None:
        """Return the identity of the images that the lines are about; None if there are no lines."""
        try:
            first = read_text(self._file).partition("\n")[0]
            return str(parse_json(first)["images"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def read(self, side: int) -> tuple[list[Shard], dict[str, str]]:
        """Return the complete shards and the damaged images in them; start again if they are of other images."""
        lines: list[str] = []
        shards: list[Shard] = []
        damaged: dict[str, str] = {}
        if self.finished_identity() == self._identity:
            for line in read_text(self._file).split("\n")[1:]:
                try:
                    values = parse_json(line)
                    shard = Shard(int(values["count"]), str(values["sha256"]))
                    file = self._file.with_name(f"shard-{len(shards):05}.u8")
                    if file.stat().st_size != shard.images * side**2 * CHANNELS:
                        break
                    damaged.update(values["damaged"])
                except (ValueError, KeyError, TypeError, AttributeError, OSError):
                    break  # a line that was cut when the machine stopped, or a shard that is gone
                shards.append(shard)
                lines.append(line)
        for number, old in _shard_files(self._file.parent):
            if old.suffix == ".part" or number >= len(shards):
                old.unlink()
        write_atomically(self._file, "".join(f"{line}\n" for line in (json.dumps({"images": self._identity}), *lines)))
        return shards, damaged

    def add(self, shard: Shard, damaged: dict[str, str]) -> None:
        """Add a shard that is on the disk."""
        with self._file.open("a") as file:
            file.write(json.dumps({"count": shard.images, "sha256": shard.sha256, "damaged": damaged}) + "\n")
            file.flush()
            os.fsync(file.fileno())
