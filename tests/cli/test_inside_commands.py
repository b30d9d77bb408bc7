"""`alexplore runs inside`, on a run that was written as a worker writes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from docs.demo_runs import DemoRuns
from tests.support.command_line import run_here


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    DemoRuns(tmp_path).write("one", "finished", 60, age=5.0)
    return tmp_path


def inside(runs: Path, *arguments: str) -> tuple[int, str, str]:
    done = run_here("runs", "inside", "one", "--runs-dir", str(runs), *arguments)
    return done.returncode, done.stdout, done.stderr


def test_the_last_epoch_is_shown_unless_another_is_asked_for(runs: Path) -> None:
    code, text, said = inside(runs)
    assert code == 0
    assert "after epoch 3, step 60" in said
    assert text.index("conv1") < text.index("relu1") < text.index("conv2")
    assert "after epoch 1, step 20" in inside(runs, "--epoch", "1")[2]


def test_a_layer_is_shown_over_its_epochs(runs: Path) -> None:
    damaged = next(runs.glob("one/inside/epoch-0002*"))
    damaged.write_bytes(b"damaged")
    code, text, said = inside(runs, "--layer", "conv1")
    assert code == 0
    assert [line.split()[0] for line in text.splitlines() if line.strip()[:1].isdigit()] == ["1", "3"]
    assert "epoch-0002.safetensors: damaged" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--epoch", "9"], 1, "epoch 9 was not recorded; recorded are 3 epochs from 1 to 3, the nearest is 3"),
        (["--show", "kernel"], 2, "did you mean kernels"),
        (["--layer", "conv9"], 2, "--layer 'conv9': allowed: conv1"),
        (["--show", "maps", "--layer", "relu1"], 1, "no feature maps of relu1: there are those of conv1, conv2, conv3"),
        (["--output", "x.png"], 2, "--output needs a picture: --show kernels|"),
    ],
)
def test_what_does_not_exist_is_refused(runs: Path, arguments: list[str], code: int, said: str) -> None:
    result = inside(runs, *arguments)
    assert result[0] == code
    assert said in result[2]


def test_json_has_all_numbers(runs: Path) -> None:
    code, text, _ = inside(runs, "--json", "--layer", "conv1")
    assert code == 0
    content = json.loads(text)
    assert [layer["layer"] for layer in content["layers"]] == ["conv1"]
    assert len(content["layers"][0]["weights"]["counts"]) == 64
    assert len(content["confusion"]["counts"]) == 10
    assert content["mistakes"][0]["probabilities"][0] == [0, 0.88]


@pytest.mark.parametrize("show", ["kernels", "maps", "images", "confusion", "mistakes"])
def test_pictures_are_written(runs: Path, tmp_path: Path, show: str) -> None:
    file = tmp_path / f"{show}.png"
    assert inside(runs, "--show", show, "--output", str(file))[0] == 0
    assert min(Image.open(file).size) > 8


def test_a_run_without_recordings_says_so(runs: Path) -> None:
    DemoRuns(runs).write("two", "stopped", 5, age=5.0)
    done = run_here("runs", "inside", "two", "--runs-dir", str(runs))
    assert done.returncode == 1
    assert "no epoch was recorded" in done.stderr
