"""Text that would control a terminal or deceive a reader if it were printed unchanged, and JSON values with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

HOSTILE = "\x1b]0;owned\x07\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202egnp.exe\u2066\u2028\x7f\x08\r\ud800[red]x"
"""OSC 0 and 52 (title and clipboard), CSI in 7 and 8 bits, bidi marks, a line separator, DEL, BS, CR, a lone surrogate,
markup."""

HOSTILE_NAME = HOSTILE.replace("\ud800", "\udcff").replace("/", "")
"""The same as the name of a file, with a byte that is not UTF-8 in place of the surrogate."""

ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""The characters that no output may contain: control characters, except line breaks and tabs, and bidi marks."""


def planted(value: Any, text: str = HOSTILE) -> Iterator[Any]:
    """Yield copies of a JSON value in which one string or one key is `text`; in lists only in the first two items."""
    match value:
        case str():
            yield text
        case list():
            for index, item in enumerate(value[:2]):
                yield from ([*value[:index], changed, *value[index + 1 :]] for changed in planted(item, text))
        case dict():
            for key, item in value.items():
                yield from ({**value, key: changed} for changed in planted(item, text))
                yield {(text if other == key else other): kept for other, kept in value.items()}


def check_inert(output: str) -> None:
    """Check that an output has no `ACTIVE` characters."""
    found = ACTIVE.search(output)
    assert found is None, repr(output[max(0, found.start() - 80) : found.end() + 40])
