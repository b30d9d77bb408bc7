"""The filter of a list by words: a line is listed if it contains all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from alexplore.tui.text_entry import TextEntry


def contains_words(text: str, words: str) -> bool:
    """Return whether a text contains every word, in any order and ignoring case."""
    folded = text.casefold()
    return all(word in folded for word in words.casefold().split())


@dataclass
class WordFilter:
    """The words that filter a list; `typing` is true while keys change them. Without words every line is listed.

    `lines` are the indices of the lines that are listed; None stands for all of them.
    """

    entry: TextEntry = field(default_factory=TextEntry)
    typing: bool = False
    lines: Sequence[int] | None = None

    @property
    def words(self) -> str:
        """The typed words."""
        return self.entry.text

    @property
    def active(self) -> bool:
        """Whether the filter is shown: it has words, or words are being typed."""
        return self.typing or bool(self.words.strip())

    def clear(self) -> None:
        """List every line again."""
        self.entry.put("")
        self.typing, self.lines = False, None

    def press(self, key: str, character: str | None) -> bool:
        """Handle a key; return whether it changes the words or moves the caret."""
        if self.entry.press(key):
            return True
        if character is None or not character.isprintable():
            return False
        self.entry.insert(character)
        return True

    def apply(self, count: int, contains: Callable[[int, str], bool]) -> None:
        """Find the lines to list among `count`; `contains` says whether the line at an index contains some words."""
        words = self.words.strip()
        self.lines = [index for index in range(count) if contains(index, words)] if words else None

    def text(self, found: int, count: int) -> str:
        """Return the text of the filter of a list of `count` lines, of which it lists `found`."""
        caret = "▏" if self.typing else ""
        return f"/{self.words}{caret}  {f'{found} of {count}' if found else 'no match'} · esc clears"
