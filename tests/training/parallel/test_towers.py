"""The paper's split: each tower on its own rank computes what the one network in groups does."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.network.layers.base import Layer
from alexplore.network.layers.conv2d import Conv2d
from alexplore.network.layers.dropout import Dropout
from alexplore.network.layers.linear import Linear
from alexplore.presets.library import load_preset
from alexplore.training.checkpoint import read
from alexplore.training.errors import UsageError
from alexplore.training.model.build import build
from alexplore.training.parallel.ranks import loopback
from alexplore.training.parallel.towers import place
from tests.support.processes import exit_code, start_worker
from tests.support.runs import events, metrics
from tests.support.training import train_here
from tests.support.waiting import PATIENCE
from tests.training.conftest import MakeRun


def narrow(network: Network) -> Network:
    """Return a network with the same layers, no dropout and a sixteenth of the kernels, for smaller images."""

    def narrowed(layer: Layer) -> Layer:
        match layer:
            case Conv2d():
                return dataclasses.replace(layer, out_channels=layer.out_channels // 16)
            case Linear():
                return dataclasses.replace(layer, out_features=max(10, layer.out_features // 128))
            case Dropout():
                return dataclasses.replace(layer, p=0.0)
            case _:
                return layer

    return Network((3, 67, 67), tuple(map(narrowed, network.layers)), network.towers)


PAPER = narrow(load_preset("paper").network)


def test_the_paper_exchanges_before_conv3_and_the_linear_layers() -> None:
    places = place(PAPER)
    assert [placed.layer.name for placed in places if placed.reads == "all"] == ["conv3", "fc6", "fc7", "fc8"]
    assert [placed.layer.name for placed in places if not placed.split] == ["fc8"]
    priced = [row.layer.name for row in analyse(PAPER).rows if row.exchange_bytes]
    assert priced == ["conv3", "fc6", "fc7", "fc8"]


STACK: list[dict[str, Any]] = [
    {"name": "conv1", "type": "conv2d", "out_channels": 4, "kernel_size": 3},
    {"name": "conv2", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "groups": 2},
    {"name": "flatten", "type": "flatten"},
    {"name": "fc3", "type": "linear", "out_features": 10},
]


@pytest.mark.parametrize(
    ("changes", "towers", "said"),
    [
        ({}, 1, "no towers; set towers = 2"),
        ({0: {"out_channels": 3, "groups": 1}, 1: {"groups": 1}}, 2, "conv1 can't be split: out_channels = 3"),
        ({1: {"groups": 4}}, 3, "conv1 can't be split"),
        ({0: {"groups": 2}}, 2, "conv1 can't be split: its 2 groups"),
        (
            {1: {"name": "norm", "type": "local_response_norm", "size": 3}},
            2,
            "norm .* normalises across towers; set gr",
        ),
        ({1: {"name": "drop", "type": "dropout"}, 0: {"name": "d0", "type": "dropout"}}, 2, "two layers with weights"),
        ({2: {"name": "soft", "type": "softmax"}}, 2, "soft can't be split: it needs all values"),
    ],
)
def test_a_network_that_cannot_be_split_is_refused_with_the_reason(
    changes: dict[int, dict[str, Any]], towers: int, said: str
) -> None:
    layers = [{**layer} for layer in STACK]
    for index, change in changes.items():
        layers[index] = change if "type" in change else {**layers[index], **change}
    network = read_network({"input": [2, 8, 8], "layers": layers}).with_towers(towers)
    with pytest.raises(UsageError, match=said):
        place(network)


def run_towers(script: str, folder: Path, **given: Any) -> list[Any]:
    """Run a script on two gloo ranks, which connect through a file, and return what each has saved."""
    file = folder / "script.py"
    file.write_text(script)
    (folder / "given.json").write_text(json.dumps(given))
    processes = []
    for rank in range(2):
        environment = {
            "RANK": str(rank), "GLOO_SOCKET_IFNAME": loopback(), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
        }  # fmt: skip
        processes.append(subprocess.Popen([sys.executable, str(file), str(folder)], env={**os.environ, **environment}))
    for process in processes:
        assert process.wait(PATIENCE) == 0
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


SCRIPT = """
import json, os, sys
from alexplore.core.process_exit import exit_process
from pathlib import Path
import torch, torch.distributed as dist, torch.nn.functional as F
from alexplore.network.graph import read_network
from alexplore.training.parallel.towers import TowerState, build_tower, exchanged

rank, folder = int(os.environ["RANK"]), Path(sys.argv[1])
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
given = json.loads((folder / "given.json").read_text())
network = read_network(given["network"])
model = build_tower(network, rank, seed=1).double()
optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, fused=True)
generator = torch.Generator().manual_seed(0)
state = TowerState(network, rank)
found = {"logits": [], "loss": []}
for step in range(3):
    images = torch.randn(4, *network.input, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 10, (4,), generator=generator)
    optimizer.zero_grad()
    logits = model(images.contiguous(memory_format=torch.channels_last))
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    if step == 0:
        gradients = {name: state._whole(name, parameter.grad) for name, parameter in model.named_parameters()}
    optimizer.step()
    found["logits"].append(logits.detach())
    found["loss"].append(loss.detach())
weights, slots = state.weights(model), state.optimizer(model, optimizer)
torch.save({**found, "gradients": gradients, "weights": weights, "exchanged": exchanged(model)}, folder / f"{rank}.pt")
exit_process(0)  # as a rank does: threads of gloo must not outlive the interpreter
dist.destroy_process_group()
"""


assert_equal = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("heavy")
def test_two_towers_equal_the_grouped_network_in_float64(tmp_path: Path) -> None:
    whole = build(PAPER, 1).double()
    optimizer = torch.optim.SGD(whole.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    generator = torch.Generator().manual_seed(0)
    expected: dict[str, list[Tensor]] = {"logits": [], "loss": []}
    gradients: dict[str, Tensor] = {}
    for step in range(3):
        images = torch.randn(4, *PAPER.input, generator=generator, dtype=torch.float64)
        labels = torch.randint(0, 10, (4,), generator=generator)
        optimizer.zero_grad()
        logits = whole(images)
        loss = F.cross_entropy(logits, labels)
        torch.autograd.backward(loss)
        if step == 0:
            gradients = {n: p.grad.clone() for n, p in whole.named_parameters() if p.grad is not None}
        optimizer.step()
        expected["logits"].append(logits.detach())
        expected["loss"].append(loss.detach())
    for found in run_towers(SCRIPT, tmp_path, network=PAPER.to_dict()):
        assert_equal(found["logits"], expected["logits"])
        assert_equal(found["loss"], expected["loss"])
        assert found["gradients"].keys() == gradients.keys()
        for name, gradient in gradients.items():
            assert_equal(found["gradients"][name], gradient)
        for name, weight in whole.state_dict().items():
            assert_equal(found["weights"][name], weight)
        # Counted in float64; the explorer's column is in fp32.
        column = {row.layer.name: 2 * row.exchange_bytes for row in analyse(PAPER).rows if row.exchange_bytes}
        assert found["exchanged"] == column


@pytest.mark.exhaustive
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_towers_stopped_and_resumed_end_with_the_same_bits(make_run: MakeRun, optimizer: str) -> None:
    recipe: dict[str, Any] = {"optimizer": optimizer, "lr": 0.01, "batch_size": 8, "limit_train": 20, "limit_val": 6}
    network = PAPER.with_input(3, 67, 67)
    whole = make_run("whole", network=network, parallel="towers", epochs=2, **recipe)
    parts = make_run("parts", network=network, parallel="towers", epochs=1, **recipe)
    for run in (whole, parts):
        assert exit_code(start_worker(run), run) == 0
    config = json.loads(parts.config_file.read_text())
    config["recipe"]["epochs"] = 2
    parts.config_file.write_text(json.dumps(config))
    assert exit_code(start_worker(parts), parts) == 0
    ours, theirs = (read(run.checkpoints_folder / "last").weights for run in (parts, whole))
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())


@pytest.mark.exhaustive
def test_towers_choose_one_precision_and_count_only_bytes_of_training(make_run: MakeRun) -> None:
    network = PAPER.with_input(3, 67, 67)
    run = make_run(
        network=network, parallel="towers", epochs=1, precision="auto", batch_size=8, limit_train=20, limit_val=6
    )
    assert exit_code(start_worker(run), run) == 0
    (exchange,) = events(run, "exchange")
    (start,) = events(run, "start")
    value_bytes = {"fp32": 4, "bf16": 2}[start["precision"]]  # whichever is the faster on this machine
    rows = analyse(network).rows
    priced = {row.layer.name: row.exchange_bytes * value_bytes / 4 for row in rows if row.exchange_bytes}
    assert exchange["bytes_per_image"] == priced


@pytest.mark.exhaustive
def test_a_run_in_towers_can_be_resumed_on_one_rank_and_back(make_run: MakeRun) -> None:
    recipe: dict[str, Any] = {
        "optimizer": "sgd", "lr": 0.02, "batch_size": 8, "limit_train": 20, "limit_val": 6,
        "ema_decay": 0.5, "clip_grad_norm": 0.01, "class_weights": "balanced",
    }  # fmt: skip
    network = PAPER.with_input(3, 67, 67)
    towers = make_run("towers", network=network, parallel="towers", epochs=1, **recipe)
    assert exit_code(start_worker(towers), towers) == 0
    (start,) = events(towers, "start")
    assert start["ranks"] == 2

    alone = make_run("alone", network=network, epochs=1, **recipe)
    train_here(alone)
    assert metrics(towers) == pytest.approx(metrics(alone), rel=1e-3)
    ours, theirs = (read(run.checkpoints_folder / "last") for run in (towers, alone))
    for name, weight in theirs.weights.items():
        torch.testing.assert_close(ours.weights[name], weight, rtol=1e-3, atol=1e-5)
    for index, slot in theirs.state["optimizer"]["state"].items():
        momentum = ours.state["optimizer"]["state"][index]["momentum_buffer"]
        torch.testing.assert_close(momentum, slot["momentum_buffer"], rtol=1e-2, atol=1e-5)

    config = json.loads(towers.config_file.read_text())
    config["recipe"]["epochs"] = 2
    config["hardware"] = {"device": "cpu", "parallel": "data"}
    towers.config_file.write_text(json.dumps(config))
    assert train_here(towers) == "finished"
    config["recipe"]["epochs"] = 3
    config["hardware"] = {"device": "cpu", "parallel": "towers"}
    towers.config_file.write_text(json.dumps(config))
    assert exit_code(start_worker(towers), towers) == 0
    assert events(towers, "epoch")[-1]["epoch"] == 3
