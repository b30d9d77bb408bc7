"""A limit on the search for fixes, so that a long network with many broken layers is analysed as fast as any other."""

from __future__ import annotations

MOST_LAYERS = 100_000
"""The most layers that are computed to find fixes for one network, which takes some tenths of a second."""


class Effort:
    """The remaining budget of a search for fixes, counted in layers computed: long networks have fewer tries.

    All broken layers of an analysis share one effort; earlier layers are searched first.
    """

    def __init__(self, layers: int = MOST_LAYERS) -> None:
        self._left = layers

    def spend(self, layers: int) -> bool:
        """Subtract a try that computes `layers` layers from the budget; return whether the budget sufficed."""
        self._left -= layers
        return self._left >= 0
