"""Image files of any size and mode as 8-bit pixels of one size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image


def read_image(image: Image.Image, channels: int, size: tuple[int, int]) -> Tensor:
    """Return an image as uint8 (channels, *size): its shorter side resized, then its centre cropped (paper, section 2).

    It is rotated as its EXIF orientation says. Transparent parts become black. With 1 channel it is grey, with 3 it is
    red, green and blue.

    Raises:
        OSError: the file is damaged. Pillow's decoders raise other exceptions too.
    """
    import numpy as np
    from PIL import Image, ImageOps

    height, width = size
    mode = "RGB" if channels == 3 else "L"
    image.draft(mode, (max(size), max(size)))  # a JPEG need not be decoded much larger than it is used
    picture = _convert(ImageOps.exif_transpose(image), mode)
    picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(picture))
    return pixels.view(height, width, channels).permute(2, 0, 1)


def why_unreadable(error: Exception) -> str:
    """Return the reason in a decoder's exception, without the path, which the caller names."""
    from PIL import UnidentifiedImageError

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
