"""Compares the Triton kernels with PyTorch's operations, in Triton's interpreter; started by a test."""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported

import torch
import torch.nn.functional as F
from torch import nn

from alexplore.training.data import preprocess, preprocess_triton
from alexplore.training.kernels import lrn, lrn_triton


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


torch.manual_seed(0)
compare_crops(3, 2, 5)
compare_crops(1, 0, 2)
compare(5, 1, 7, 0.5, 0.75, 2.0, 5)
compare(4, 2, 6, 1.0, 0.5, 1.0, 4)
compare(11, 1, 4, 0.3, 0.75, 1.0, 3)
compare(3, 4, 96, 0.3, 0.75, 1.0, 5)  # more than one block
assert lrn_triton.works(torch.device("cpu"))
