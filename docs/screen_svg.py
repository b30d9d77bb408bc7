"""Writes what an app shows as an SVG picture: for the README, and for the snapshots that tests compare.

Textual's own export numbers its styles and names them after a hash of the content, so that one changed cell changes
every line. Here a style is named after its colours, each run of text has a line of its own, and the same screen gives
the same file with any release of Textual.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import escape
from itertools import chain
from typing import Any

from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from textual._compositor import LayoutUpdate
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

CELL_WIDTH, CELL_HEIGHT = 12, 24  # pixels; the width of most monospaced fonts is 0.6 of their size
FONT_SIZE = 20
BASELINE = 18  # pixels from the top of a cell
MARGIN, TITLE_HEIGHT = 10, 40
FRAME, TITLE_COLOUR = "#292929", "#c5c8c6"
FONTS = "'Fira Code', 'DejaVu Sans Mono', Menlo, Consolas, monospace"


def screen_svg(app: App[Any], title: str = "") -> str:
    """Return the screen of a running app as SVG, in a window with a title if one is given."""
    rows = list(_rows(app))
    width, height = app.size
    top = TITLE_HEIGHT if title else MARGIN
    inner_width, inner_height = width * CELL_WIDTH, height * CELL_HEIGHT
    outer_width, outer_height = inner_width + 2 * MARGIN, inner_height + top + MARGIN
    ground = _commonest_background(rows)
    texts = [line for y, row in enumerate(rows) for line in _texts(row, y)]
    styles = sorted({style for style, _ in texts})
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {outer_width} {outer_height}" '
            f'font-family="{FONTS}" font-size="{FONT_SIZE}">',
            "<style>",
            *(f".{name} {{ {_css(name)} }}" for name in styles),
            "</style>",
            f'<rect width="{outer_width}" height="{outer_height}" rx="8" fill="{FRAME}"/>',
            *_title(title, outer_width),
            f'<g transform="translate({MARGIN}, {top})" xml:space="preserve">',
            f'<rect width="{inner_width}" height="{inner_height}" fill="#{ground}"/>',
            *(line for y, row in enumerate(rows) for line in _backgrounds(row, y, ground)),
            *(line for _, line in texts),
            "</g>",
            "</svg>",
            "",
        ]
    )


async def settled_svg(
    app: App[Any], pilot: Pilot[Any], title: str = "", *, expected: str = "", seconds: float = 2.0
) -> str:
    """Return the screen as soon as it is `expected`, or when it has not changed for `seconds`.

    Background threads may change it long after the last key. The cursors of text fields do not blink in it.
    """
    changed, picture = time.monotonic(), ""
    while True:
        await pilot.pause(0.02)
        for field in app.screen.query(Input):
            field.cursor_blink = False
        now = screen_svg(app, title)
        if now == expected:
            return now
        if now != picture:
            changed, picture = time.monotonic(), now
        elif time.monotonic() - changed > seconds:
            return picture


def _rows(app: App[Any]) -> Iterator[list[Segment]]:
    """Yield the lines of the screen; a dialog lies over the screens below it."""
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens, simplify=True)
    assert isinstance(update, LayoutUpdate)
    for strips in update.strips[: app.size.height]:
        yield [segment for segment in chain.from_iterable(strips) if not segment.control]


def _title(title: str, width: int) -> Iterable[str]:
    if not title:
        return ()
    return (
        f'<text x="{width // 2}" y="27" text-anchor="middle" font-weight="bold" fill="{TITLE_COLOUR}">'
        f"{escape(title)}</text>",
    )


def _commonest_background(rows: Iterable[list[Segment]]) -> str:
    cells: Counter[str] = Counter()
    for segment in chain.from_iterable(rows):
        cells[_colours(segment.style)[1]] += segment.cell_length
    return max(cells, key=lambda colour: cells[colour])


def _backgrounds(row: list[Segment], y: int, ground: str) -> Iterator[str]:
    """Yield a rectangle for each run of cells whose background is not `ground`."""
    left, colour, at = 0, "", 0
    for segment in [*row, Segment("")]:
        _, background = _colours(segment.style)
        ends = segment.text == "" or background != colour
        if ends and at > left and colour != ground:
            box = f'x="{left * CELL_WIDTH}" y="{y * CELL_HEIGHT}" width="{(at - left) * CELL_WIDTH}"'
            yield f'<rect {box} height="{CELL_HEIGHT}" fill="#{colour}" shape-rendering="crispEdges"/>'
        if ends:
            left, colour = at, background
        at += segment.cell_length


def _texts(row: list[Segment], y: int) -> Iterator[tuple[str, str]]:
    """Yield the name of the style and the element of each run of text in one style, without blanks around it."""
    at = 0
    for segment in row:
        text = segment.text.strip(" ")
        if text:
            left = at + len(segment.text) - len(segment.text.lstrip(" "))
            name = _style_name(segment.style)
            place = f'x="{left * CELL_WIDTH}" y="{y * CELL_HEIGHT + BASELINE}"'
            length = Segment(text).cell_length * CELL_WIDTH
            yield name, f'<text {place} textLength="{length}" class="{name}">{escape(text, quote=False)}</text>'
        at += segment.cell_length


@lru_cache(maxsize=4096)
def _colours(style: Style | None) -> tuple[str, str]:
    """Return foreground and background as six hexadecimal digits."""
    style, theme = style or Style(), DEFAULT_TERMINAL_THEME
    foreground = (style.color.get_truecolor(theme) if style.color else theme.foreground_color).hex[1:]
    background = (
        style.bgcolor.get_truecolor(theme, foreground=False) if style.bgcolor else theme.background_color
    ).hex[1:]
    return (background, foreground) if style.reverse else (foreground, background)


ATTRIBUTES = {
    "bold": "font-weight: bold",
    "italic": "font-style: italic",
    "underline": "text-decoration: underline",
    "dim": "opacity: 0.6",
}
"""The attributes of a style that are drawn, and the CSS for each."""


@lru_cache(maxsize=4096)
def _style_name(style: Style | None) -> str:
    """Return a name that says how a style looks, such as c-e0e0e0-bold."""
    foreground, _ = _colours(style)
    return "-".join(["c", foreground, *(name for name in ATTRIBUTES if getattr(style, name, False))])


def _css(style_name: str) -> str:
    _, colour, *attributes = style_name.split("-")
    return "; ".join([f"fill: #{colour}", *(ATTRIBUTES[name] for name in attributes)])
