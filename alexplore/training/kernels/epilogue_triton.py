"""What follows a convolution on a GPU, in one pass each way, in Triton: its bias, a ReLU and a max pool.

PyTorch passes over the maps for each of them, and remembers the maxima in int64. On an H100 they take a third of a step
of torchvision's network. Maps are channels last, as (N, H, W, C).

A max pool remembers the position of the maximum in its window, and `CUT` if the ReLU made it 0. Gradients are added up
in an order that does not change.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from alexplore.network.windows import Windows

CUT = tl.constexpr(255)
"""No position in a window; see `epilogue.MOST_TAPS`."""

VALUES = 1024
"""The number of values that a Triton program computes at once."""

LEAST_LANES, MOST_LANES = 8, 64
"""The fewest and the most channels that a Triton program computes at once, if a layer has as many."""

PROGRAMS = 512
"""The number of programs that add up the gradients of the biases."""


@triton.jit
def _inside(pixel, channel, channels: tl.constexpr, lanes: tl.constexpr):
    """Return which values of (pixels, lanes) are there, of pixels that are (`pixel`) or not."""
    inside = pixel[:, None]
    if channels % lanes != 0:
        inside = inside & (channel < channels)[None, :]
    return inside


@triton.jit
def _places(start, count, channel, channels: tl.constexpr, pixels: tl.constexpr, lanes: tl.constexpr):
    """Return the offsets of the (pixels, lanes) values from the pixel `start` on, and which of them are there."""
    pixel = start + tl.arange(0, pixels)
    return pixel[:, None] * channels + channel[None, :], _inside(pixel < count, channel, channels, lanes)


@triton.jit
def _biases(bias, channel, channels: tl.constexpr):
    return tl.load(bias + channel, mask=channel < channels, other=0.0).to(tl.float32)[None, :]


@triton.jit
def _relu_kernel(
    maps, bias, results, count,
    channels: tl.constexpr, has_bias: tl.constexpr, pixels: tl.constexpr, lanes: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(1) * lanes + tl.arange(0, lanes)
    place, inside = _places(tl.program_id(0).to(tl.int64) * pixels, count, channel, channels, pixels, lanes)
    value = tl.load(maps + place, mask=inside, other=0.0).to(tl.float32)
    if has_bias:
        value += _biases(bias, channel, channels)
    tl.store(results + place, tl.where(value <= 0, 0.0, value).to(results.dtype.element_ty), mask=inside)


@triton.jit
def _relu_gradient_kernel(
    outputs, gradients, results, sums, count,
    channels: tl.constexpr, with_sums: tl.constexpr, pixels: tl.constexpr, lanes: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * lanes + tl.arange(0, lanes)
    total = tl.zeros((pixels, lanes), tl.float32)
    for start in range(program * pixels, count, tl.num_programs(0) * pixels):
        place, inside = _places(start, count, channel, channels, pixels, lanes)
        output = tl.load(outputs + place, mask=inside, other=0.0).to(tl.float32)
        gradient = tl.load(gradients + place, mask=inside, other=0.0).to(tl.float32)
        gradient = tl.where(output <= 0, 0.0, gradient)  # as PyTorch's, which lets the gradient of NaN through
        tl.store(results + place, gradient.to(results.dtype.element_ty), mask=inside)
        total += gradient
    if with_sums:
        tl.store(sums + program * channels + channel, tl.sum(total, 0), mask=channel < channels)


@triton.jit
def _pool_kernel(
    maps, bias, results, chosen, count, high, wide, out_high, out_wide,
    channels: tl.constexpr, kernel_high: tl.constexpr, kernel_wide: tl.constexpr,
    step_down: tl.constexpr, step_right: tl.constexpr, above: tl.constexpr, before: tl.constexpr,
    has_bias: tl.constexpr, has_relu: tl.constexpr, pixels: tl.constexpr, lanes: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0) * pixels + tl.arange(0, pixels)
    channel = tl.program_id(1) * lanes + tl.arange(0, lanes)
    inside = pixel < count
    left = (pixel % out_wide) * step_right - before
    top = (pixel // out_wide % out_high) * step_down - above
    first = pixel // out_wide // out_high * high
    best = tl.full((pixels, lanes), float("-inf"), tl.float32)
    tap_of_best = tl.zeros((pixels, lanes), tl.int32)
    for tap in tl.static_range(kernel_high * kernel_wide):
        y = top + tap // kernel_wide
        x = left + tap % kernel_wide
        there = _inside(inside & (y >= 0) & (y < high) & (x >= 0) & (x < wide), channel, channels, lanes)
        place = ((first + y) * wide + x).to(tl.int64)[:, None] * channels + channel[None, :]
        value = tl.load(maps + place, mask=there, other=float("-inf")).to(tl.float32)
        better = (value > best) | (value != value)  # noqa: PLR0124 (NaN stays)
        best = tl.where(better, value, best)
        tap_of_best = tl.where(better, tap, tap_of_best)
    if has_bias:
        best += _biases(bias, channel, channels)
    if has_relu:
        tap_of_best = tl.where(best <= 0, CUT, tap_of_best)
        best = tl.where(best <= 0, 0.0, best)
    place = pixel.to(tl.int64)[:, None] * channels + channel[None, :]
    tl.store(results + place, best.to(results.dtype.element_ty), mask=_inside(inside, channel, channels, lanes))
    tl.store(chosen + place, tap_of_best.to(tl.uint8), mask=_inside(inside, channel, channels, lanes))


@triton.jit
def _pool_gradient_kernel(
    gradients, chosen, results, count, high, wide, out_high, out_wide,
    channels: tl.constexpr, kernel_high: tl.constexpr, kernel_wide: tl.constexpr,
    step_down: tl.constexpr, step_right: tl.constexpr, above: tl.constexpr, before: tl.constexpr,
    pixels: tl.constexpr, lanes: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0) * pixels + tl.arange(0, pixels)
    channel = tl.program_id(1) * lanes + tl.arange(0, lanes)
    inside = pixel < count
    x = pixel % wide + before
    y = pixel // wide % high + above
    first = pixel // wide // high * out_high
    last_row, last_column = y // step_down, x // step_right  # of the windows that contain the pixel
    total = tl.zeros((pixels, lanes), tl.float32)
    for up in tl.static_range((kernel_high + step_down - 1) // step_down):
        for left in tl.static_range((kernel_wide + step_right - 1) // step_right):
            row, column = last_row - up, last_column - left
            tap_row, tap_column = y - row * step_down, x - column * step_right
            there = inside & (row >= 0) & (row < out_high) & (column >= 0) & (column < out_wide)
            there = _inside(there & (tap_row < kernel_high) & (tap_column < kernel_wide), channel, channels, lanes)
            place = ((first + row) * out_wide + column).to(tl.int64)[:, None] * channels + channel[None, :]
            tap = tl.load(chosen + place, mask=there, other=CUT).to(tl.int32)
            gradient = tl.load(gradients + place, mask=there, other=0.0).to(tl.float32)
            own = (tap_row * kernel_wide + tap_column).to(tl.int32)[:, None]
            total += tl.where(tap == own, gradient, 0.0)
    place = pixel.to(tl.int64)[:, None] * channels + channel[None, :]
    tl.store(results + place, total.to(results.dtype.element_ty), mask=_inside(inside, channel, channels, lanes))


@triton.jit
def _pooled_sums_kernel(
    gradients, chosen, sums, count, channels: tl.constexpr, pixels: tl.constexpr, lanes: tl.constexpr
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * lanes + tl.arange(0, lanes)
    total = tl.zeros((pixels, lanes), tl.float32)
    for start in range(program * pixels, count, tl.num_programs(0) * pixels):
        place, inside = _places(start, count, channel, channels, pixels, lanes)
        tap = tl.load(chosen + place, mask=inside, other=CUT).to(tl.int32)
        gradient = tl.load(gradients + place, mask=inside, other=0.0).to(tl.float32)
        total += tl.where(tap == CUT, 0.0, gradient)
    tl.store(sums + program * channels + channel, tl.sum(total, 0), mask=channel < channels)


def relu(maps: Tensor, bias: Tensor | None, results: Tensor) -> None:
    """Write max(0, maps + bias) of (…, C), which may be the same memory; a bias is (C,)."""
    channels, count, pixels, lanes = _sizes(maps)
    _relu_kernel[triton.cdiv(count, pixels), triton.cdiv(channels, lanes)](
        maps, maps if bias is None else bias, results, count,
        channels=channels, has_bias=bias is not None, pixels=pixels, lanes=lanes,
    )  # fmt: skip


def relu_gradient(outputs: Tensor, gradients: Tensor, results: Tensor, *, with_sums: bool) -> Tensor | None:
    """Write the gradient of the input of `relu`, and return its sums over the pixels, fp32 (C,), if wanted."""
    channels, count, pixels, lanes = _sizes(outputs)
    programs = min(PROGRAMS, triton.cdiv(count, pixels)) if with_sums else triton.cdiv(count, pixels)
    sums = outputs.new_empty(programs, channels, dtype=torch.float32) if with_sums else results
    _relu_gradient_kernel[programs, triton.cdiv(channels, lanes)](
        outputs, gradients, results, sums, count,
        channels=channels, with_sums=with_sums, pixels=pixels, lanes=lanes,
    )  # fmt: skip
    return sums.sum(0) if with_sums else None


def pool(
    maps: Tensor, bias: Tensor | None, results: Tensor, chosen: Tensor, windows: Windows, *, has_relu: bool
) -> None:
    """Write the largest values of windows of maps + bias, after a ReLU if wanted, and where they are, in uint8."""
    channels, count, pixels, lanes = _sizes(results)
    _pool_kernel[triton.cdiv(count, pixels), triton.cdiv(channels, lanes)](
        maps, maps if bias is None else bias, results, chosen, count, *maps.shape[1:3], *results.shape[1:3],
        channels, **_window(windows), has_bias=bias is not None, has_relu=has_relu, pixels=pixels, lanes=lanes,
    )  # fmt: skip


def pool_gradient(gradients: Tensor, chosen: Tensor, results: Tensor, windows: Windows) -> None:
    """Write the gradient of the maps of `pool`."""
    channels, count, pixels, lanes = _sizes(results)
    _pool_gradient_kernel[triton.cdiv(count, pixels), triton.cdiv(channels, lanes)](
        gradients, chosen, results, count, *results.shape[1:3], *gradients.shape[1:3],
        channels, **_window(windows), pixels=pixels, lanes=lanes,
    )  # fmt: skip


def pooled_sums(gradients: Tensor, chosen: Tensor) -> Tensor:
    """Return the gradient of the bias of `pool`, fp32 (C,)."""
    channels, count, pixels, lanes = _sizes(gradients)
    programs = min(PROGRAMS, triton.cdiv(count, pixels))
    sums = gradients.new_empty(programs, channels, dtype=torch.float32)
    _pooled_sums_kernel[programs, triton.cdiv(channels, lanes)](
        gradients, chosen, sums, count, channels=channels, pixels=pixels, lanes=lanes
    )
    return sums.sum(0)


def _sizes(maps: Tensor) -> tuple[int, int, int, int]:
    """Return the channels and pixels of maps (…, C), and how many pixels and channels a program computes at once."""
    channels = maps.shape[-1]
    lanes = channels & -channels  # a power of 2 that divides the channels, unless that is too small to read memory well
    lanes = min(MOST_LANES, lanes if lanes >= LEAST_LANES else triton.next_power_of_2(channels))
    return channels, maps.numel() // channels, VALUES // lanes, lanes


def _window(windows: Windows) -> dict[str, int]:
    rows, columns = windows
    return {
        "kernel_high": rows.kernel, "kernel_wide": columns.kernel, "step_down": rows.stride,
        "step_right": columns.stride, "above": rows.before, "before": columns.before,
    }  # fmt: skip
