"""Pictures in a terminal's pixels: where it has them, and half blocks elsewhere."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from alexplore.cli.output import console as cli_console
from alexplore.core.picture import Picture
from alexplore.render import pixels
from alexplore.render.inside_views import drawn
from alexplore.render.pixels import in_pixels

PICTURE = Picture(2, 3, 3, bytes(range(18)))
CELL = SimpleNamespace(width=10, height=20)
SIXEL, KITTY = "\x1bP", "\U0010eeee"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(monkeypatch: pytest.MonkeyPatch, kind: str) -> str:
    """Return what a terminal of cells of 10×20 pixels gets, for which the package has chosen a class."""
    package: Any = pytest.importorskip("textual_image.renderable")
    screen = Terminal()
    for name in ("stdin", "stdout", "__stdout__"):
        monkeypatch.setattr(sys, name, screen)
    for module in ("_terminal", "renderable.sixel", "renderable.tgp"):
        monkeypatch.setattr(f"textual_image.{module}.get_cell_size", lambda: CELL)
    monkeypatch.setattr(pixels, "_package", lambda: package)
    monkeypatch.setattr(package, "Image", getattr(package, kind))
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    out = cli_console()
    for line in drawn(PICTURE, out):
        out.print(line)
    return screen.getvalue()


@pytest.mark.parametrize(("kind", "code"), [("SixelImage", SIXEL), ("TGPImage", KITTY)])
def test_a_terminal_with_pixels_gets_them(monkeypatch: pytest.MonkeyPatch, kind: str, code: str) -> None:
    text = printed(monkeypatch, kind)
    assert code in text
    assert "\x1b[48;2;" not in text


@pytest.mark.parametrize("kind", ["HalfcellImage", "UnicodeImage"])
def test_a_terminal_without_gets_our_half_blocks(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    text = printed(monkeypatch, kind)
    assert SIXEL not in text
    assert KITTY not in text
    assert "\x1b[48;2;" in text  # cells with a background


def test_without_the_package_and_in_a_file_there_are_no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_pixels(PICTURE, Console(file=io.StringIO(), force_terminal=True), 80, 24) is None
    monkeypatch.setitem(sys.modules, "textual_image.renderable", None)
    pixels._package.cache_clear()
    assert pixels._package() is None
    pixels._package.cache_clear()
