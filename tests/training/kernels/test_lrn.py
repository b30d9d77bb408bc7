"""Local response normalisation against PyTorch's own, and against Caffe's definition written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from alexplore.training.kernels import lrn
from tests.support.examples import examples


def native(maps: Tensor, size: int, alpha: float, beta: float, k: float, groups: int) -> Tensor:
    return torch.cat([F.local_response_norm(part, size, alpha, beta, k) for part in maps.chunk(groups, 1)], 1)


@examples(100)
@given(
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 7),
    st.floats(1e-4, 2),
    st.sampled_from([0.75, 0.5, 1.0, 0.3]),
    st.floats(0.5, 2),
)
def test_forward_and_backward_equal_pytorch(
    groups: int, channels: int, size: int, alpha: float, beta: float, k: float
) -> None:
    generator = torch.Generator().manual_seed(channels)
    maps = torch.randn(2, groups * channels, 3, 4, generator=generator, dtype=torch.float64).mul_(3)
    maps = maps.contiguous(memory_format=torch.channels_last).requires_grad_()
    toward = torch.randn(maps.shape, generator=generator, dtype=torch.float64)
    ours = lrn.LocalResponseNorm(size, alpha, beta, k, groups)(maps)
    theirs = native(maps, size, alpha, beta, k, groups)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours, maps, toward), torch.autograd.grad(theirs, maps, toward), rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
def test_many_blocks_in_training_precision(
    dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lrn, "CACHED_VALUES", 1000)  # blocks that don't divide the rows
    maps = torch.randn(3, 96, 7, 5).mul_(4).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    toward = torch.randn(3, 96, 7, 5).to(dtype)
    ours = lrn.LocalResponseNorm(5, 5e-4, 0.75, 2.0, groups=2)(maps)
    assert ours.dtype == dtype
    assert ours.is_contiguous(memory_format=torch.channels_last)
    theirs = native(maps.float(), 5, 5e-4, 0.75, 2.0, 2)
    torch.testing.assert_close(ours.float(), theirs, rtol=tolerance, atol=tolerance)
    (gradient,) = torch.autograd.grad(ours, maps, toward)
    (expected,) = torch.autograd.grad(theirs, maps, toward.float())
    torch.testing.assert_close(gradient.float(), expected.float(), rtol=tolerance, atol=tolerance)


def test_no_images_and_maps_in_pytorch_layout() -> None:
    layer = lrn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
    maps = torch.randn(2, 6, 3, 3, requires_grad=True)
    torch.testing.assert_close(layer(maps), native(maps, 5, 1e-4, 0.75, 1.0, 1))
    none = torch.zeros(0, 6, 3, 3, requires_grad=True)
    layer(none).sum().backward()
    assert none.grad is not None
    assert none.grad.shape == none.shape


def test_gradient_is_the_derivative() -> None:
    maps = torch.randn(1, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lrn.LocalResponseNorm(3, 0.7, 0.75, 1.3, groups=2), (maps,))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_within_a_channel_sums_squares_over_a_window(size: int) -> None:
    maps = torch.randn(2, 3, 6, 5, dtype=torch.float64)
    expected = torch.empty_like(maps)
    for row in range(6):
        for column in range(5):
            top, left = row - size // 2, column - size // 2
            window = maps[:, :, max(0, top) : top + size, max(0, left) : left + size]
            scale = 1.5 + 0.8 / size**2 * window.square().sum((2, 3))
            expected[:, :, row, column] = maps[:, :, row, column] / scale**0.6
    torch.testing.assert_close(lrn.LocalResponseNormWithin(size, 0.8, 0.6, 1.5)(maps), expected, rtol=1e-6, atol=1e-6)
