"""Local response normalisation on a GPU: one Triton kernel for the forward and one for the backward pass.

PyTorch's operations pass over the whole tensor a dozen times, which takes half of a step of the paper's network on an
H200. These kernels read each value from memory once. In the forward pass its neighbours come from the cache, as other
threads read them at the same time; in the backward pass threads exchange what they have computed, since powers take
longer than reading: 152 µs instead of 363 (the paper's norm1, 128 images in bf16, on an H100).

Source of the formulas: `lrn._AcrossChannels`.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024
"""The number of values that one Triton program computes."""


@triton.jit
def _places(count, channels: tl.constexpr, group: tl.constexpr, block: tl.constexpr):
    """Return the offsets of a program's values, whether each is inside the tensor, and its channel within its group."""
    start = tl.program_id(0).to(tl.int64) * block
    lane = tl.arange(0, block)
    place = start + lane
    inside = place < count
    channel = ((start % channels).to(tl.int32) + lane) % channels % group
    return place, inside, channel


@triton.jit
def _forward_kernel(
    maps, results, sums, count, scale, beta, k,
    channels: tl.constexpr, group: tl.constexpr, before: tl.constexpr, after: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    place, inside, channel = _places(count, channels, group, block)
    total = tl.zeros((block,), tl.float32)
    for shift in tl.static_range(-before, after + 1):
        neighbour = channel + shift
        there = inside & (neighbour >= 0) & (neighbour < group)
        value = tl.load(maps + place + shift, mask=there, other=0.0).to(tl.float32)
        total += value * value
    total = k + scale * total
    value = tl.load(maps + place, mask=inside, other=0.0).to(tl.float32)
    power = tl.exp2(-beta * tl.log2(total))
    tl.store(results + place, (value * power).to(results.dtype.element_ty), mask=inside)
    tl.store(sums + place, total.to(sums.dtype.element_ty), mask=inside)


@triton.jit
def _backward_kernel(
    maps, sums, gradients, results, count, scale, beta, channels: tl.constexpr, group: tl.constexpr,
    before: tl.constexpr, after: tl.constexpr, pixels: tl.constexpr, lanes: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0).to(tl.int64) * pixels + tl.arange(0, pixels)
    channel = tl.arange(0, lanes)
    inside = (pixel < count)[:, None] & (channel < channels)[None, :]
    place = pixel[:, None] * channels + channel[None, :]
    value = tl.load(maps + place, mask=inside, other=0.0).to(tl.float32)
    gradient = tl.load(gradients + place, mask=inside, other=0.0).to(tl.float32)
    sum_ = tl.load(sums + place, mask=inside, other=1.0).to(tl.float32)
    direct = gradient * tl.exp2(-beta * tl.log2(sum_))
    own = direct / sum_ * value
    total = own
    for shift in tl.static_range(-after, before + 1):  # the channels whose windows contain this one
        if shift != 0:
            neighbour = channel % group + shift
            there = (neighbour >= 0) & (neighbour < group) & (channel + shift < lanes)
            other = tl.gather(own, tl.broadcast_to(tl.where(there, channel + shift, 0)[None, :], (pixels, lanes)), 1)
            total += tl.where(there[None, :], other, 0.0)
    result = direct - 2 * beta * scale * value * total
    tl.store(results + place, result.to(results.dtype.element_ty), mask=inside)


def forward(
    rows: Tensor, results: Tensor, sums: Tensor, scale: float, beta: float, k: float, reach: tuple[int, int], group: int
) -> None:
    """Write the normalised rows and the sums s = k + scale · Σ a² of contiguous `rows` (N, C).

    `reach` is how many channels of a window are before and after its centre; `group` is the channels of a group.
    """
    before, after = reach
    _forward_kernel[_grid(rows)](
        rows, results, sums, rows.numel(), scale, beta, k,
        channels=rows.shape[1], group=group, before=before, after=after, block=BLOCK,
    )  # fmt: skip


def backward(
    rows: Tensor, sums: Tensor, gradients: Tensor, results: Tensor, scale: float, beta: float, reach: tuple[int, int],
    group: int,
) -> None:  # fmt: skip
    """Write the gradient of `rows` into `results`; `gradients` are those of the output, `sums` those of `forward`."""
    before, after = reach
    lanes = triton.next_power_of_2(rows.shape[1])
    pixels = max(1, BLOCK // lanes)
    _backward_kernel[(max(1, triton.cdiv(len(rows), pixels)),)](
        rows, sums, gradients, results, len(rows), scale, beta,
        channels=rows.shape[1], group=group, before=before, after=after, pixels=pixels, lanes=lanes,
    )  # fmt: skip


def works(device: torch.device) -> bool:
    """Return whether the kernels can be compiled and run; Triton needs a C compiler."""
    try:
        rows = torch.ones(2, 4, device=device)
        results, sums = torch.empty_like(rows), torch.empty_like(rows)
        forward(rows, results, sums, 0.5, 0.75, 1.0, (1, 1), 4)
        backward(rows, sums, rows, results, 0.5, 0.75, (1, 1), 4)
    except Exception:  # any error of a compiler: PyTorch's operations are used instead
        return False
    return True


def _grid(rows: Tensor) -> tuple[int]:
    return (max(1, triton.cdiv(rows.numel(), BLOCK)),)
