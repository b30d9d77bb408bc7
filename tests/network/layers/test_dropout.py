"""Dropout of values and of channels."""

from __future__ import annotations

import pytest
import torch

from alexplore.network.layers import LAYER_TYPES, read_layer
from alexplore.network.layers.base import Layer
from alexplore.training.model.build import build_layer
from tests.support.layer_checks import LAYER_CHECKS, LayerCheck
from tests.support.layers import Case

DROPOUTS = [cls for cls in LAYER_TYPES.values() if cls.role == "dropout"]


@pytest.mark.parametrize("cls", DROPOUTS)
@pytest.mark.parametrize("p", [0.0, 0.25])
@pytest.mark.parametrize("check", LAYER_CHECKS)
def test_another_share(check: LayerCheck, p: float, cls: type[Layer]) -> None:
    check(Case(cls, {"p": p}))


def test_whole_channels_are_dropped_and_the_others_scaled() -> None:
    layer = read_layer({"name": "drop", "type": "dropout2d", "p": 0.2}, "")
    module = build_layer(layer, ((100, 4, 5),)).train()
    torch.manual_seed(0)
    output = module(torch.ones(30, 100, 4, 5))
    factors = output[:, :, 0, 0]
    assert torch.equal(output, factors[:, :, None, None].expand_as(output))
    assert set(factors.unique().tolist()) == {0.0, 1.25}
    assert (factors == 0).float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert torch.equal(module.eval()(torch.ones(1, 100, 4, 5)), torch.ones(1, 100, 4, 5))
