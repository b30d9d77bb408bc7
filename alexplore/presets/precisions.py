"""The precisions that a recipe can name, and the rule by which `auto` chooses one of them."""

from __future__ import annotations

from typing import NamedTuple


class PrecisionOption(NamedTuple):
    """A value of the recipe's key `precision`."""

    name: str
    title: str

    activation_bits: int
    """Bits of an activation in memory. For `auto`, which depends on the machine, those of the larger choice."""


PRECISIONS = {
    option.name: option
    for option in (
        PrecisionOption("auto", "bf16 where it is clearly faster, else fp32", 32),
        PrecisionOption("fp32", "32-bit floating point", 32),
        PrecisionOption("bf16", "bfloat16 activations with fp32 weights", 16),
        PrecisionOption("fp16", "half-precision activations with fp32 weights and loss scaling", 16),
    )
}

MARGIN = 1.10
"""Speedup of bf16 over fp32 from which `auto` chooses bf16.

Timings of one run and the next differ by a few percent, and fp32 gives slightly more exact results.
"""
