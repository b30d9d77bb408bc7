"""Recognise images that are nearly black because their samples use only the lower bits of their format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alexplore.training.data.images import open_image, range_used

LOOKED_AT = 8
"""The most images that are decoded to find out."""

DIM_SHARE = 0.25
"""The share of white below which the brightest sample of all of them counts as dim: 14 of 16 bits, or fewer."""

DEEP_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".pgm", ".pnm", ".jp2", ".j2k"})
"""Suffixes of formats that may have more than 8 bits a sample."""


def dim_text(folder: Path, paths: Sequence[str]) -> str:
    """Return a warning if images have more than 8 bits a sample and use only the lower ones; empty if not.

    At most `LOOKED_AT` of them are decoded. `paths` are relative to the folder, or absolute.
    """
    deep = [path for path in paths if Path(path).suffix.lower() in DEEP_SUFFIXES]
    some = deep[:: -(-len(deep) // LOOKED_AT) or 1]
    ranges = {path: found for path in some if (found := _range_used(folder / path))}
    if not ranges or any(largest > DIM_SHARE * white for largest, white in ranges.values()):
        return ""
    largest, white = max(ranges.values())
    bits = max(8, int(largest).bit_length())
    looked_at = next(iter(ranges)) if len(ranges) == 1 else f"{len(ranges)} images"
    return (
        f"nearly black: the brightest sample of {looked_at} is {largest:,.0f}, where {white:,.0f} is white, as if "
        f"{bits}-bit samples were in a file for more bits. The file's format decides; if that is wrong, multiply the "
        f"samples by {white // (2**bits - 1):,.0f} and save them again"
    )


def _range_used(path: Path) -> tuple[float, float] | None:
    try:
        with open_image(path) as image:
            return range_used(image)
    except MemoryError:
        raise
    except Exception:  # a damaged image is reported when it is read
        return None
