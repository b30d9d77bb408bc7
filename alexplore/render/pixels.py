"""Pictures in a terminal's own pixels, by Sixel or kitty's protocol, through the optional package textual-image.

A picture is enlarged by a whole factor. If it takes too many bytes, it gets fewer pixels, then fewer values a colour.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alexplore.core.picture import Picture
from alexplore.render.inside_pictures import Colours, pixels_of
from alexplore.render.terminal_pixels import PixelPicture, Pixels, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

LEVELS = (256, 16, 9)
"""The numbers of values of each colour, tried in turn until a picture takes few enough bytes."""

MOST_FACTOR = 24
"""The most pixels per side that one pixel is enlarged to."""

LEAST_SHARE = 0.5
"""The smallest share of the available size: a picture that would be smaller is drawn in half blocks instead."""

KITTY_CHUNK = 4096
"""The most bytes of an image in one escape sequence. Source: kitty's documentation, "Transferring pixel data"."""


def in_pixels(
    picture: Picture, pixels: Pixels, columns: int, lines: int, most_bytes: int | None = None, *, number: int = 1
) -> PixelPicture | None:
    """Return a picture that fills at most `columns` × `lines` cells and takes at most `most_bytes` bytes.

    `number` identifies it in the terminal. None if it would be less than half as large as there is room for, or if the
    package textual-image is not installed.
    """
    encoder = ENCODERS[pixels.protocol]
    source = pixels_of(picture)
    room = min(columns * pixels.cell_width / picture.width, lines * pixels.cell_height / picture.height)
    largest = min(MOST_FACTOR, int(room))
    try:
        for levels in LEVELS if largest else ():
            shown = _reduced(source, levels)
            for factor in _factors(shown, largest, encoder, most_bytes):
                code = encoder.encode(_enlarged(shown, factor), number)
                if most_bytes is None or len(code) <= most_bytes:
                    width, height = picture.width * factor, picture.height * factor
                    cells = -(-width // pixels.cell_width), -(-height // pixels.cell_height)
                    return PixelPicture(*cells, code, encoder.removal.format(number))
    except ImportError:
        return None
    return None


def _factors(shown: Colours, largest: int, encoder: Encoder, most_bytes: int | None) -> tuple[int, ...]:
    """Return the factors to try: the largest that may fit into `most_bytes`, and a smaller one."""
    if most_bytes is None:
        return (largest,)
    fitting = (most_bytes / len(encoder.encode(shown, 0))) ** (1 / encoder.growth)
    first = min(largest, int(fitting))
    return tuple(factor for factor in dict.fromkeys((first, int(0.75 * first))) if factor >= LEAST_SHARE * largest)


def _reduced(pixels: Colours, levels: int) -> Colours:
    """Return pixels of which each colour has one of `levels` values from 0 to 255."""
    step = 255 / (levels - 1)
    reduced: Colours = np.rint(np.rint(pixels / step) * step).astype(np.uint8)
    return reduced


def _enlarged(pixels: Colours, factor: int) -> Colours:
    return pixels.repeat(factor, 0).repeat(factor, 1)


def _kitty(pixels: Colours, number: int) -> str:
    """Return the code of kitty's protocol: a PNG file, in chunks. The cursor stays, and the terminal does not answer.

    Source: "Terminal graphics protocol", kitty's documentation.
    """
    output = io.BytesIO()
    _image(pixels).save(output, "PNG")
    data = base64.b64encode(output.getvalue()).decode("ascii")
    starts = range(0, len(data), KITTY_CHUNK)
    parts = []
    for start in starts:
        first = f"a=T,f=100,i={number},C=1,q=2," if start == 0 else ""
        parts.append(f"\x1b_G{first}m={int(start != starts[-1])};{data[start : start + KITTY_CHUNK]}\x1b\\")
    return "".join(parts)


def _sixel(pixels: Colours, _: int) -> str:
    """Return a picture in Sixel; the cursor is put back to where it was.

    Raises:
        ImportError: the package textual-image is not installed, or too old.
    """
    from textual_image._sixel import image_to_sixels

    return f"\x1b7{image_to_sixels(_image(pixels))}\x1b8"


def _image(pixels: Colours) -> PillowImage:
    """Return a Pillow image, with one channel if all pixels are grey, which takes a third of the bytes."""
    from PIL import Image

    grey = bool((pixels == pixels[..., :1]).all())
    return Image.fromarray(pixels[..., 0] if grey else pixels)


@dataclass(frozen=True)
class Encoder:
    """A protocol: `encode` takes pixels and a number; `removal` removes the picture with that number.

    A picture that is enlarged by a factor takes about factor^`growth` times as many bytes.
    """

    encode: Callable[[Colours, int], str]
    removal: str
    growth: float


ENCODERS: Mapping[Protocol, Encoder] = {
    "kitty": Encoder(_kitty, "\x1b_Ga=d,d=I,i={},q=2\x1b\\", 0.45),
    "sixel": Encoder(_sixel, "", 0.75),
}
