"""Training in each precision."""

from __future__ import annotations

import math

import pytest
import torch

from alexplore.presets.precisions import PRECISIONS
from alexplore.training import precision
from alexplore.training.precision import Precision, matmul_peak
from tests.support.runs import events, metrics
from tests.support.training import train_here
from tests.training.conftest import MakeRun

CPU = torch.device("cpu")


def test_peak_counts_a_multiplication_and_an_addition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "fastest", lambda task, _: 0.5 if task().shape == (1024, 1024) else 0.0)
    assert matmul_peak(CPU, "fp32") == 2 * 1024 * 1024 * 1024 / 0.5


@pytest.mark.parametrize("name", sorted(PRECISIONS.keys() - {"auto", "fp32"}))
def test_sixteen_bits_train_about_as_thirty_two_do(name: str, make_run: MakeRun) -> None:
    exact = make_run("fp32", epochs=1)
    train_here(exact)
    run = make_run(name, precision=name, epochs=1)
    train_here(run)
    assert events(run, "start")[0]["precision"] == name
    assert events(run, "precision")[0]["seconds"] == {}
    found, expected = metrics(run), metrics(exact)
    assert found.keys() == expected.keys()
    for key, value in found.items():
        assert math.isfinite(value)
        if key[0].endswith("loss"):
            assert value == pytest.approx(expected[key], rel=0.05)
            assert key[0] == "val/loss" or value != expected[key]


def test_autocast_is_the_precision_it_says() -> None:
    layer = torch.nn.Linear(2, 2)
    with Precision("bf16", CPU).autocast():
        assert layer(torch.ones(1, 2)).dtype == torch.bfloat16
    with Precision("fp32", CPU).autocast():
        assert layer(torch.ones(1, 2)).dtype == torch.float32
