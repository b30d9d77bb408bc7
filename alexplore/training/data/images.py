"""Pictures as people have them, of any size and mode, as 8-bit pixels of one size.

Pillow is imported when a picture is read, so that training on a data set that needs none works without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image


def read_image(image: Image.Image, channels: int, size: tuple[int, int]) -> Tensor:
    """A picture as uint8 (channels, *size): its shorter side resized, then its centre cropped (the paper, section 2).

    It is turned as its camera was held; where it is transparent it becomes black; one channel is grey, three are
    red, green and blue.

    Raises:
        OSError: its data is damaged (and other errors of Pillow's decoders).
    """
    from PIL import Image, ImageOps

    height, width = size
    mode = "RGB" if channels == 3 else "L"
    image.draft(mode, (max(size), max(size)))  # a JPEG need not be decoded much larger than it is used
    picture = _plain(ImageOps.exif_transpose(image), mode)
    picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(picture))
    return pixels.view(height, width, channels).permute(2, 0, 1)


def why_unreadable(error: Exception) -> str:
    """What a decoder's error says, without the path, which is named beside it."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow knows"
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__


def _plain(image: Image.Image, mode: str) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits a pixel, of which Pillow's own conversion would keep the lower 8
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray((values >> 8 if values.max() > 255 else values).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image.convert(mode)
