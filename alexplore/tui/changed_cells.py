"""Write only the cells that changed to the terminal, for users with slow connections.

Textual writes every line of a widget that is drawn again, and the full colours of each piece of it. Here the terminal's
cells are remembered, and an update is reduced to the cells that differ.

A picture in pixels is drawn over blank cells that carry its number, as soon as all of them are shown. When one of them
shows something else, the picture is removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import ControlType, Segment
from rich.style import Style
from textual._compositor import CompositorUpdate
from textual.strip import Strip

from alexplore.tui.terminal_pictures import META, TerminalPictures

WORTH_A_JUMP = 5  # from so many unchanged cells on, moving the cursor takes fewer bytes than writing them again


ENDS: Mapping[str, str] = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "7": "27", "8": "28", "9": "29"}
"""The codes that end attributes: bold and dim share one."""


LEVELS = (0, 95, 135, 175, 215, 255)
PALETTE: Mapping[tuple[int, int, int], int] = {
    **{
        (red, green, blue): 16 + 36 * r + 6 * g + b
        for r, red in enumerate(LEVELS)
        for g, green in enumerate(LEVELS)
        for b, blue in enumerate(LEVELS)
    },
    **{(8 + 10 * number,) * 3: 232 + number for number in range(24)},
}
"""The colours of xterm's palette that all terminals share: a cube of 6 values a channel, and 24 greys."""


def shorter(code: str) -> str:
    """Return the code of a colour, by its number in the palette if that has exactly this colour."""
    ground, _, colour = code.partition(";2;")
    if not colour or ground not in ("38", "48"):
        return code
    red, green, blue = map(int, colour.split(";"))
    number = PALETTE.get((red, green, blue))
    return code if number is None else f"{ground};5;{number}"


class CellStyle(NamedTuple):
    """The style of a cell, as the codes of ECMA-48's SGR: attributes such as bold, foreground, background."""

    attributes: str
    foreground: str
    background: str

    def after(self, before: CellStyle) -> str:
        """Return the escape sequence that changes to this style."""
        old, new = (set(filter(None, style.attributes.split(";"))) for style in (before, self))
        if not old - new <= ENDS.keys():
            return f"\x1b[{';'.join(filter(None, ('0', *self)))}m"
        ends = {ENDS[code] for code in old - new}
        begins = {code for code in new if code not in old or ENDS.get(code) in ends}
        colours = [
            code or default
            for code, past, default in zip(self[1:], before[1:], ("39", "49"), strict=True)
            if code != past
        ]
        return f"\x1b[{';'.join([*sorted(ends), *sorted(begins), *colours])}m"


PLAIN = CellStyle("", "", "")


class Cell(NamedTuple):
    """A character, "" for the second half of a wide one, and its style; a blank has no foreground.

    `picture` is the number of the picture over it, 0 for none.
    """

    character: str
    style: CellStyle
    picture: int = 0


class CellStyles(NamedTuple):
    """The cell styles of text and blanks in a Rich style, and the number of its picture, 0 for none."""

    text: CellStyle
    blank: CellStyle
    picture: int


class Screenful:
    """The cells that the terminal shows, as far as they are known."""

    def __init__(self, pictures: TerminalPictures | None = None) -> None:
        """Draw `pictures` over the cells that carry their numbers."""
        self._lines: dict[int, dict[int, Cell]] = {}
        self._styles: dict[tuple[Style, ColorSystem], CellStyles] = {}
        self._pictures = pictures or TerminalPictures()
        self._removals: dict[int, str] = {}  # of the pictures that the terminal shows

    def forget(self) -> None:
        """Forget the cells: the terminal was resized, or another program has written to it."""
        self._lines = {}

    def removals(self) -> str:
        """Return what to write so that the terminal shows no picture, and forget what it shows."""
        self.forget()
        return self._remove(set(self._removals))

    def changes(self, update: CompositorUpdate, console: Console) -> str:
        """Return what to write for an update, and remember the cells that it changes."""
        colours = console._color_system or ColorSystem.TRUECOLOR
        writer = _Writer()
        broken = set() if self._lines else set(self._removals)
        begun = set()
        for y, left, segments in _runs(update, console):
            x = left
            line = self._lines.setdefault(y, {})
            for segment in segments:
                for cell in _cells(segment.text, self._styles_of(segment.style or Style.null(), colours)):
                    shown = line.get(x)
                    if shown == cell:
                        writer.skip(y, x, cell)
                    else:
                        if shown is not None and shown.picture:
                            broken.add(shown.picture)
                        if cell.picture:
                            begun.add(cell.picture)
                        line[x] = cell
                        writer.write(y, x, cell)
                    x += 1
        return self._remove(broken) + writer.text() + "".join(map(self._draw, sorted(begun)))

    def _remove(self, numbers: set[int]) -> str:
        """Return what removes pictures, as far as they are shown."""
        return "".join(self._removals.pop(number) for number in sorted(numbers & self._removals.keys()))

    def _draw(self, number: int) -> str:
        """Return what draws a picture, if all of its cells are shown."""
        picture = self._pictures.find(number)
        cells = [(y, x) for y, line in self._lines.items() for x, cell in line.items() if cell.picture == number]
        if picture is None or len(cells) < picture.columns * picture.lines:
            return ""
        self._removals[number] = picture.removal
        y, x = min(cells)
        return f"\x1b[{y + 1};{x + 1}H{picture.code}"

    def _styles_of(self, style: Style, colours: ColorSystem) -> CellStyles:
        """Return the cell styles of a Rich style."""
        key = (style, colours)
        if key not in self._styles:
            attributes = Strip.render_ansi(style.without_color, colours)
            foreground = shorter(Strip.render_ansi(Style(color=style.color), colours))
            background = shorter(Strip.render_ansi(Style(bgcolor=style.bgcolor), colours))
            text = CellStyle(attributes, foreground, background)
            visible = style.reverse or style.underline or style.strike
            picture = style.meta.get(META, 0) if style.meta else 0
            self._styles[key] = CellStyles(text, text if visible else CellStyle("", "", background), picture)
        return self._styles[key]


class _Writer:
    """Collects what to write, with few cursor movements and changes of style."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._style = PLAIN
        self._at = (-1, -1)
        self._skipped: list[Cell] = []
        self._skipped_to = (-1, -1)

    def skip(self, y: int, x: int, cell: Cell) -> None:
        """Skip a cell that the terminal shows already."""
        if self._skipped_to != (y, x):
            self._skipped = []
        self._skipped.append(cell)
        self._skipped_to = (y, x + 1)

    def write(self, y: int, x: int, cell: Cell) -> None:
        """Write a cell."""
        if self._at != (y, x):
            gap = self._skipped if self._skipped_to == (y, x) and self._at == (y, x - len(self._skipped)) else []
            if gap and len(gap) < WORTH_A_JUMP and all(self._fits(one) for one in gap):
                self._parts.extend(one.character for one in gap)
            else:
                self._parts.append(f"\x1b[{x + 1}G" if self._at[0] == y else f"\x1b[{y + 1};{x + 1}H")
        if not self._fits(cell):
            self._parts.append(cell.style.after(self._style))
            self._style = cell.style
        self._parts.append(cell.character)
        self._at = (y, x + 1)
        self._skipped = []

    def _fits(self, cell: Cell) -> bool:
        """Return whether a cell can be written in the current style; of a blank only the background matters."""
        if cell.style == self._style:
            return True
        blank = cell.character == " " and not (cell.style.attributes or cell.style.foreground)
        return blank and cell.style.background == self._style.background and not _marks_blanks(self._style)

    def text(self) -> str:
        """Return everything to write."""
        if self._style != PLAIN:
            self._parts.append("\x1b[0m")
        return "".join(self._parts)


def _marks_blanks(style: CellStyle) -> bool:
    """Return whether a style is visible on a blank: underlined (4), reversed (7), struck through (9) …"""
    return any(code not in ("1", "2", "3") for code in style.attributes.split(";") if code)


def _cells(text: str, styles: CellStyles) -> Iterator[Cell]:
    """Yield the cells of a text."""
    for character in text:
        width = 1 if character.isascii() else get_character_cell_size(character)
        if width:
            yield Cell(character, styles.blank if character == " " else styles.text, styles.picture)
        if width == 2:
            yield Cell("", styles.text, styles.picture)


def _runs(update: CompositorUpdate, console: Console) -> Iterator[tuple[int, int, list[Segment]]]:
    """Yield where each run of segments of an update begins, line and column, and the segments."""
    y = x = 0
    run: list[Segment] = []
    for segment in update.__rich_console__(console, console.options):  # type: ignore[attr-defined]
        moves = [move for move in segment.control or () if move[0] is ControlType.CURSOR_MOVE_TO]
        if moves:
            if run:
                yield y, x, run
            _, x, y = moves[-1]
            run = []
        elif not segment.control and segment.text != "\n":
            run.append(segment)
    if run:
        yield y, x, run


class ChangedCells(CompositorUpdate):
    """An update that writes only the cells that differ from the terminal's."""

    def __init__(self, update: CompositorUpdate, shown: Screenful) -> None:
        self._update = update
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._update.__rich_console__(console, options)  # type: ignore[attr-defined]

    def render_segments(self, console: Console) -> str:
        """Return what is written to the terminal."""
        return self._shown.changes(self._update, console)
