"""Find networks that are too large for the machine, by arithmetic, before memory is allocated."""

from __future__ import annotations

from alexplore.core.formatting import bytes_text
from alexplore.network.analysis import Analysis
from alexplore.network.layers.base import FP32_BYTES
from alexplore.network.row import Row
from alexplore.network.shapes import elements, shape_text

ADDRESSABLE_BYTES = 2**47
"""The memory that a program on a 64-bit processor can address (x86-64 and AArch64, 48-bit virtual addresses)."""


def image_bytes(row: Row) -> int:
    """Return the bytes in fp32 that a layer takes for one image: its padded inputs and its output."""
    if row.output is None or row.layer.is_view(row.inputs):
        return 0
    read = [elements(shape) for shape in row.inputs]
    if row.windows is not None and row.layer.slides and len(row.inputs[0]) == 3:
        channels, *sides = row.inputs[0]
        padded = channels
        for side, window in zip(sides, row.windows, strict=True):
            padded *= side + sum(window.needed_padding(side))
        read[0] = max(read[0], padded)
    return FP32_BYTES * (sum(read) + elements(row.output))


def memory_problem(analysis: Analysis, available: int, where: str) -> str | None:
    """Return why a network can't be built, or run on one image, in `available` bytes of memory; None if it can.

    `where` names the memory in the message: `this machine has`.
    """
    rows = [row for row in analysis.rows if row.output is not None]
    if not rows:
        return None
    weights = FP32_BYTES * (analysis.totals.params + analysis.totals.buffers)
    heaviest = max(rows, key=lambda row: row.parameters.total)
    if weights > available:
        return (
            f"its weights take {bytes_text(weights)}, those of {heaviest.layer.name} alone 4 × "
            f"{heaviest.parameters.total:,} bytes, and {where} {bytes_text(available)}"
        )
    largest = max(rows, key=image_bytes)
    if weights + image_bytes(largest) > available:
        read = " and ".join(shape_text(shape) for shape in largest.inputs)
        return (
            f"{largest.layer.name} reads {read} and gives {shape_text(largest.output or ())} for one image, which "
            f"takes {bytes_text(image_bytes(largest))} besides {bytes_text(weights)} of weights, and {where} "
            f"{bytes_text(available)}"
        )
    return None
