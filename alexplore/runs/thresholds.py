"""The figures at which a layer looks wrong, for the table of layers and the diagnosis alike: rules of thumb."""

from __future__ import annotations

SLOWEST_LAYER = 1e-3
"""Update-to-weight ratio, divided by the largest of any layer, below which a layer hardly learns."""

DEAD_SHARE = 0.4
"""Share of units that are 0 for every recorded image."""

ZERO_SHARE = 0.98
"""Share of outputs that are 0."""

VANISHING_GRADIENT = 1e-4
"""Gradient norm, divided by that of another layer, below which gradients vanish."""

EXPLODING_GRADIENT = 100.0
"""Gradient norm above which gradients explode."""

SMALLEST_RATIO, LARGEST_RATIO = 1e-6, 0.1
"""Update-to-weight ratios of a step between which a network learns; about 1e-3 is usual, less at a schedule's end.

Source: Stanford's course CS231n, notes on neural networks 3, "Ratio of weights:updates".
"""
