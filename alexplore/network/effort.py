"""How much work may go into proposals, so that a long network with many broken layers is analysed as fast as any."""

from __future__ import annotations

MOST_LAYERS = 100_000
"""Layers that the search for the fixes of one network looks at: some tenths of a second."""


class Effort:
    """The remaining budget of a search for fixes, counted in layers computed: long networks have fewer tries.

    One analysis has one effort for all of its broken layers, of which the first come first.
    """

    def __init__(self, layers: int = MOST_LAYERS) -> None:
        self._left = layers

    def spend(self, layers: int) -> bool:
        """Return whether one more try that computes `layers` layers is within the budget."""
        self._left -= layers
        return self._left >= 0
