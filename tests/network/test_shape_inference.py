"""What a new layer that joins branches is suggested to read."""

from __future__ import annotations

from alexplore.network.graph import read_network
from alexplore.network.layers.merge import Add, Concat
from alexplore.network.shape_inference import reads_all, suggest_inputs

NETWORK = read_network(
    {
        "input": [4, 8, 8],
        "layers": [
            {"name": "conv1", "type": "conv2d", "out_channels": 6, "kernel_size": 3, "padding": 1},
            {"name": "relu1", "type": "relu"},
            {"name": "conv2", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
            {"name": "pool", "type": "max_pool2d", "kernel_size": 2},
            {"name": "wide", "type": "conv2d", "out_channels": 16, "kernel_size": 1},
        ],
    }
)


def test_the_nearest_layer_of_the_same_shape() -> None:
    assert suggest_inputs(NETWORK, 3, Add) == ("conv2", "input")
    assert suggest_inputs(NETWORK, 2, Add) == ("relu1", "conv1")
    assert suggest_inputs(NETWORK, 3, Concat) == ("conv2", "relu1")


def test_the_layer_itself_where_no_other_fits() -> None:
    assert suggest_inputs(NETWORK, 5, Add) == ("wide", "wide")


def test_a_network_with_what_is_suggested_can_be_read() -> None:
    for index in range(1, len(NETWORK.layers) + 1):
        for cls in (Add, Concat):
            added = NETWORK.insert(index, cls(name="join", inputs=suggest_inputs(NETWORK, index, cls)))
            assert reads_all(added)
