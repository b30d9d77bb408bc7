"""A line of text that is being typed."""

from __future__ import annotations

import pytest

from alexplore.tui.text_entry import TextEntry


def typed(text: str, *keys: str) -> TextEntry:
    """Return an entry with the caret behind its text after some keys; one character is inserted."""
    entry = TextEntry(text, len(text))
    for key in keys:
        if not entry.press(key):
            entry.insert(key)
    return entry


@pytest.mark.parametrize(
    ("keys", "text", "caret"),
    [
        (["x"], "one/two threex", 14),
        (["left", "x"], "one/two threxe", 13),
        (["home", "delete", "x"], "xne/two three", 1),
        (["backspace"], "one/two thre", 12),
        (["home", "backspace"], "one/two three", 0),
        (["end", "delete", "right"], "one/two three", 13),
        (["ctrl+w"], "one/two ", 8),
        (["ctrl+w", "ctrl+w"], "one/", 4),
        (["ctrl+left", "ctrl+left", "ctrl+k"], "one/", 4),
        (["ctrl+left", "ctrl+u"], "three", 0),
    ],
)
def test_the_keys(keys: list[str], text: str, caret: int) -> None:
    entry = typed("one/two three", *keys)
    assert (entry.text, entry.caret) == (text, caret)


@pytest.mark.parametrize(("key", "text"), [("x", "x"), ("backspace", ""), ("left", "old"), ("ctrl+u", "")])
def test_a_selection_is_replaced_deleted_or_left(key: str, text: str) -> None:
    entry = TextEntry.of("old")
    if not entry.press(key):
        entry.insert(key)
    assert entry.text == text
    assert not entry.selected


def test_control_characters_are_left_out() -> None:
    assert typed("", "a\x1b[31mb\n").text == "a[31mb"
