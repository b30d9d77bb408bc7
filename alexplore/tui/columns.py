"""Which columns of a table fit a width, and how wide each is: numbers are shown whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alexplore.core.formatting import cut

GAP = 1  # blank cells after each column, at least


@dataclass(frozen=True)
class Claim:
    """A width that a column asks for, in cells. Claims with a lower `rank` are served first."""

    rank: float
    width: int


def share_width(claims: Mapping[str, Sequence[Claim]], available: int) -> dict[str, int]:
    """Return the width of each column that fits in `available` cells, in the order of the columns.

    The claims of all columns are served in the order of their rank, as far as there is room. A column none of whose
    claims was served is not shown; one with a claim of rank 0 always is.
    """
    widths: dict[str, int] = {}
    ordered = sorted(
        ((claim, name) for name, asked in claims.items() for claim in asked), key=lambda pair: pair[0].rank
    )
    left = available
    for claim, name in ordered:
        more = claim.width - widths.get(name, -GAP)
        if claim.rank == 0 or more <= left:
            widths[name] = max(claim.width, widths.get(name, 0))
            left -= max(0, more)
        elif name in widths and left > 0:  # a column can use a part of what it asks for
            widths[name] += left
            left = 0
    return {name: widths[name] for name in claims if name in widths}


def gap_within(widths: Mapping[str, int], available: int, most: int) -> int:
    """Return how many blank cells there is room for after each column, at most `most`."""
    left = available - sum(widths.values())
    return max(GAP, min(most, left // len(widths) if widths else most))


def fit(text: str, width: int, *, left: bool = False) -> str:
    """Return a text exactly `width` characters long; a longer one is cut, but in no number."""
    text = cut(text, width)
    return text.ljust(width) if left else text.rjust(width)
