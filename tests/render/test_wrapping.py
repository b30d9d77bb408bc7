"""Lines of a width in cells."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from alexplore.render.wrapping import wrap_cells
from tests.support.examples import examples

WORDS = st.lists(st.text("abé猫の写真🦊", min_size=1, max_size=30), max_size=12)


@examples(200)
@given(words=WORDS, width=st.integers(2, 40))
def test_no_line_is_too_wide_and_nothing_is_lost(words: list[str], width: int) -> None:
    lines = wrap_cells(" ".join(words), width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(words)


@examples(100)
@given(words=st.lists(st.text("abé-", min_size=1, max_size=12), max_size=20), width=st.integers(2, 40))
def test_narrow_text_is_wrapped_as_by_python(words: list[str], width: int) -> None:
    text = " ".join(words)
    assert wrap_cells(text, width, break_on_hyphens=False) == textwrap.wrap(text, width, break_on_hyphens=False)


@pytest.mark.parametrize(
    ("width", "lines"), [(8, ["猫の写真", "cat"]), (7, ["猫の写", "真 cat"]), (12, ["猫の写真 cat"])]
)
def test_wide_characters_take_two_cells(width: int, lines: list[str]) -> None:
    assert wrap_cells("猫の写真 cat", width) == lines


@pytest.mark.parametrize("text", ["one two three four", "猫の写真 猫の写真 猫の写真"])
def test_what_takes_too_many_lines_is_cut(text: str) -> None:
    lines = wrap_cells(text, 9, most_lines=2)
    assert len(lines) == 2
    assert lines[1].endswith(" …")
    assert all(cell_len(line) <= 9 for line in lines)
