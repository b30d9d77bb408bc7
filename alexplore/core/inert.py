"""Text from files made inert: nothing in it can steer a terminal, reorder a line or look like something else.

Run directories, presets and data sets may come from other people. Everything that is shown of them goes
through `inert`: on the command line in `cli/output.py` and `core/boundary.py`, in the app in its line filter.
"""

from __future__ import annotations

KEPT = frozenset("\n\t\u200c\u200d")
"""Line breaks and tabs, and the two joiners that Persian words and emoji are written with."""

ESCAPED = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode's general categories of control and format characters (bidi marks are among them), lone surrogates, and the
separators of lines and paragraphs."""


class _Escapes(dict[int, int | str]):
    """The table for `str.translate`, filled as characters are met."""

    def __missing__(self, code: int) -> int | str:
        character = chr(code)
        active = not (character.isprintable() or character in KEPT) and _is_escaped(character)
        self[code] = _escape(code) if active else code
        return self[code]


def _is_escaped(character: str) -> bool:
    import unicodedata  # here, as few texts have such characters

    return unicodedata.category(character) in ESCAPED


_ESCAPES = _Escapes()


def inert(text: str) -> str:
    r"""Return a text with every active character written as its escape: `\x1b` for ESC, `\u202e` for a bidi mark."""
    return text if text.isprintable() else text.translate(_ESCAPES)


def inert_line(text: str) -> str:
    r"""Return an inert text of one line: line breaks and tabs are escaped too, as `\n` and `\t`."""
    return text if text.isprintable() else inert(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
