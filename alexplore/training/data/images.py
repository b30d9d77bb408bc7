"""Image files of any size and mode as 8-bit pixels of one size."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from alexplore.core.regular_files import open_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image


FORMATS = ("JPEG", "MPO", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF", "ICO", "TGA", "JPEG2000", "AVIF")
"""Pillow's names of the formats that are read. Pillow starts programs for some others, such as Ghostscript for EPS."""

MOST_PIXELS = 2**26
"""The most pixels of a picture, 8192 × 8192; its decoded copies take up to 0.5 GiB. For a JPEG, the size at which it is
decoded counts, which is up to 8 times smaller on each side. Without a limit, a file of some kB could fill the memory.
"""


GROUND = (0, 0, 0)
"""The colour that shows through transparent pixels: black."""

FLOAT_MARGIN = 0.1
"""How far floats may exceed the range from black to white, as filters overshoot it; they are clipped."""


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file; nothing is decoded yet.

    Raises:
        OSError: it is no regular file, or no image in one of `FORMATS`. Pillow raises other exceptions too.
    """
    from PIL import Image

    known = [name for name in FORMATS if name in _registered()]
    with open_regular(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `read_image` has its own limit
        with Image.open(file, formats=known) as image:
            yield image


def _registered() -> set[str]:
    """Return the formats that this Pillow can read."""
    from PIL import Image

    Image.init()
    return set(Image.OPEN)


def read_image(image: Image.Image, channels: int, size: tuple[int, int]) -> Tensor:
    """Return an image as uint8 (channels, *size): its shorter side resized, then its centre cropped (paper, section 2).

    It is rotated by its EXIF orientation. Transparent pixels are drawn over `GROUND`. With 1 channel it is grey, with 3
    it is red, green and blue. Samples of any number of bits are scaled by the value of white in their format, not by
    the picture's brightest pixel.

    Raises:
        OSError: the file is damaged, or has more than `MOST_PIXELS`. Pillow's decoders raise other exceptions too.
    """
    from PIL import Image, ImageOps

    height, width = size
    picture = decode(image, channels, size)
    return as_tensor(ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR))


def decode(image: Image.Image, channels: int, size: tuple[int, int]) -> Image.Image:
    """Return an image upright and in 8 bits, grey or in colour: see `read_image`, which resizes it to `size`.

    A JPEG of at least twice that size is decoded at 1/2, 1/4 or 1/8 of its own.

    Raises:
        OSError: see `read_image`.
    """
    from PIL import ImageOps

    mode = "RGB" if channels == 3 else "L"
    image.draft(mode, (max(size), max(size)))
    check_pixels(image.size)
    samples = _samples(image) if image.mode.startswith("I") or image.mode == "F" else None
    return _convert(ImageOps.exif_transpose(image), mode, samples)


def range_used(image: Image.Image) -> tuple[float, float] | None:
    """Return the largest sample of an image of integers with more than 8 bits, and the value of white in its format.

    Returns None for any other image, for one where 0 is white, and for one that is all black.

    Raises:
        OSError: see `read_image`.
    """
    if not image.mode.startswith("I"):
        return None
    check_pixels(image.size)
    samples = _samples(image)
    largest = float(_values(image, samples).max())
    return None if samples.is_inverted or not largest else (largest, samples.white)


def as_tensor(picture: Image.Image) -> Tensor:
    """Return the pixels of an 8-bit picture, grey or in colour, as uint8 (C, H, W)."""
    import numpy as np

    pixels = torch.from_numpy(np.array(picture))
    return pixels.view(picture.height, picture.width, -1).permute(2, 0, 1)


def check_pixels(size: tuple[int, int]) -> None:
    """Refuse a picture that would take too much memory.

    Raises:
        OSError: it has more than `MOST_PIXELS`.
    """
    width, height = size
    if width * height > MOST_PIXELS:
        raise OSError(
            f"{width:,} × {height:,} pixels are {width * height:,}, more than the {MOST_PIXELS:,} that are decoded; "
            "make the picture smaller"
        )


def why_unreadable(error: Exception) -> str:
    """Return the reason in a decoder's exception, without the path, which the caller names."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than the {MOST_PIXELS:,} pixels that are decoded; make the picture smaller"
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow knows"
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__


def _convert(image: Image.Image, mode: str, samples: _Samples | None) -> Image.Image:
    from PIL import Image

    if samples is not None:
        image = _eight_bits(image, samples)
    if image.mode == "LAB":
        image = image.convert("RGB")  # the only conversion that Pillow has
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*GROUND, 255)), image)
    return image.convert(mode)


class _Samples(NamedTuple):
    """The values of black and white in the samples of a grey image."""

    black: float
    white: float
    is_float: bool = False
    is_inverted: bool = False  # black and white are to be exchanged
    is_unsigned: bool = False  # of 32 bits, which Pillow reads as signed


def _eight_bits(image: Image.Image, samples: _Samples) -> Image.Image:
    """Convert a grey image of more than 8 bits to 8: the value of white in its format becomes 255.

    Pillow's own conversion would keep the lower 8 bits, or take floats for numbers from 0 to 255.

    Raises:
        OSError: it has floats that are not between black and white.
    """
    import numpy as np
    from PIL import Image

    black, white = samples.black, samples.white
    values = _values(image, samples).astype(np.float32)
    if samples.is_float:
        margin = FLOAT_MARGIN * (white - black)
        low, high = float(values.min()), float(values.max())
        if not (black - margin <= low and high <= white + margin):  # also refuses NaN
            raise OSError(
                f"its pixels are floats from {low:g} to {high:g}, and {black:g} to {white:g} stand for black to white; "
                "save it with those, or as integers"
            )
    scaled = ((values - black) / (white - black) * 255).clip(0, 255)
    if samples.is_inverted:
        scaled = 255 - scaled
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        scaled[values == transparent] = GROUND[0]
    return Image.fromarray(np.floor(scaled + 0.5).astype(np.uint8))


def _values(image: Image.Image, samples: _Samples) -> NDArray[Any]:
    """Return the samples of a grey image, (height, width)."""
    import numpy as np

    values = np.asarray(image)
    return values.astype(np.int32).view(np.uint32) if samples.is_unsigned else values


UNSIGNED, SIGNED = 1, 2
"""Values of TIFF's SampleFormat (tag 339)."""


def _samples(image: Image.Image) -> _Samples:
    """Return how to read the samples of an image file: 16 unsigned bits or floats from 0 to 1, unless a tag differs.

    Only TIFF has such tags. Source: TIFF 6.0, sections 8 and 19. Pillow scales the samples of a PGM to 16 bits.

    Raises:
        OSError: its tags for black and white are not valid.
    """
    is_float = image.mode == "F"
    tags = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None:
        return _Samples(0.0, 1.0 if is_float else 65535.0, is_float)
    bits, kind = int(_one(tags.get(BITS_PER_SAMPLE), 16)), int(_one(tags.get(SAMPLE_FORMAT), UNSIGNED))
    largest = 2.0 ** (bits - (kind == SIGNED)) - 1
    black = _one(tags.get(S_MIN_SAMPLE), 0.0)
    white = _one(tags.get(S_MAX_SAMPLE), 1.0 if is_float else largest)
    if not white > black:
        raise OSError(f"it states that {black:g} is black and {white:g} is white")
    inverted = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
    return _Samples(black, white, is_float, inverted, is_unsigned=kind == UNSIGNED and bits == 32)


BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT, S_MIN_SAMPLE, S_MAX_SAMPLE = 258, 262, 339, 340, 341
WHITE_IS_ZERO = 0


def _one(value: Any, default: float) -> float:
    """Return the number of a tag that may have one for each channel."""
    if isinstance(value, tuple):
        value = value[0] if value else None
    return default if value is None else float(value)
