"""What is written to the terminal: the cells that changed, after which it shows everything."""

from __future__ import annotations

import random

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from alexplore.tui.changed_cells import Screenful
from tests.support.small_terminal import SmallTerminal

WIDTH, HEIGHT = 24, 4
CONSOLE = Console(color_system="truecolor", force_terminal=True)
STYLES = [
    Style.parse("white on black"),
    Style.parse("bold red on black"),
    Style.parse("green on blue"),
    Style.parse("underline white on black"),
    Style.parse("reverse white on black"),
    Style.parse("bold dim green on black"),
    Style.parse("dim underline white on blue"),
    Style(),
]


def update_of(lines: list[list[Segment]], top: int = 0) -> LayoutUpdate:
    return LayoutUpdate([[Strip(line)] for line in lines], Region(0, top, WIDTH, len(lines)))


def random_line(source: random.Random) -> list[Segment]:
    cells = [(source.choice("ab █ "), source.choice(STYLES)) for _ in range(WIDTH)]
    return [Segment(character, style) for character, style in cells]


def test_after_any_updates_the_terminal_shows_what_it_would_with_all_cells_written() -> None:
    source = random.Random(1)
    shown, terminal = Screenful(), SmallTerminal()
    lines = [random_line(source) for _ in range(HEIGHT)]
    for _ in range(200):
        y = source.randrange(HEIGHT)
        if source.random() < 0.5:
            lines[y] = random_line(source)
        else:
            lines[y] = [source.choice((segment, random_line(source)[0])) for segment in lines[y]]
        terminal.write(shown.changes(update_of(lines), CONSOLE))
        assert not terminal.look
        whole = SmallTerminal()
        whole.write(Screenful().changes(update_of(lines), CONSOLE))
        assert terminal.cells == whole.cells
    for (y, x), (character, _) in terminal.cells.items():
        assert character == lines[y][x].text


def test_nothing_is_written_twice() -> None:
    shown = Screenful()
    lines = [[Segment("conv1  96×55×55".ljust(WIDTH), STYLES[0])]]
    assert "conv1" in shown.changes(update_of(lines), CONSOLE)
    assert shown.changes(update_of(lines), CONSOLE) == ""
    shown.forget()
    assert "conv1" in shown.changes(update_of(lines), CONSOLE)


def test_a_wide_character_is_written_whole() -> None:
    shown = Screenful()
    shown.changes(update_of([[Segment("ab".ljust(WIDTH), STYLES[0])]]), CONSOLE)
    written = shown.changes(update_of([[Segment("あ".ljust(WIDTH - 1), STYLES[0])]]), CONSOLE)
    assert "あ" in written
    written = shown.changes(update_of([[Segment("ab".ljust(WIDTH), STYLES[0])]]), CONSOLE)
    assert "ab" in written
