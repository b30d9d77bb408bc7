"""Writes to the terminal only the cells that changed: users sit behind slow lines.

Textual writes every line of a widget that asks to be drawn again, and each piece of it with its colours in full. Here
what the terminal shows is remembered, cell by cell, and an update becomes the cells that differ from it.

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

WORTH_A_JUMP = 5  # unchanged cells that cost more to write again than a jump over them


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


class Look(NamedTuple):
    """How a cell is drawn, as the codes of ECMA-48's SGR: attributes such as bold, foreground, background."""

    attributes: str
    foreground: str
    background: str

    def after(self, before: Look) -> str:
        """Return the escape sequence that changes to this look."""
        old, new = (set(filter(None, look.attributes.split(";"))) for look in (before, self))
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


PLAIN = Look("", "", "")


class Cell(NamedTuple):
    """What a cell shows: a character, "" for the second half of a wide one, and its look; a blank has no foreground.

    `picture` is the number of the picture over it, 0 for none.
    """

    character: str
    look: Look
    picture: int = 0


class Looks(NamedTuple):
    """How a style looks on text and on blanks, and the number of the picture that it stands for, 0 for none."""

    text: Look
    blank: Look
    picture: int


class Screenful:
    """The cells that the terminal shows, as far as they are known."""

    def __init__(self, pictures: TerminalPictures | None = None) -> None:
        """Draw `pictures` over the cells that carry their numbers."""
        self._lines: dict[int, dict[int, Cell]] = {}
        self._looks: dict[tuple[Style, ColorSystem], Looks] = {}
        self._pictures = pictures or TerminalPictures()
        self._removals: dict[int, str] = {}  # of the pictures that the terminal shows

    def forget(self) -> None:
        """Forget what the terminal shows: it was resized, or something else has written to it."""
        self._lines = {}

    def removals(self) -> str:
        """Return what to write so that the terminal shows no picture, and forget what it shows."""
        self.forget()
        return self._remove(set(self._removals))

    def changes(self, update: CompositorUpdate, console: Console) -> str:
        """Return what to write so that the terminal shows an update, and remember that it does."""
        colours = console._color_system or ColorSystem.TRUECOLOR
        writer = _Writer()
        broken = set() if self._lines else set(self._removals)
        begun = set()
        for y, left, segments in _runs(update, console):
            x = left
            line = self._lines.setdefault(y, {})
            for segment in segments:
                for cell in _cells(segment.text, self._looks_of(segment.style or Style.null(), colours)):
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

    def _looks_of(self, style: Style, colours: ColorSystem) -> Looks:
        """Return how a style looks."""
        key = (style, colours)
        if key not in self._looks:
            attributes = Strip.render_ansi(style.without_color, colours)
            foreground = shorter(Strip.render_ansi(Style(color=style.color), colours))
            background = shorter(Strip.render_ansi(Style(bgcolor=style.bgcolor), colours))
            text = Look(attributes, foreground, background)
            visible = style.reverse or style.underline or style.strike
            picture = style.meta.get(META, 0) if style.meta else 0
            self._looks[key] = Looks(text, text if visible else Look("", "", background), picture)
        return self._looks[key]


class _Writer:
    """Collects what to write, with as few jumps and changes of the look as it takes."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._look = PLAIN
        self._at = (-1, -1)
        self._skipped: list[Cell] = []
        self._skipped_to = (-1, -1)

    def skip(self, y: int, x: int, cell: Cell) -> None:
        """Pass over a cell that the terminal shows already."""
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
            self._parts.append(cell.look.after(self._look))
            self._look = cell.look
        self._parts.append(cell.character)
        self._at = (y, x + 1)
        self._skipped = []

    def _fits(self, cell: Cell) -> bool:
        """Return whether a cell can be written without changing the look; of a blank only the background is seen."""
        if cell.look == self._look:
            return True
        blank = cell.character == " " and not (cell.look.attributes or cell.look.foreground)
        return blank and cell.look.background == self._look.background and not _marks_blanks(self._look)

    def text(self) -> str:
        """Return all that is to be written."""
        if self._look != PLAIN:
            self._parts.append("\x1b[0m")
        return "".join(self._parts)


def _marks_blanks(look: Look) -> bool:
    """Return whether a look is seen on a blank: underlined (4), reversed (7), struck through (9) and the like."""
    return any(code not in ("1", "2", "3") for code in look.attributes.split(";") if code)


def _cells(text: str, looks: Looks) -> Iterator[Cell]:
    """Yield the cells of a text."""
    for character in text:
        width = 1 if character.isascii() else get_character_cell_size(character)
        if width:
            yield Cell(character, looks.blank if character == " " else looks.text, looks.picture)
        if width == 2:
            yield Cell("", looks.text, looks.picture)


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
    """An update of which only the cells are written that differ from what the terminal shows."""

    def __init__(self, update: CompositorUpdate, shown: Screenful) -> None:
        self._update = update
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._update.__rich_console__(console, options)  # type: ignore[attr-defined]

    def render_segments(self, console: Console) -> str:
        """Return what is written to the terminal."""
        return self._shown.changes(self._update, console)
