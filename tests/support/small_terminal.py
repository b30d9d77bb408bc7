"""A minimal terminal, to compare what two sequences of characters show."""

from __future__ import annotations

import re

ENDED = {"22": "12", "23": "3", "24": "4", "27": "7", "29": "9"}  # the attributes that a code ends
SEQUENCE = re.compile(r"\x1b\[([\d;]*)([A-Za-z])")


class SmallTerminal:
    """Understands the sequences that move the cursor (CUP, CHA) and set attributes (SGR), and line feeds.

    Of a blank, only attributes that are visible on it are kept.
    """

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], tuple[str, frozenset[str]]] = {}
        self.look: dict[str, str] = {}

    def write(self, text: str) -> None:
        y = x = at = 0
        look: dict[str, str] = {}
        while at < len(text):
            if found := SEQUENCE.match(text, at):
                numbers, letter = found.groups()
                if letter == "H":
                    y, x = (int(number) - 1 for number in numbers.split(";"))
                elif letter == "G":
                    x = int(numbers) - 1
                else:
                    look = _sgr(look, numbers)
                at = found.end()
                continue
            if text[at] == "\n":
                y, x, at = y + 1, 0, at + 1
                continue
            unseen_on_blanks = {"1", "2", look.get("38", "")}
            shown = {part for part in look.values() if text[at] != " " or part not in unseen_on_blanks}
            self.cells[y, x] = text[at], frozenset(shown)
            x, at = x + 1, at + 1
        self.look = look


def _sgr(look: dict[str, str], numbers: str) -> dict[str, str]:
    look, codes = dict(look), numbers.split(";")
    while codes:
        code = codes.pop(0)
        if code in ("0", ""):
            look = {}
        elif code in ("38", "48"):
            count = 4 if codes[0] == "2" else 2  # red, green and blue, or a number of the palette
            look[code] = ";".join([code, *codes[:count]])
            del codes[:count]
        elif code in ENDED:
            for ended in ENDED[code]:
                look.pop(ended, None)
        elif code in ("39", "49"):
            look.pop(f"{code[0]}8", None)
        elif 30 <= int(code) <= 37 or 90 <= int(code) <= 97:
            look["38"] = f"38;{code}"
        elif 40 <= int(code) <= 47 or 100 <= int(code) <= 107:
            look["48"] = f"48;{code}"
        else:
            look[code] = code
    return look
