"""The networks that the tutorials' loop trains."""

from __future__ import annotations

import pytest
from throughput import PEAK_GOALS, plain

from alexplore.network.analysis import analyse
from alexplore.presets.library import load_preset


@pytest.mark.parametrize("name", PEAK_GOALS)
def test_the_tutorials_train_the_same_layers(name: str) -> None:
    network = load_preset(name).network
    model = plain(network)
    assert [type(module).__name__.lower() for module in model] == [
        layer.type.replace("_", "") for layer in network.layers
    ]
    assert sum(parameter.numel() for parameter in model.parameters()) == analyse(network).totals.params
