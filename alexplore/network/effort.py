"""A limit on the search for fixes: a long network with many broken layers is analysed as fast as any other."""

from __future__ import annotations

MOST_LAYERS = 100_000
"""Layers that the search for the fixes of one network looks at: some tenths of a second."""


class Effort:
    """The remaining budget of a search for fixes, counted in layers computed: long networks have fewer tries.

    All broken layers of an analysis share one effort; earlier layers are searched first.
    """

    def __init__(self, layers: int = MOST_LAYERS) -> None:
        self._left = layers

    def spend(self, layers: int) -> bool:
        """Return whether one more try that computes `layers` layers is within the budget."""
        self._left -= layers
        return self._left >= 0
