"""The lines of an entry of the arithmetic."""

from __future__ import annotations

from alexplore.tui.widgets.formula import Entry, _wrapped


def test_line_breaks_in_a_note_are_blanks() -> None:
    entry = Entry("published", "params 34,944\n= ours", "as in\tthe\npaper")
    lines = list(_wrapped("published", entry, entry.note, 10, 24))
    pieces = [(text, kind) for line in lines for text, kind in line[1:] if text]
    assert " ".join(text.strip() for text, _ in pieces) == "params 34,944 = ours as in the paper"
    assert "".join(text for text, kind in pieces if kind == "text").split() == ["params", "34,944", "=", "ours"]
