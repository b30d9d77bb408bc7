"""The second way to a convolution's gradient is as precise as the first."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from alexplore.network.graph import read_network
from alexplore.training.kernels import convolution
from alexplore.training.kernels.convolution import Conv, Geometry, weight_gradient
from alexplore.training.model.build import build


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_many_blocks_in_training_precision(
    dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "COLUMN_VALUES", 3 * 5 * 6 * 27)  # blocks of three of the seven images
    torch.manual_seed(0)
    maps, weight = torch.randn(7, 3, 11, 13).to(dtype), torch.randn(4, 3, 3, 3).to(dtype).requires_grad_()
    output = F.conv2d(maps.float(), weight.float(), None, 2, 0, 1)
    wanted = torch.randn_like(output).to(dtype)
    (expected,) = torch.autograd.grad(output, weight, wanted.float())
    actual = weight_gradient(wanted, maps, weight, Geometry((2, 2), (0, 0), (1, 1)))
    assert actual.dtype == dtype
    scale = float(expected.abs().max())
    torch.testing.assert_close(actual / scale, expected / scale, rtol=0, atol=tolerance)


def test_autocast_and_frozen_weights() -> None:
    described = read_network(
        {
            "input": [2, 6, 6],
            "layers": [
                {"name": "a", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "trainable": False},
                {"name": "b", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "groups": 2},
            ],
        }
    )
    plain, changed = build(described, 0), build(described, 0)
    for layer in changed.children():
        assert isinstance(layer, Conv)
        layer.algorithm = layer.algorithm._replace(as_product=True)
    images = torch.randn(3, 2, 6, 6)
    for model in (plain, changed):
        with torch.autocast("cpu", torch.bfloat16):
            outputs = model(images)
        assert outputs.dtype == torch.bfloat16
        outputs.float().square().sum().backward()
    assert changed.get_parameter("a.weight").grad is None
    for name in ("b.weight", "b.bias"):
        ours, theirs = (model.get_parameter(name).grad for model in (changed, plain))
        torch.testing.assert_close(ours, theirs, rtol=3e-2, atol=3e-2)
