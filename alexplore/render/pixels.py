"""Pictures in a terminal's own pixels, by Sixel or kitty's protocol, through the optional package textual-image.

A picture is enlarged by a whole factor. If that takes too many bytes, it is enlarged less, then gets fewer values a
colour; a terminal that can scale pictures enlarges it the rest of the way.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from alexplore.core.picture import Picture
from alexplore.render.inside_pictures import Colours, pixels_of
from alexplore.render.terminal_pixels import PixelPicture, Pixels, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Cells = tuple[int, int]

LEVELS = (256, 16, 9)
"""The numbers of values of each colour, tried in turn until a picture takes few enough bytes."""

MOST_FACTOR = 24
"""The most pixels per side that one pixel is enlarged to."""

LEAST_SHARE = 0.5
"""The smallest share of the available size: what would be smaller is drawn in half blocks, unless it can be scaled."""

KITTY_CHUNK = 4096
"""The most bytes of an image in one escape sequence. Source: kitty's documentation, "Transferring pixel data"."""


def in_pixels(
    picture: Picture, pixels: Pixels, columns: int, lines: int, most_bytes: int | None = None, *, number: int = 1
) -> PixelPicture | None:
    """Return a picture that fills at most `columns` × `lines` cells and takes at most `most_bytes` bytes.

    `number` identifies it in the terminal. None if it would be less than half as large as there is room for, takes too
    many bytes in any way, or if the package textual-image is not installed.
    """
    encoder = ENCODERS[pixels.protocol]
    source = pixels_of(picture)
    room = min(columns * pixels.cell_width / picture.width, lines * pixels.cell_height / picture.height)
    largest = min(MOST_FACTOR, int(room))
    try:
        if not largest or not _fits(source, encoder, most_bytes):
            return None
        for levels in LEVELS:
            shown = _reduced(source, levels)
            for factor in _factors(shown, largest, encoder, most_bytes):
                scaled = encoder.scales and factor < largest
                size = largest if scaled else factor
                cells = size * picture.width / pixels.cell_width, size * picture.height / pixels.cell_height
                columns, lines = (max(1, round(one)) if scaled else ceil(one) for one in cells)
                code = encoder.encode(_enlarged(shown, factor), number, (columns, lines) if scaled else None)
                if most_bytes is None or len(code) <= most_bytes:
                    return PixelPicture(columns, lines, code, encoder.removal.format(number))
    except ImportError:
        return None
    return None


def _fits(source: Colours, encoder: Encoder, most_bytes: int | None) -> bool:
    """Return whether the coarsest picture takes few enough bytes: if not, no other has to be tried."""
    return most_bytes is None or len(encoder.encode(_reduced(source, LEVELS[-1]), 0, None)) <= most_bytes


def _factors(shown: Colours, largest: int, encoder: Encoder, most_bytes: int | None) -> tuple[int, ...]:
    """Return the factors to try: the largest that may fit into `most_bytes`, and smaller ones."""
    if most_bytes is None:
        return (largest,)
    fitting = (most_bytes / len(encoder.encode(shown, 0, None))) ** (1 / encoder.growth)
    first = min(largest, int(fitting))
    least = 1 if encoder.scales else LEAST_SHARE * largest
    return tuple(factor for factor in dict.fromkeys((first, int(0.75 * first), 1)) if least <= factor <= first)


def _reduced(pixels: Colours, levels: int) -> Colours:
    """Return pixels of which each colour has one of `levels` values from 0 to 255."""
    step = 255 / (levels - 1)
    reduced: Colours = np.rint(np.rint(pixels / step) * step).astype(np.uint8)
    return reduced


def _enlarged(pixels: Colours, factor: int) -> Colours:
    return pixels.repeat(factor, 0).repeat(factor, 1)


def _kitty(pixels: Colours, number: int, cells: Cells | None) -> str:
    """Return the code of kitty's protocol: a PNG file, in chunks. The cursor stays, and the terminal does not answer.

    The terminal scales it to `cells`; without, it keeps its size.

    Source: "Terminal graphics protocol", kitty's documentation.
    """
    output = io.BytesIO()
    _image(pixels).save(output, "PNG")
    data = base64.b64encode(output.getvalue()).decode("ascii")
    starts = range(0, len(data), KITTY_CHUNK)
    parts = []
    scale = f"c={cells[0]},r={cells[1]}," if cells else ""
    for start in starts:
        first = f"a=T,f=100,i={number},{scale}C=1,q=2," if start == 0 else ""
        parts.append(f"\x1b_G{first}m={int(start != starts[-1])};{data[start : start + KITTY_CHUNK]}\x1b\\")
    return "".join(parts)


def _sixel(pixels: Colours, _number: int, _cells: Cells | None) -> str:
    """Return a picture in Sixel; the cursor is put back to where it was.

    textual-image defines a colour and draws with it at once, but xterm needs it to be selected as well.

    Raises:
        ImportError: the package textual-image is not installed, or too old.
    """
    from textual_image._sixel import image_to_sixels

    code = COLOUR_DEFINITION.sub(r"\g<0>#\1", image_to_sixels(_image(pixels)))
    return f"\x1b7{code}\x1b8"


COLOUR_DEFINITION = re.compile(r"#(\d+);2;\d+;\d+;\d+")


def _image(pixels: Colours) -> PillowImage:
    """Return a Pillow image, with one channel if all pixels are grey, which takes a third of the bytes."""
    from PIL import Image

    grey = bool((pixels == pixels[..., :1]).all())
    return Image.fromarray(pixels[..., 0] if grey else pixels)


@dataclass(frozen=True)
class Encoder:
    """A protocol: `encode` takes pixels, a number, and the cells that the terminal scales them to.

    `removal` removes the picture with a number. `scales` is whether terminals scale pictures. A picture enlarged
    by a factor takes about factor^`growth` times the bytes.
    """

    encode: Callable[[Colours, int, Cells | None], str]
    removal: str
    growth: float
    scales: bool


ENCODERS: Mapping[Protocol, Encoder] = {
    "kitty": Encoder(_kitty, "\x1b_Ga=d,d=I,i={},q=2\x1b\\", 0.45, scales=True),
    "sixel": Encoder(_sixel, "", 0.75, scales=False),
}
