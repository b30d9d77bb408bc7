"""The floating-point operations of a training step, against those that PyTorch counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from alexplore.network.analysis import analyse, training_flops
from alexplore.network.graph import read_network
from alexplore.training.model.build import build


def conv(name: str, read: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "type": "conv2d", "out_channels": 4, "kernel_size": 1, "inputs": [read], **settings}


ADD = {"name": "add", "type": "add", "inputs": ["a", "b"]}

NETWORKS: Mapping[str, list[dict[str, Any]]] = {
    "both read the images": [conv("a", "input"), conv("b", "input"), ADD],
    "one reads the other": [conv("a", "input"), conv("b", "a"), ADD],
    "a frozen branch after a trained one": [
        conv("a", "input"), conv("c", "input", trainable=False), conv("b", "c", trainable=False), ADD, conv("d", "add"),
    ],
    "a frozen layer behind a trained one": [conv("a", "input"), conv("b", "a", trainable=False), ADD],
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_follow_the_graph(name: str) -> None:
    network = read_network({"input": [3, 8, 8], "layers": NETWORKS[name]})
    model = build(network)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 8, 8)).sum().backward()
    assert training_flops(analyse(network)) == counter.get_total_flops()
