"""What is found in real trainings that go wrong, each made so, and in one that does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from alexplore.network.graph import Network, read_network
from alexplore.runs.diagnosis import RULES, diagnose_run
from alexplore.runs.step_time import BOUNDS
from alexplore.runs.watch import Watch
from alexplore.training.errors import NotFiniteError
from tests.support.training import train_here
from tests.training.conftest import MakeRun

pytestmark = pytest.mark.exhaustive


def network(*hidden: Mapping[str, Any], classes: int = 10, side: int = 28, **init: Any) -> Network:
    """Return a convolution, its activation, a pool, other layers, and a linear layer."""
    conv = {"name": "conv", "type": "conv2d", "out_channels": 8, "kernel_size": 5, "stride": 2, **init}
    last = [{"type": "flatten"}, {"name": "last", "type": "linear", "out_features": classes}]
    layers = [conv, {"type": "relu"}, {"type": "max_pool2d", "kernel_size": 2}, *hidden, *last]
    return read_network({"input": [1, side, side], "layers": layers})


PLAIN = network()
DEEP: list[Mapping[str, Any]] = [{"type": "flatten"}]
for _ in range(7):
    DEEP += [{"type": "linear", "out_features": 24}, {"type": "sigmoid"}]

FASHION = {"dataset": "fashion-mnist", "limit_train": 1000, "limit_val": 300, "optimizer": "sgd", "lr": 0.05,
           "momentum": 0.9, "horizontal_flip": False, "random_crop": False, "epochs": 3, "batch_size": 32}  # fmt: skip

TINY = {"limit_train": 64, "epochs": 1}
TROUBLED: Mapping[str, tuple[Network, Mapping[str, Any]]] = {
    "not finite": (PLAIN, {"lr": 1e30}),
    "diverging": (PLAIN, {"lr": 0.5, "momentum": 0.95, "warmup_epochs": 3, "epochs": 4}),
    "at chance": (PLAIN, {"lr": 1.0}),
    "exploding gradients": (network(init={"std": 300, "bias": 0}), {"lr": 1e-9}),
    "vanishing gradients": (network(*DEEP), {}),
    "dead units": (network(init={"std": 0.01, "bias": -10}), {}),
    "learning rate too high": (PLAIN, {"optimizer": "adam", "lr": 0.1, **TINY}),
    "learning rate too low": (PLAIN, {"lr": 1e-9}),
    "first loss": (network(init={"std": 3, "bias": 0}), {"lr": 1e-4, "epochs": 1}),
    "overfitting": (PLAIN, {"limit_train": 100, "epochs": 60, "lr": 0.1}),
    "stalled": (PLAIN, {"schedule": "step", "step_epochs": 2, "gamma": 1e-6, "epochs": 8}),
    "underfitting": (PLAIN, {"lr": 0.003}),
    "small batches": (network({"type": "batch_norm"}), {"batch_size": 2, "limit_train": 100}),
}
"""A training for each rule that finds it, with its network and recipe."""

WELL: Mapping[str, Network] = {
    "one convolution": PLAIN,
    "two convolutions": network({"type": "conv2d", "out_channels": 16, "kernel_size": 3}, {"type": "relu"}),
}
"""Networks with which all is well after six epochs."""

FOUND_ELSEWHERE = {"shuffled labels", *BOUNDS}
"""Rules that are tried below, and with injected slowdowns in `test_step_timer.py`."""


def found(make_run: MakeRun, network: Network, **recipe: Any) -> set[str]:
    """Return the names of the rules that speak of a run that is trained, without those about its times."""
    run = make_run(network=network, **{**FASHION, **recipe})
    try:
        train_here(run)
    except NotFiniteError as error:
        return {"not finite"} if "not finite" in str(error) else set()
    return {finding.rule for finding in diagnose_run(Watch(run).poll())} - BOUNDS.keys()


@pytest.mark.parametrize("rule", TROUBLED)
def test_trouble_is_found(rule: str, make_run: MakeRun) -> None:
    network, recipe = TROUBLED[rule]
    assert rule in found(make_run, network, **recipe)


def test_every_rule_is_tried_on_a_real_run() -> None:
    assert TROUBLED.keys() | FOUND_ELSEWHERE == RULES.keys()


@pytest.mark.parametrize("name", WELL)
def test_nothing_is_found_where_all_is_well(name: str, make_run: MakeRun) -> None:
    assert found(make_run, WELL[name], epochs=6) == set()


def noise(folder: Path, classes: int, images: int) -> Path:
    """Write images of noise into one folder a class: labels that say nothing."""
    random = np.random.default_rng(1)
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(images):
            pixels = random.integers(0, 256, (12, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number}.png")
    return folder


def test_labels_that_say_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    folder = noise(tmp_path / "images", classes=4, images=150)
    data = {"dataset": "imagefolder", "folder": str(folder), "val_share": 0.5, "limit_train": None, "limit_val": None}
    rules = found(make_run, network(classes=4, side=12), **data, epochs=60, optimizer="adam", lr=0.003)
    assert "shuffled labels" in rules
