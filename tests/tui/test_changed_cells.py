"""What is written to the terminal: the cells that changed, after which it shows everything."""

from __future__ import annotations

import random

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from alexplore.core.picture import Picture
from alexplore.render.terminal_pixels import Pixels, Protocol
from alexplore.tui.changed_cells import Screenful
from alexplore.tui.terminal_pictures import KEPT, META, TerminalPictures
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


# Pictures in pixels


def pictures(protocol: Protocol = "kitty") -> TerminalPictures:
    return TerminalPictures(Pixels(protocol, 10, 20))


def with_picture(style: Style, columns: int, rows: int) -> list[list[Segment]]:
    """Return lines of text, in the first of which a picture lies at column 2."""
    over = [Segment("ab", STYLES[0]), Segment(" " * columns, STYLES[0] + style)]
    rest = "c" * (WIDTH - 2 - columns)
    return [[*over, Segment(rest, STYLES[0])] if y < rows else [Segment("d" * WIDTH, STYLES[0])] for y in range(HEIGHT)]


TEXT = [[Segment("e" * WIDTH, STYLES[0])] for _ in range(HEIGHT)]
GREY = Picture(2, 2, 1, bytes([0, 80, 160, 255]))


def test_a_picture_is_drawn_over_its_cells_once_and_removed_when_one_of_them_changes() -> None:
    known = pictures()
    drawn = known.draw(GREY, 4, 2, 4000)
    assert drawn
    style, picture = drawn
    shown = Screenful(known)
    lines = with_picture(style, picture.columns, picture.lines)
    assert shown.changes(update_of(lines), CONSOLE).endswith(f"\x1b[1;3H{picture.code}")
    assert shown.changes(update_of(lines), CONSOLE) == ""
    covered = shown.changes(update_of(TEXT[:1], top=1), CONSOLE)  # a dialog over its second line
    assert covered.startswith(picture.removal)
    assert picture.code not in covered
    assert picture.code not in shown.changes(update_of(lines[:1]), CONSOLE)  # a part of it is still covered
    assert picture.code in shown.changes(update_of(lines), CONSOLE)


def test_another_picture_in_the_same_place_replaces_the_first() -> None:
    known = pictures()
    (one, first), (other, second) = (
        found for value in (0, 200) if (found := known.draw(Picture(2, 2, 1, bytes([value, 80, 160, 255])), 4, 2, 4000))
    )
    shown = Screenful(known)
    shown.changes(update_of(with_picture(one, first.columns, first.lines)), CONSOLE)
    written = shown.changes(update_of(with_picture(other, second.columns, second.lines)), CONSOLE)
    assert written.startswith(first.removal)
    assert written.endswith(second.code)


def test_a_picture_is_drawn_again_after_the_screen_was_forgotten_and_nothing_remains_at_the_end() -> None:
    known = pictures()
    drawn = known.draw(GREY, 4, 2, 4000)
    assert drawn
    style, picture = drawn
    shown = Screenful(known)
    lines = with_picture(style, picture.columns, picture.lines)
    shown.changes(update_of(lines), CONSOLE)
    shown.forget()
    again = shown.changes(update_of(lines), CONSOLE)
    assert again.startswith(picture.removal)
    assert again.endswith(picture.code)
    assert shown.removals() == picture.removal
    assert shown.removals() == ""


def test_in_sixel_all_cells_of_a_picture_are_written_before_and_after_it() -> None:
    """What is written into its cells erases it: nothing else does."""
    known = pictures("sixel")
    drawn = known.draw(GREY, 4, 2, 4000)
    assert drawn
    style, picture = drawn
    shown = Screenful(known)
    blank = [[Segment(" " * WIDTH, STYLES[0])] for _ in range(HEIGHT)]
    shown.changes(update_of(blank), CONSOLE)
    assert picture.code in shown.changes(update_of(with_picture(style, picture.columns, picture.lines)), CONSOLE)
    terminal = SmallTerminal()
    terminal.write(shown.changes(update_of(blank), CONSOLE))
    cells = {(y, x) for y in range(picture.lines) for x in range(2, 2 + picture.columns)}
    assert cells <= terminal.cells.keys()


def test_the_same_picture_is_made_once_and_old_ones_are_forgotten() -> None:
    known = pictures()
    drawn = [known.draw(Picture(1, 2, 1, bytes([value, 255])), 4, 2, 4000) for value in range(KEPT + 1)]
    numbers = [style.meta[META] for style, _ in filter(None, drawn)]
    assert len(set(numbers)) == KEPT + 1
    assert known.find(numbers[0]) is None
    assert known.find(numbers[-1]) is not None
    assert known.draw(Picture(1, 2, 1, bytes([KEPT, 255])), 4, 2, 4000) == drawn[-1]
    assert TerminalPictures().draw(GREY, 4, 2, 4000) is None


def test_letters_of_another_size_make_other_pictures() -> None:
    known = TerminalPictures(Pixels("kitty", 10, 20), lambda: (20, 40))
    before = known.draw(GREY, 4, 2, 4000)
    known.measure()
    after = known.draw(GREY, 4, 2, 4000)
    assert before
    assert after
    assert len(after[1].code) != len(before[1].code)
