"""Compares the Triton kernels with PyTorch's operations, in Triton's interpreter; started by a test."""

from __future__ import annotations

import os
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.network.layers.pool2d import MaxPool2d
from alexplore.training.data import preprocess, preprocess_triton
from alexplore.training.kernels import blocks_triton, conv_forms, epilogue, epilogue_triton, lrn, lrn_triton


def compare(size: int, groups: int, channels: int, alpha: float, beta: float, k: float, pixels: int) -> None:
    """Compare output and gradient of one setting with those of PyTorch's module, group by group."""
    maps = torch.randn(2, channels, pixels, 3).mul_(3).requires_grad_()
    theirs = torch.cat([nn.LocalResponseNorm(size, alpha, beta, k)(part) for part in maps.chunk(groups, 1)], 1)
    upstream = torch.randn_like(theirs)
    torch.autograd.backward(theirs, upstream)
    assert maps.grad is not None
    rows, gradients = lrn._rows(maps.detach()), lrn._rows(upstream)
    results, sums, grad_input = (torch.full_like(rows, torch.nan) for _ in range(3))
    group = channels // groups
    reach = lrn._reach(size, group)
    lrn_triton.forward(rows, results, sums, alpha / size, beta, k, reach, group)
    lrn_triton.backward(rows, sums, gradients, grad_input, alpha / size, beta, reach, group)
    torch.testing.assert_close(results, lrn._rows(theirs.detach()), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(grad_input, lrn._rows(maps.grad), rtol=1e-4, atol=1e-5)


def compare_crops(channels: int, padding: int, images: int) -> None:
    """Compare crops with those that are cut one by one from a padded image."""
    rows = torch.randint(0, 256, (images, 9, 11, channels), dtype=torch.uint8)
    free = torch.tensor([9 + 2 * padding - 6 + 1, 11 + 2 * padding - 7 + 1, 2])
    crops = torch.randint(2**31, (images, 3)) % free
    offsets, scales = torch.randn(images, channels), torch.rand(channels)
    padded = F.pad(rows, (0, 0, *(padding,) * 4))
    expected = preprocess._crop_one_by_one(padded, (6, 7), crops) * scales + offsets[:, None, None]
    found = preprocess_triton.crop_and_normalize(rows, (6, 7), crops, offsets, scales, padding)
    torch.testing.assert_close(found, expected)
    alike = preprocess_triton.crop_and_normalize(rows, (6, 7), crops, offsets[:1], scales, padding)
    torch.testing.assert_close(alike, expected + (offsets[:1] - offsets)[:, None, None])


def compare_blocks(channels: int, kernel: int, stride: int, padding: int, size: tuple[int, int]) -> None:
    """Compare blocks of pixels with those that PyTorch's operations make."""
    rows = torch.randn(2, *size, channels)
    shape = tuple((side + 2 * padding - kernel) // stride + -(-kernel // stride) for side in size)
    high, wide = (side * stride for side in shape)
    padded = F.pad(rows, (0, 0, padding, wide - padding - size[1], padding, high - padding - size[0]))
    expected = conv_forms._blocks(padded, stride)
    wanted = stride, (padding, padding), (shape[0], shape[1])
    assert torch.equal(blocks_triton.to_blocks(rows, *wanted, torch.float32), expected)
    found = blocks_triton.to_blocks(rows, *wanted, torch.bfloat16)
    torch.testing.assert_close(found, expected.to(torch.bfloat16))


TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}  # relative and absolute


def channels_last(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return random maps (N, C, H, W)."""
    return torch.randn(shape, dtype=dtype).contiguous(memory_format=torch.channels_last)


def compare_gradients(ours: Tensor, theirs: Tensor, wanted: tuple[Tensor, ...]) -> None:
    """Compare outputs and gradients; in 16 bits, ours are rounded less often than PyTorch's."""
    tolerance = TOLERANCES[ours.dtype]
    torch.testing.assert_close(ours.float(), theirs, rtol=tolerance, atol=tolerance)
    upstream = torch.randn_like(theirs)
    found = torch.autograd.grad(ours, wanted, upstream.to(ours.dtype))
    expected = torch.autograd.grad(theirs, wanted, upstream)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.float(), other.float(), rtol=tolerance, atol=tolerance)


def compare_relu(
    channels: int, *, has_bias: bool, size: tuple[int, int] = (5, 7), dtype: torch.dtype = torch.float32
) -> None:
    """Compare outputs and gradients of a bias and a ReLU with PyTorch's in fp32."""
    maps, bias = channels_last(3, channels, *size, dtype=dtype).requires_grad_(), torch.randn(channels).requires_grad_()
    wanted = (maps, bias) if has_bias else (maps,)
    theirs = F.relu(maps.float() + bias.view(-1, 1, 1) if has_bias else maps.float())
    compare_gradients(epilogue.bias_relu(maps.clone(), bias if has_bias else None), theirs, wanted)


def compare_pool(
    channels: int,
    *,
    has_bias: bool,
    has_relu: bool,
    size: tuple[int, int] = (9, 12),
    dtype: torch.dtype = torch.float32,
    **settings: Any,
) -> None:
    """Compare outputs and gradients of a max pool, with or without bias and ReLU, with PyTorch's in fp32."""
    maps, bias = channels_last(2, channels, *size, dtype=dtype).requires_grad_(), torch.randn(channels).requires_grad_()
    layer = MaxPool2d(name="pool", **settings)
    wanted = (maps, bias) if has_bias else (maps,)
    before = maps.float() + bias.view(-1, 1, 1) if has_bias else maps.float()
    theirs = nn.MaxPool2d(**settings)(F.relu(before) if has_relu else before)
    windows = layer.windows(((channels, *size),))
    ours = epilogue.max_pool(maps, windows, bias if has_bias else None, has_relu=has_relu)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    compare_gradients(ours, theirs, wanted)


def compare_nan() -> None:
    """Check that NaN stays NaN, as the guard against values that are not finite relies on it."""
    maps = channels_last(1, 4, 6, 6)
    maps[0, 1, 2, 2] = torch.nan
    windows = MaxPool2d(name="pool", kernel_size=3, stride=2).windows(((4, 6, 6),))
    theirs = F.max_pool2d(F.relu(maps), 3, 2)
    assert theirs.isnan().any()
    torch.testing.assert_close(epilogue.max_pool(maps, windows, has_relu=True), theirs, equal_nan=True)
    torch.testing.assert_close(epilogue.bias_relu(maps.clone(), None), F.relu(maps), equal_nan=True)


torch.manual_seed(0)
compare_blocks(3, 11, 4, 2, (32, 40))
compare_blocks(1, 11, 4, 1, (30, 31))
compare_blocks(4, 7, 2, 3, (14, 13))
compare_relu(64, has_bias=True)
compare_relu(6, has_bias=True)
compare_relu(1, has_bias=False)
compare_pool(64, has_bias=True, has_relu=True, kernel_size=3, stride=2)
compare_pool(96, has_bias=False, has_relu=False, kernel_size=3, stride=2)
compare_pool(6, has_bias=True, has_relu=True, kernel_size=2)
compare_pool(5, has_bias=True, has_relu=False, kernel_size=3, stride=2, padding=1)
compare_pool(16, has_bias=True, has_relu=True, kernel_size=3, stride=2, ceil_mode=True)
compare_pool(4, has_bias=False, has_relu=True, kernel_size=(2, 3), stride=(3, 1), padding=(1, 0))
compare_pool(8, has_bias=True, has_relu=True, size=(7, 7), kernel_size=5, stride=1)
compare_nan()
compare_relu(64, has_bias=True, dtype=torch.bfloat16)
compare_pool(64, has_bias=False, has_relu=False, kernel_size=3, stride=2, dtype=torch.bfloat16)
for channels in (1, 5, 33, 50, 97):  # blocks of channels that are not full
    compare_relu(channels, has_bias=True)
    compare_pool(channels, has_bias=True, has_relu=True, kernel_size=3, stride=2)
epilogue_triton.PROGRAMS = 2  # each adds up several blocks of pixels
compare_relu(64, has_bias=True, size=(16, 17))
compare_pool(48, has_bias=True, has_relu=True, size=(41, 40), kernel_size=3, stride=2)
compare_crops(3, 2, 5)
compare_crops(1, 0, 2)
compare(5, 1, 7, 0.5, 0.75, 2.0, 5)
compare(4, 2, 6, 1.0, 0.5, 1.0, 4)
compare(11, 1, 4, 0.3, 0.75, 1.0, 3)
compare(3, 4, 96, 0.3, 0.75, 1.0, 5)  # more than one block
assert lrn_triton.works(torch.device("cpu"))
