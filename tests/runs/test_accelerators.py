"""Devices that are asked for and not there: how it is said, and that the proposed fix is none of the same kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alexplore.network.graph import read_network
from alexplore.runs.accelerators import Accelerators, device_problems, network_problems
from alexplore.runs.config import Hardware, RunConfig

NONE, TWO, MPS = Accelerators(), Accelerators("cuda", 2), Accelerators("mps", 1)


@pytest.mark.parametrize(
    ("hardware", "found", "setting", "said"),
    [
        (Hardware("cuda"), NONE, "device", "--device cuda: PyTorch finds no GPU on this machine"),
        (Hardware("mps"), TWO, "device", "--device mps: PyTorch finds cuda on this machine"),
        (Hardware(gpus=3), TWO, "gpus", "--gpus 3: this machine has 2; use --gpus 2 or less"),
        (Hardware(gpus=2), MPS, "gpus", "--gpus 2: this machine has 1"),
        (Hardware(parallel="towers"), Accelerators("cuda", 1), "parallel", "2 towers need as many GPUs"),
    ],
)
def test_what_is_not_there_is_refused_and_the_fix_helps(
    hardware: Hardware, found: Accelerators, setting: str, said: str, config: RunConfig
) -> None:
    config = replace(config, network=replace(config.network, towers=2), hardware=hardware)
    (problem,) = (*device_problems(hardware, found), *network_problems(config, found))
    assert problem.setting == setting
    assert said in problem.message
    assert problem.fix is not None
    fixed = config.change(problem.fix.changes)
    assert not [*device_problems(fixed.hardware, found), *network_problems(fixed, found)]


@pytest.mark.parametrize("found", [NONE, TWO, MPS])
@pytest.mark.parametrize("hardware", [Hardware(), Hardware("cpu", gpus=8), Hardware("cpu", parallel="towers")])
def test_the_cpu_and_the_default_are_never_refused(hardware: Hardware, found: Accelerators, config: RunConfig) -> None:
    assert not list(device_problems(hardware, found))
    assert not list(network_problems(replace(config, hardware=hardware), found))


def test_a_cpu_rehearses_any_number_of_ranks(config: RunConfig) -> None:
    assert not list(device_problems(Hardware(gpus=9), NONE))
    assert not list(network_problems(replace(config, hardware=Hardware(parallel="towers")), NONE))


@pytest.mark.parametrize("pool", ["adaptive_avg_pool2d", "adaptive_max_pool2d"])
@pytest.mark.parametrize(("size", "allowed"), [(6, False), (7, True), ([14, "None"], True), ([9, "None"], False)])
def test_mps_pools_only_to_sizes_that_divide_the_inputs(
    pool: str, size: object, allowed: bool, config: RunConfig
) -> None:
    layers = [{"name": "pool", "type": pool, "output_size": size}, {"name": "flatten", "type": "flatten"}]
    network = read_network({"input": [1, 28, 28], "layers": layers})
    config = replace(config, network=network, hardware=Hardware())
    problems = list(network_problems(config, MPS))
    assert (not problems) is allowed
    for problem in problems:
        assert problem.message.startswith("pool pools 1×28×28 to ")
        assert problem.fix is not None
        assert not list(network_problems(config.change(problem.fix.changes), MPS))
    assert not list(network_problems(config, TWO))
