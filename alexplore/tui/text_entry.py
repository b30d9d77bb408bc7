"""A line of text being typed: the text, the caret, and whether all of it is selected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
        editing = KEYS.get(key)
        if editing is None:
            return False
        editing.change(self)
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


@dataclass(frozen=True)
class EditingKey:
    """What an editing key does: its name, a sentence about it, and the change."""

    name: str
    doc: str
    change: Callable[[TextEntry], None]


_START = EditingKey("start", "Go to the start of the text", lambda entry: entry._move(0))
_END = EditingKey("end", "Go to the end of the text", lambda entry: entry._move(len(entry.text)))
_DELETE = EditingKey(
    "delete", "Delete the character at the caret", lambda entry: entry._cut(entry.caret, entry.caret + 1)
)

KEYS: Mapping[str, EditingKey] = {
    "left": EditingKey("back", "Go back by a character", lambda entry: entry._move(entry.caret - 1)),
    "right": EditingKey("ahead", "Go ahead by a character", lambda entry: entry._move(entry.caret + 1)),
    "ctrl+left": EditingKey("word back", "Go back by a word", lambda entry: entry._move(entry._word_start())),
    "home": _START,
    "ctrl+a": _START,
    "end": _END,
    "ctrl+e": _END,
    "backspace": EditingKey(
        "delete before", "Delete the character before the caret", lambda entry: entry._cut(entry.caret - 1, entry.caret)
    ),
    "delete": _DELETE,
    "ctrl+d": _DELETE,
    "ctrl+w": EditingKey(
        "delete word", "Delete the word before the caret", lambda entry: entry._cut(entry._word_start(), entry.caret)
    ),
    "ctrl+u": EditingKey("delete to start", "Delete all before the caret", lambda entry: entry._cut(0, entry.caret)),
    "ctrl+k": EditingKey(
        "delete to end", "Delete all behind the caret", lambda entry: entry._cut(entry.caret, len(entry.text))
    ),
}
"""The action of each editing key, as in a shell."""
