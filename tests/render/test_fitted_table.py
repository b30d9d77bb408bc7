"""Tables that fit the width of the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.style import Style

from alexplore.render.fitted_table import GAP, Column, FittingTable, Labelled
from tests.support.examples import examples


def printed(renderable: object, width: int) -> list[str]:
    """Return the lines that are printed to a terminal of a width, without the blanks at their ends."""
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return [line.rstrip() for line in capture.get().splitlines()]


def table() -> FittingTable:
    """A table with a column that is shortened, one that is left out, and numbers."""
    made = FittingTable(
        Column("name", left=True),
        Column("settings", rank=1, left=True, least=8),
        Column("notes", rank=2),
        Column("count"),
    )
    made.add("conv1", "96 · 11×11 / 4 · pad 2", "first", "1,234,567")
    made.add("fc8", "1000", "", "89")
    return made


def test_everything_is_shown_where_there_is_room() -> None:
    lines = printed(table(), 80)
    assert lines[1].split() == ["name", "settings", "notes", "count"]
    assert "96 · 11×11 / 4 · pad 2" in lines[3]
    assert lines[3].endswith("1,234,567")
    assert lines[4].endswith("       89")  # numbers are at the right


@pytest.mark.parametrize("width", range(20, 80))
def test_names_and_numbers_are_whole_at_any_width(width: int) -> None:
    lines = printed(table(), width)
    assert max(map(len, lines)) <= width
    assert "conv1" in lines[3]
    assert "1,234,567" in lines[3]


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (80, ["name", "settings", "notes", "count"]),
        (30, ["name", "settings", "count"]),
        (20, ["name", "count"]),
    ],
)
def test_columns_are_left_out_in_the_order_of_their_ranks(width: int, titles: list[str]) -> None:
    assert printed(table(), width)[1].split() == titles


def test_a_shortened_cell_ends_in_an_ellipsis() -> None:
    assert printed(table(), 32)[3].split("  ")[1:3] == ["96 · 11×11 …", "1,234,567"]


def test_an_empty_column_with_a_rank_is_not_shown() -> None:
    made = FittingTable(Column("name"), Column("error", rank=1))
    made.add("conv1")
    assert printed(made, 80)[1].split() == ["name"]


def test_a_title_that_is_longer_than_the_table_has_the_width_of_the_terminal() -> None:
    made = FittingTable(Column("n"), title="one two three four")
    made.add("1")
    assert printed(made, 80)[0] == "one two three four"
    assert printed(made, 10)[:2] == ["one two", "three four"]


def test_wrapped_text_is_indented_by_its_label() -> None:
    assert printed(Labelled("source  ", "one two three four"), 18) == ["source  one two", "        three four"]


COLUMNS = st.builds(Column, st.text("ab ö│漢—", max_size=12), st.integers(0, 2), st.booleans(), st.sampled_from([0, 4]))
CELLS = st.text("ab ö│漢—", max_size=12)


@examples(60)
@given(st.data(), st.lists(COLUMNS, min_size=1, max_size=4), st.integers(10, 60))
def test_a_table_that_fits_looks_as_rich_lays_it_out(data: st.DataObject, columns: list[Column], width: int) -> None:
    made = FittingTable(*columns, title=data.draw(CELLS))
    for style in data.draw(st.lists(st.sampled_from(["", "red", "dim"]), max_size=3)):
        made.add(*(data.draw(CELLS) for _ in columns), style=style)
    _, widths = made._layout(width)
    if widths and cell_len(made._title) > sum(widths) + GAP * len(widths):
        made._title = ""  # one that is longer than the table is not wrapped to its width
    as_rich = made._table(*made._layout(width))
    assert seen(made, width) == seen(as_rich, width)


def seen(renderable: RenderableType, width: int) -> list[list[tuple[str, Style]]]:
    """Return the characters of each line with their styles; a blank has none."""
    lines = Console(width=width).render_lines(renderable, pad=False)
    return [
        [(one, (part.style if one.strip() and part.style else Style())) for part in line for one in part.text]
        for line in lines
    ]
