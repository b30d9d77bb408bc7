"""A line of text being typed: the text, the caret, and whether all of it is selected."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TextEntry:
    """Text with a caret before the character at `caret`; if it is `selected`, typing replaces it."""

    text: str = ""
    caret: int = 0
    selected: bool = False

    @classmethod
    def of(cls, text: str) -> TextEntry:
        """Return an entry with selected text and the caret after it."""
        return cls(text, len(text), selected=bool(text))

    @property
    def selected_text(self) -> str:
        """The selected text, "" without a selection."""
        return self.text if self.selected else ""

    def put(self, text: str) -> None:
        """Replace the whole text, and put the caret after it."""
        self.text, self.caret, self.selected = text, len(text), False

    def insert(self, text: str) -> None:
        """Insert text, without control characters, at the caret or instead of the selection."""
        if self.selected:
            self.put("")
        text = "".join(character for character in text if character.isprintable())
        self.text = self.text[: self.caret] + text + self.text[self.caret :]
        self.caret += len(text)

    def press(self, key: str) -> bool:
        """Do the action of an editing key; return whether it is one."""
        handle = KEYS.get(key)
        if handle is None:
            return False
        handle(self)
        return True

    def _move(self, caret: int) -> None:
        self.caret, self.selected = max(0, min(caret, len(self.text))), False

    def _cut(self, start: int, end: int) -> None:
        """Delete the selection, or the characters from `start` to `end` if nothing is selected."""
        if self.selected:
            self.put("")
        else:
            start = max(0, start)
            self.text, self.caret = self.text[:start] + self.text[end:], start

    def _word_start(self) -> int:
        before = self.text[: self.caret].rstrip(" /")
        return max(before.rfind(" "), before.rfind("/")) + 1


KEYS = {
    "left": lambda entry: entry._move(entry.caret - 1),
    "right": lambda entry: entry._move(entry.caret + 1),
    "home": lambda entry: entry._move(0),
    "end": lambda entry: entry._move(len(entry.text)),
    "ctrl+a": lambda entry: entry._move(0),
    "ctrl+e": lambda entry: entry._move(len(entry.text)),
    "ctrl+left": lambda entry: entry._move(entry._word_start()),
    "backspace": lambda entry: entry._cut(entry.caret - 1, entry.caret),
    "delete": lambda entry: entry._cut(entry.caret, entry.caret + 1),
    "ctrl+d": lambda entry: entry._cut(entry.caret, entry.caret + 1),
    "ctrl+w": lambda entry: entry._cut(entry._word_start(), entry.caret),
    "ctrl+u": lambda entry: entry._cut(0, entry.caret),
    "ctrl+k": lambda entry: entry._cut(entry.caret, len(entry.text)),
}
"""The action of each editing key, as in a shell."""
