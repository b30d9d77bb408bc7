"""Crops, mirroring and normalisation of a batch on a GPU in one kernel, written in Triton.

With PyTorch's operations they take five passes, one of which computes the index of every byte.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024
"""Values that a program computes."""


@triton.jit
def _crop_kernel(
    rows, crops, offsets, scales, results, rows_high, rows_wide, high, wide, padding, offsets_step,
    channels: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * block + tl.arange(0, block)
    inside = place < high * wide * channels
    channel = place % channels
    column = place // channels % wide
    line = place // channels // wide
    top = tl.load(crops + image * 3).to(tl.int32)
    left = tl.load(crops + image * 3 + 1).to(tl.int32)
    mirrored = tl.load(crops + image * 3 + 2)
    y = top + line - padding
    x = left + tl.where(mirrored > 0, wide - 1 - column, column) - padding
    there = inside & (y >= 0) & (y < rows_high) & (x >= 0) & (x < rows_wide)
    pixel = (image * rows_high + y) * rows_wide + x
    value = tl.load(rows + pixel * channels + channel, mask=there, other=0).to(tl.float32)
    offset = tl.load(offsets + image * offsets_step + channel)
    scale = tl.load(scales + channel)
    tl.store(results + image * high * wide * channels + place, value * scale + offset, mask=inside)


def crop_and_normalize(
    rows: Tensor, size: tuple[int, int], crops: Tensor, offsets: Tensor, scales: Tensor, padding: int
) -> Tensor:
    """Return `offset` + pixel × `scale` of a crop of each image, float32 (N, *size, C).

    `rows` are contiguous (N, H, W, C), around which `padding` pixels are 0. `crops` are int64 (N, 3): the first row and
    column in the padded image, and 1 for a mirrored crop. `offsets` are float32 (N, C) or (1, C), `scales` (C,).
    """
    count, high, wide, channels = rows.shape
    results = torch.empty(count, *size, channels, device=rows.device)
    grid = count, triton.cdiv(size[0] * size[1] * channels, BLOCK)
    if count:
        _crop_kernel[grid](
            rows, crops, offsets, scales, results, high, wide, *size, padding, channels if len(offsets) > 1 else 0,
            channels=channels, block=BLOCK,
        )  # fmt: skip
    return results
