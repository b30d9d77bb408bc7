"""Blocks of pixels as single pixels, padded and converted to another type, in one pass on a GPU: a Triton kernel."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from alexplore.network.windows import Pair

BLOCK = 1024
"""The number of values that a Triton program computes."""


@triton.jit
def _blocks_kernel(
    rows, results, high, wide, result_high, result_wide, above, before,
    side: tl.constexpr, channels: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    line = tl.program_id(0)
    place = tl.program_id(1) * block + tl.arange(0, block)
    values = side * side * channels
    inside = place < result_wide * values
    column, value = place // values, place % values
    x = column * side + value // channels % side - before
    y = line % result_high * side + value // (side * channels) - above
    there = inside & (x >= 0) & (x < wide) & (y >= 0) & (y < high)
    pixel = ((line // result_high).to(tl.int64) * high + y) * wide + x
    found = tl.load(rows + pixel * channels + value % channels, mask=there, other=0.0)
    start = line.to(tl.int64) * result_wide * values
    tl.store(results + start + place, found.to(results.dtype.element_ty), mask=inside)


def to_blocks(rows: Tensor, side: int, padding: Pair, shape: Pair, dtype: torch.dtype) -> Tensor:
    """Return contiguous rows (N, H, W, C) as (N, *shape, side² · C): each block of pixels as one, of type `dtype`.

    `padding` is the rows and columns of zeros before the first pixel. There are zeros after the last one, too.
    """
    count, high, wide, channels = rows.shape
    results = rows.new_empty(count, *shape, side * side * channels, dtype=dtype)
    grid = count * shape[0], triton.cdiv(results[0, 0].numel(), BLOCK)
    _blocks_kernel[grid](rows, results, high, wide, *shape, *padding, side=side, channels=channels, block=BLOCK)
    return results
