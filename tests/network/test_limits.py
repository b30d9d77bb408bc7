"""Networks that no machine can hold are refused with the sum, before memory is asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from alexplore.network.analysis import analyse
from alexplore.network.graph import read_network
from alexplore.network.layers import read_layer
from alexplore.network.limits import memory_problem
from alexplore.presets.recipe import read_recipe
from alexplore.runs.config import RunConfig
from alexplore.runs.preflight import find_problems
from alexplore.training.errors import UsageError
from alexplore.training.model.build import build, build_layer

HUGE = 2**31 - 1
CONV = {"type": "conv2d", "out_channels": 1, "kernel_size": 3}
TOO_LARGE: dict[str, tuple[list[int], dict[str, Any], str]] = {
    "weights": ([3, 8, 8], {**CONV, "out_channels": HUGE, "kernel_size": 300, "padding": 300}, "its weights take"),
    "outputs": ([3, 8, 8], {"type": "adaptive_avg_pool2d", "output_size": HUGE}, f"3×{HUGE}×{HUGE}"),
    "padding": ([3, 8, 8], {**CONV, "padding": 2**30}, "conv2d1 reads 3×8×8"),
    "image": ([1, HUGE, HUGE], {"type": "max_pool2d", "kernel_size": 2}, f"reads 1×{HUGE}×{HUGE}"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_no_machine_holds(name: str) -> None:
    size, layer, words = TOO_LARGE[name]
    network = read_network({"input": size, "layers": [layer, {"type": "flatten"}]})
    with pytest.raises(UsageError, match=f"the network can't be built: .*{words}.* and this machine has "):
        build(network)
    config = RunConfig("big", network, read_recipe({"dataset": "synthetic"}))
    (problem, *_) = find_problems(config)
    assert problem.setting == "network"
    assert words in problem.message and "no machine has more than 128 TiB" in problem.message


def test_the_sum_is_of_the_weights_and_the_largest_layer() -> None:
    network = read_network({"input": [1, 4, 4], "layers": [{**CONV, "out_channels": 2, "padding": 1}]})
    needed = 4 * (2 * 9 + 2) + 4 * (6 * 6 + 2 * 4 * 4)  # weights and biases; the padded input and the output
    assert memory_problem(analyse(network), needed, "there is") is None
    problem = str(memory_problem(analyse(network), needed - 1, "there is"))
    assert problem.endswith("besides 80 B of weights, and there is 351 B")


@pytest.mark.parametrize("region", ["across_channels", "within_channel"])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_norm_over_a_huge_window_sums_what_there_is(region: str, groups: int) -> None:
    if region == "within_channel" and groups > 1:
        pytest.skip("within a channel there are no groups")
    settings = {"size": HUGE, "region": region, "groups": groups, "alpha": 1e12}
    layer = read_layer({"type": "local_response_norm", **settings}, "norm")
    maps = torch.randn(2, 6, 3, 4, dtype=torch.float64).requires_grad_()
    found = build_layer(layer, ((6, 3, 4),))(maps)
    if region == "across_channels":
        sums = maps.square().view(2, groups, -1, 3, 4).sum(2, keepdim=True)
        expected = maps * (1 + 1e12 / HUGE * sums.repeat_interleave(6 // groups, 2).view(2, 6, 3, 4)) ** -0.75
    else:
        expected = maps * (1 + 1e12 / HUGE**2 * maps.square().sum((2, 3), keepdim=True)) ** -0.75
    torch.testing.assert_close(found, expected)
    toward = torch.randn_like(maps)
    torch.testing.assert_close(torch.autograd.grad(found, maps, toward), torch.autograd.grad(expected, maps, toward))
