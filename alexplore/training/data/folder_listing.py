"""Which images an image folder has, and which of them are held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import LeftOut, empty_text
from alexplore.runs.data.listed_images import list_pictures
from alexplore.runs.data.packed_images import Packed, read_packed
from alexplore.training.data.dataset import choose_balanced
from alexplore.training.data.dim_images import dim_text
from alexplore.training.randomness import seed_for


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

    def notes(self, folder: Path, left_out: LeftOut) -> Iterator[str]:
        """Yield what to report of `folder`, of which this is a part: files left out, images that are nearly black."""
        dim = "" if self.packed else dim_text(self.folder, self.paths)
        yield from (f"{folder}: {text}" for text in (left_out.text, dim) if text)

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
