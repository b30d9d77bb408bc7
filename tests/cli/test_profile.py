"""The command profile."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from alexplore.cli.app import app
from alexplore.core.errors import FAILED, WRONG_USE
from alexplore.network.analysis import analyse
from alexplore.presets.library import load_preset
from alexplore.runs.profile import LayerProfile, Profile

PROFILE = Profile(
    "cpu", "CPU", 2, "fp32", batch=10, rounds=5, peak_flops=1e9, whole_seconds=0.1, whole_spread=0.01,
    layers=(
        LayerProfile("conv", "conv2d", 1000, 0.010, 0.5, 0.020, 0.1, flops=6000),
        LayerProfile("relu", "relu", 0, 0.001, 0.1, 0.0, 0.0, flops=0),
    ),
)  # fmt: skip


def test_shares_and_milliseconds() -> None:
    values = PROFILE.to_dict()
    conv, relu = values["layers"]
    assert (conv["forward_ms"], conv["backward_ms"]) == (10, 20)
    assert conv["peak_share"] == pytest.approx(6000 * 10 / 0.030 / 1e9)
    assert relu["peak_share"] is None
    assert values["totals"]["sum_ms"] == pytest.approx(31)
    assert values["totals"]["images_per_second"] == pytest.approx(100)
    assert values["totals"]["peak_share"] == pytest.approx(6000 * 10 / 0.1 / 1e9)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("heavy")
def test_it_is_measured(capfd: pytest.CaptureFixture[str]) -> None:
    done = CliRunner().invoke(app, ["profile", "lenet", "--batch", "2", "--json"])
    assert done.exit_code == 0
    values, rows = json.loads(done.stdout), analyse(load_preset("lenet").network).rows
    assert [(layer["name"], layer["macs"]) for layer in values["layers"]] == [(r.layer.name, r.macs) for r in rows]
    assert values["batch"] == 2 and values["device"] == "cpu"
    assert all(layer["forward_ms"] > 0 for layer in values["layers"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], WRONG_USE, "one preset is needed"),
        (["lenet", "--preset", "paper"], WRONG_USE, "one preset is needed"),
        (["nope"], WRONG_USE, "no preset 'nope'"),
        (["lenet", "--device", "tpu"], WRONG_USE, "tpu"),
        (["lenet", "--precision", "int4"], WRONG_USE, "int4"),
    ],
)
def test_wrong_use(arguments: list[str], code: int, message: str) -> None:
    done = CliRunner().invoke(app, ["profile", *arguments])
    assert done.exit_code == code or done.exception is not None
    assert message in f"{done.stderr}{done.exception}"


@pytest.mark.exhaustive
@pytest.mark.usefixtures("heavy")
def test_too_large_a_batch(capfd: pytest.CaptureFixture[str]) -> None:
    done = CliRunner().invoke(app, ["profile", "paper", "--batch", "1000000"])
    assert done.exit_code in (FAILED, WRONG_USE)
    assert "of memory" in capfd.readouterr().err
