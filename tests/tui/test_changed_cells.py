"""What is written to the terminal: the cells that changed, after which it shows everything."""

from __future__ import annotations

import random
import re

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from alexplore.tui.changed_cells import Screenful

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
ENDED = {"22": "12", "23": "3", "24": "4", "27": "7", "29": "9"}  # the attributes that a code ends
SEQUENCE = re.compile(r"\x1b\[([\d;]*)([A-Za-z])")


class SmallTerminal:
    """Knows the sequences that move the cursor (CUP, CHA) and set the look (SGR)."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], tuple[str, frozenset[str]]] = {}

    def write(self, text: str) -> None:
        y = x = at = 0
        look: dict[str, str] = {}
        while at < len(text):
            if found := SEQUENCE.match(text, at):
                numbers, letter = found.groups()
                if letter == "H":
                    y, x = (int(number) - 1 for number in numbers.split(";"))
                elif letter == "G":
                    x = int(numbers) - 1
                else:
                    look = sgr(look, numbers)
                at = found.end()
                continue
            unseen_on_blanks = {"1", "2", look.get("38", "")}
            shown = {part for part in look.values() if text[at] != " " or part not in unseen_on_blanks}
            self.cells[y, x] = text[at], frozenset(shown)
            x, at = x + 1, at + 1
        assert not look, "the look is reset at the end"


def sgr(look: dict[str, str], numbers: str) -> dict[str, str]:
    look, codes = dict(look), numbers.split(";")
    while codes:
        code = codes.pop(0)
        if code in ("0", ""):
            look = {}
        elif code in ("38", "48"):
            look[code] = ";".join([code, *codes[:4]])
            del codes[:4]
        elif code in ENDED:
            for ended in ENDED[code]:
                look.pop(ended, None)
        elif code in ("39", "49"):
            look.pop(f"{code[0]}8", None)
        elif 30 <= int(code) <= 37 or 90 <= int(code) <= 97:
            look["38"] = f"38;{code}"
        elif 40 <= int(code) <= 47 or 100 <= int(code) <= 107:
            look["48"] = f"48;{code}"
        else:
            look[code] = code
    return look


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
