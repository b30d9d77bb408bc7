"""Pictures in a terminal's own pixels, by Sixel or kitty's protocol, through the optional package textual-image."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import ControlType, Segment

from alexplore.core.picture import Picture
from alexplore.render.inside_pictures import enlarged, pixels_of

SHARP = ("SixelImage", "TGPImage")
"""The package's classes that draw pixels; what it chooses elsewhere, we draw ourselves, in half blocks."""

NOTHING = [(ControlType.CURSOR_FORWARD, 0)]
"""What marks a segment as code for the terminal, which Rich neither counts nor changes."""


def in_pixels(picture: Picture, console: Console, columns: int, lines: int) -> RenderableType | None:
    """Return a picture in pixels, enlarged by a whole factor to at most `columns` × `lines` characters.

    None without the package, where the output is no terminal, where the terminal shows no pixels, or where there is not
    one for each of the picture's.
    """
    if not (console.is_terminal and console.file.isatty() and sys.stdin is not None and sys.stdin.isatty()):
        return None
    package = _package()
    if package is None or package.Image not in [getattr(package, name) for name in SHARP]:
        return None
    cell = import_module("textual_image._terminal").get_cell_size()
    factor = min(columns * cell.width // picture.width, lines * cell.height // picture.height)
    if factor < 1:
        return None
    from PIL import Image

    return _Raw(package.Image(Image.fromarray(pixels_of(enlarged(picture, factor)))))


@cache
def _package() -> Any:
    """Return the package, which asks the terminal once when it is imported; None if it is not installed."""
    try:
        return import_module("textual_image.renderable")
    except ImportError:
        return None


class _Raw:
    """Draws an image; the codes that its texts are made of reach the terminal as they are."""

    def __init__(self, image: Any) -> None:
        self._image = image

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in self._image.__rich_console__(console, options):
            if isinstance(part, Segment) and not part.control and not part.text.isspace():
                yield Segment(part.text, part.style, NOTHING)
            else:
                yield part
