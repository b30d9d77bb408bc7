"""Image files of any size and mode as 8-bit pixels of one size."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from alexplore.core.regular_files import open_regular

if TYPE_CHECKING:
    from PIL import Image


FORMATS = ("JPEG", "MPO", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF", "ICO", "TGA", "JPEG2000", "AVIF")
"""Pillow's names of the formats that are read. Others it reads by starting programs: Ghostscript for EPS."""

MOST_PIXELS = 2**26
"""Pixels of a picture at most, 8192 × 8192; its decoded copies take up to 0.5 GiB. A JPEG counts as it is decoded, up
to 8 times smaller on each side. A compressed file of some kB may hold thousands of times as many.
"""


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

    It is rotated as its EXIF orientation says. Transparent parts become black. With 1 channel it is grey, with 3 it is
    red, green and blue.

    Raises:
        OSError: the file is damaged, or has more than `MOST_PIXELS`. Pillow's decoders raise other exceptions too.
    """
    import numpy as np
    from PIL import Image, ImageOps

    height, width = size
    mode = "RGB" if channels == 3 else "L"
    image.draft(mode, (max(size), max(size)))  # a JPEG need not be decoded much larger than it is used
    check_pixels(image.size)
    picture = _convert(ImageOps.exif_transpose(image), mode)
    picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(picture))
    return pixels.view(height, width, channels).permute(2, 0, 1)


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


def _convert(image: Image.Image, mode: str) -> Image.Image:
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits a pixel, of which Pillow's own conversion would keep the lower 8
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray((values >> 8 if values.max() > 255 else values).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image.convert(mode)
