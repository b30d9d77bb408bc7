"""One number with the arithmetic that gives it.

An expression is arithmetic as people write it (`·`, `−`, `/`, `⌊ ⌋`, `⌈ ⌉`, `max( )`) and equals its value exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Formula(NamedTuple):
    """One number: the quantity, its arithmetic in numbers, its value, a note, and the rule of the arithmetic."""

    quantity: str
    expression: str
    value: int
    note: str = ""
    rule: str = ""

    @property
    def value_text(self) -> str:
        """The value as text: 34,944."""
        return number_text(self.value)

    @property
    def text(self) -> str:
        """The formula as text: (11·11·3 + 1)·96 = 34,944; only the value if there is nothing to calculate."""
        return self.value_text if self.expression == self.value_text else f"{self.expression} = {self.value_text}"

    def to_dict(self) -> dict[str, str | int]:
        """Return the formula for JSON."""
        return {
            "quantity": self.quantity,
            "rule": self.rule,
            "expression": self.expression,
            "value": self.value,
            "note": self.note,
        }


def number_text(value: int) -> str:
    """Return an integer with thousands' commas and a true minus sign."""
    return f"−{-value:,}" if value < 0 else f"{value:,}"


def product_text(factors: Iterable[int]) -> str:
    """Return a product of numbers: 55·55·96."""
    return "·".join(map(number_text, factors))


def sum_text(terms: Iterable[int]) -> str:
    """Return a sum of numbers, zeros left out: 34,944 + 614,656."""
    return " + ".join(number_text(term) for term in terms if term) or "0"


def join_notes(*notes: str) -> str:
    """Return notes in one line; empty ones are left out."""
    return "; ".join(note for note in notes if note)


def by_axis(quantity: str, height: Formula, width: Formula) -> Iterator[Formula]:
    """Yield one formula if those of height and width are equal, else both."""
    if height == width:
        yield height._replace(quantity=quantity)
    else:
        yield height._replace(quantity=f"{quantity}, height")
        yield width._replace(quantity=f"{quantity}, width")
