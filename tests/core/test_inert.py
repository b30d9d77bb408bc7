"""Text made inert: no active character is left, and what people write stays as it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.core.inert import inert, inert_line
from tests.support.hostile import ACTIVE, HOSTILE


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=40))
def test_words_stay_as_they_are(text: str) -> None:
    assert inert(text) == inert_line(text) == text


@pytest.mark.parametrize("text", ["a\nb\tc", "نمی\u200cخواهم", "👩\u200d🔬", "a b", "日本語"])
def test_line_breaks_and_joiners_stay(text: str) -> None:
    assert inert(text) == text


def test_every_character_that_is_active_is_escaped() -> None:
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in "\n\t\u200c\u200d":
            assert inert(character) == ascii(character)[1:-1].replace("\\r", "\\x0d")


def test_a_line_has_no_breaks() -> None:
    assert inert_line("a\nb\tc\x1b") == "a\\nb\\tc\\x1b"
    assert ACTIVE.search(inert(HOSTILE)) is None
