"""Packed folders: image folders decoded once into shards of 8-bit pixels of one size. No torch.

`alexplore data pack` writes one beside an image folder, with the same parts (`train`, `val`). Each part has

    packed.json         side, decoder, classes with their numbers of images, shards with their SHA-256, damaged images
    paths.txt           the path of each image in the image folder, in the order of the shards
    shard-00000.u8 …    images (side, side, 3), one after the other

It can be used in place of the image folder: it has the same classes, and the same images by their paths.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexplore.core.errors import AlexploreError
from alexplore.core.regular_files import check_regular, open_regular, read_json_object

INDEX, PATHS = "packed.json", "paths.txt"
FORMAT = 1
CHANNELS = 3


class PackedError(AlexploreError):
    """A packed folder is damaged or of another version; the message names the file and says what to do."""


@dataclass(frozen=True)
class Shard:
    """A file of pixels."""

    images: int
    sha256: str


@dataclass(frozen=True)
class Packed:
    """One part of a packed folder."""

    folder: Path
    side: int
    decoder: str
    classes: Mapping[str, int]
    """Numbers of images by class, in the order of the shards."""
    shards: Sequence[Shard]
    paths_sha256: str
    damaged: Mapping[str, str]
    """Reasons why images could not be decoded, by their paths."""

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(self.classes.values())

    @property
    def image_bytes(self) -> int:
        """The bytes of an image."""
        return self.side**2 * CHANNELS

    def shard_file(self, number: int) -> Path:
        """Return the path of a shard."""
        return self.folder / f"shard-{number:05}.u8"

    def paths(self) -> list[str]:
        """Return the paths of the images, relative to the image folder's part.

        Raises:
            PackedError: paths.txt can't be read, was changed, or has another number of paths than there are images.
        """
        file = self.folder / PATHS
        try:
            with open_regular(file) as opened:
                content = opened.read()
        except OSError as error:
            raise PackedError(f"{file}: {error.strerror}; {AGAIN}") from None
        if hashlib.sha256(content).hexdigest() != self.paths_sha256:
            raise PackedError(f"{file} is damaged: its checksum is wrong; {AGAIN}")
        # not splitlines: a name may have other characters that end lines, such as U+2028
        paths = content.decode(errors="surrogateescape").split("\n")[:-1]
        if len(paths) != self.images:
            raise PackedError(f"{file} has {len(paths):,} paths for {self.images:,} images; {AGAIN}")
        return paths

    def check_sizes(self) -> None:
        """Check that every shard has the size that it was written with.

        Raises:
            PackedError: a shard is missing or has another size.
        """
        for number, shard in enumerate(self.shards):
            file = self.shard_file(number)
            try:
                check_regular(file)
                size = file.stat().st_size
            except OSError as error:
                raise PackedError(f"{file}: {error.strerror}; {AGAIN}") from None
            if size != shard.images * self.image_bytes:
                wanted = shard.images * self.image_bytes
                raise PackedError(f"{file} is damaged: it has {size:,} bytes instead of {wanted:,}; {AGAIN}")

    def to_dict(self) -> dict[str, Any]:
        """Return what packed.json holds."""
        return {
            "format": FORMAT,
            "side": self.side,
            "decoder": self.decoder,
            "classes": dict(self.classes),
            "shards": [[shard.images, shard.sha256] for shard in self.shards],
            "paths_sha256": self.paths_sha256,
            "damaged": dict(self.damaged),
        }


AGAIN = "pack the image folder again with: alexplore data pack"


def read_packed(folder: Path) -> Packed | None:
    """Return the packed folder at a path; None if it is not one.

    Raises:
        PackedError: its packed.json can't be read.
    """
    file = folder / INDEX
    try:
        values = read_json_object(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise PackedError(f"{file} can't be read: {error}; {AGAIN}") from None
    if values.get("format") != FORMAT:
        raise PackedError(f"{file}: format {values.get('format')!r}, allowed: {FORMAT}; {AGAIN}")
    try:
        packed = Packed(
            folder,
            _count(values["side"]),
            str(values["decoder"]),
            {str(name): _count(count) for name, count in values["classes"].items()},
            tuple(Shard(_count(images), str(digest)) for images, digest in values["shards"]),
            str(values["paths_sha256"]),
            {str(path): str(reason) for path, reason in values["damaged"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PackedError(f"{file} is damaged ({type(error).__name__}: {error}); {AGAIN}") from None
    if packed.images != sum(shard.images for shard in packed.shards):
        raise PackedError(f"{file} is damaged: its classes and its shards have different numbers of images; {AGAIN}")
    return packed


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value
