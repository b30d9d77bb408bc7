"""Measure the analysis of `paper` after an edit, beside a forward pass of its layers on torch's meta device.

Tensors on the meta device have shapes and no values, so that is how a PyTorch program would get a network's shapes.
The two take turns in one run. Then a network of 1,000 layers is measured, whole and broken.

    python benchmarks/edit.py [TURNS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from results import report
from torch import nn
from turns import figure, take_turns

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.network.layers.activations import ReLU
from alexplore.network.layers.base import Layer
from alexplore.network.layers.conv2d import Conv2d
from alexplore.network.layers.dropout import Dropout
from alexplore.network.layers.flatten import Flatten
from alexplore.network.layers.linear import Linear
from alexplore.network.layers.local_response_norm import LocalResponseNorm
from alexplore.network.layers.pool2d import MaxPool2d
from alexplore.presets.library import load_preset

PASSES = 20
GOAL_MILLISECONDS, GOAL_RATIO, GOAL_DEEP = 1.0, 20.0, 30.0


def milliseconds(work: Callable[[], object], passes: int = PASSES) -> float:
    """Return the milliseconds of one of `passes` passes."""
    started = time.perf_counter()
    for _ in range(passes):
        work()
    return (time.perf_counter() - started) / passes * 1000


def recompute(network: Network) -> None:
    """Edit the first layer, and analyse all rows and the totals."""
    edited = analyse(network.change(0, {"stride": 3}))
    _ = edited.totals


def on_meta(network: Network) -> Callable[[], object]:
    """Return a function that runs a forward pass of PyTorch's layers on the meta device."""
    with torch.device("meta"):
        model = nn.Sequential(*(module(row.layer, row.input or ()) for row in analyse(network).rows)).eval()
        images = torch.empty(1, *network.input)

    def forward() -> object:
        with torch.no_grad():
            return model(images)

    return forward


def module(layer: Layer, shape: tuple[int, ...]) -> nn.Module:
    """Return PyTorch's module for a layer of `paper`."""
    made: nn.Module
    match layer:
        case Conv2d(kernel_size=int(kernel), stride=int(stride), padding=int(padding)):
            made = nn.Conv2d(shape[0], layer.out_channels, kernel, stride, padding, groups=layer.groups)
        case MaxPool2d(kernel_size=int(kernel), stride=int(stride)):
            made = nn.MaxPool2d(kernel, stride)
        case LocalResponseNorm():
            made = nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
        case Linear():
            made = nn.Linear(shape[0], layer.out_features)
        case Dropout():
            made = nn.Dropout(layer.p)
        case Flatten():
            made = nn.Flatten()
        case ReLU():
            made = nn.ReLU()
        case _:
            raise TypeError(layer.type)
    return made


def deep() -> Network:
    """Return a network of 1,000 layers, the last of which checks its number of inputs."""
    block = [
        {"type": "conv2d", "out_channels": 16, "kernel_size": 3, "padding": 1},
        {"type": "batch_norm"},
        {"type": "relu"},
    ]
    last = {"type": "linear", "out_features": 10, "in_features": 16 * 32 * 32}
    return read_network({"input": [3, 32, 32], "layers": [*block * 333, {"type": "flatten"}, last]})


def main(turns: int) -> None:
    """Measure and print the medians of the turns."""
    paper = load_preset("paper").network
    forward = on_meta(paper)
    tasks = {"ours": lambda: milliseconds(lambda: recompute(paper)), "meta": lambda: milliseconds(forward)}
    taken = take_turns(tasks, "fp32", turns, wall_clock=False)
    ours = figure([turn.seconds["ours"] / PASSES * 1000 for turn in taken.counted])
    report("paper, an edit recomputed", ours, "ms", ".3f", f"{GOAL_MILLISECONDS:g} ms")
    report("paper, the meta device over ours", taken.ratio("meta", "ours"), goal=f"{GOAL_RATIO:g}", turns=taken)

    network = deep()
    broken = network.change(0, {"padding": 2})
    assert analyse(broken).broken is not None
    for name, state in (("whole", network), ("broken", broken)):
        took = figure([milliseconds(partial(recompute_deep, state), 3) for _ in range(turns)])
        report(f"1,000 layers, {name}", took, "ms", ".1f", f"{GOAL_DEEP:g} ms")


def recompute_deep(network: Network) -> None:
    """Edit a layer in the middle, and analyse all rows and the totals."""
    edited = analyse(network.change(501, {"bias": False} if isinstance(network.layers[501], Conv2d) else {}))
    _ = edited.totals


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
