"""`alexplore evaluate` on folders of images, in this process."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from alexplore.network.graph import Network
from alexplore.runs.data.errors import DataError
from alexplore.runs.directory import RunDirectory
from alexplore.training.commands import load_model
from alexplore.training.commands.evaluate import evaluate_run, open_images
from alexplore.training.commands.predict import likely_classes
from alexplore.training.errors import CheckpointError, UsageError
from alexplore.training.model.build import build
from tests.support.training import train_here
from tests.training.conftest import MakeRun

COLOURS = {"black": 20, "white": 230}


def write(folder: Path, ink: int, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        values = np.random.default_rng(number).integers(0, 20, (12, 12)) + ink
        Image.fromarray(values.astype(np.uint8)).save(folder / f"{number}.png")


@pytest.fixture
def run(make_run: MakeRun, small: Network, tmp_path: Path) -> RunDirectory:
    """A run that tells black from white."""
    for part, count in (("train", 16), ("val", 6)):
        for name, ink in COLOURS.items():
            write(tmp_path / "data" / part / name, ink, count)
    run = make_run(
        network=small.with_classes(2),
        dataset="imagefolder",
        folder=str(tmp_path / "data"),
        epochs=8,
        batch_size=8,
        lr=0.01,
        limit_train=None,
        limit_val=None,
    )
    assert train_here(run) == "finished"
    return run


def answer(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str
) -> dict[str, Any]:
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["evaluate", *options, str(run.path)])
    assert evaluate_run() == 0
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    return values


def test_images_are_evaluated_with_and_without_labels(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(run, monkeypatch, capsys)
    assert found["classes"] == ["black", "white"]
    assert found["confusion"] == [[6, 0], [0, 6]]
    assert "predictions" not in found

    # A damaged image is left out, and does not shift the names of the others.
    test = tmp_path / "test"
    write(test / "black", COLOURS["black"], 3)
    write(test / "white", COLOURS["white"], 2)
    (test / "black" / "1.png").write_bytes(b"no image")
    Image.new("L", (12, 12), 240).save(test / "black" / "9.png")  # a mistake
    found = answer(run, monkeypatch, capsys, "--data", str(test), "--probabilities")
    assert found["confusion"] == [[2, 1], [0, 2]]
    assert [mistake["image"] for mistake in found["mistakes"]] == ["black/9.png"]
    assert [(one["image"], one["label"]) for one in found["predictions"]] == [
        ("black/0.png", "black"),
        ("black/2.png", "black"),
        ("black/9.png", "black"),
        ("white/0.png", "white"),
        ("white/1.png", "white"),
    ]
    for one in found["predictions"]:
        assert sum(one["probabilities"]) == pytest.approx(1, abs=1e-6)

    plain = tmp_path / "plain"
    write(plain, COLOURS["white"], 3)
    (plain / "notes.txt").write_text("no picture")
    (plain / "damaged.png").write_bytes(b"no image")
    found = answer(run, monkeypatch, capsys, "--data", str(plain))
    assert found["images"] == 3
    assert not {"val/acc", "confusion", "mistakes"} & found.keys()
    assert [one["image"] for one in found["predictions"]] == ["0.png", "1.png", "2.png"]
    for one in found["predictions"]:
        assert "label" not in one
        assert one["probabilities"][1] > 0.5

    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="empty has no images to evaluate on"):
        answer(run, monkeypatch, capsys, "--data", str(empty))


@pytest.mark.parametrize(
    ("recipe", "crops"),
    [({}, "whole images"), ({"random_crop": False, "resize": 14}, "the centre"), ({"resize": 14}, "the centre")],
)
def test_the_part_of_the_images_that_the_network_sees_is_named(
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    recipe: dict[str, Any],
    crops: str,
) -> None:
    run = make_run(epochs=1, **recipe)
    assert train_here(run) == "finished"
    assert answer(run, monkeypatch, capsys)["crops"] == crops


def test_other_images_than_those_of_the_folder_are_not_evaluated(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data set would be looked for in other places, and its accuracy taken for that of the user's images."""
    run = make_run(epochs=1)
    assert train_here(run) == "finished"
    write(tmp_path / "mine", 20, 3)
    with pytest.raises(UsageError, match="the images of synthetic are drawn by the program: leave --data out"):
        answer(run, monkeypatch, capsys, "--data", str(tmp_path / "mine"))
    config = run.config()
    named = replace(config, recipe=replace(config.recipe, dataset="fashion-mnist"))
    here = replace(named, data=replace(config.data, folder=str(tmp_path / "mine")))
    loaded = load_model.load_model(run.path, None)
    with pytest.raises(UsageError, match="mine: it has none of the files of fashion-mnist"):
        open_images(loaded, here, elsewhere=True)


def test_outputs_that_overflow_are_an_error(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights may be finite, and so large that the outputs overflow."""
    loaded = load_model.load_model(run.path, None)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            weight.mul_(1e25)
    monkeypatch.setattr("alexplore.training.commands.evaluate.load_model", lambda *_: loaded)
    with pytest.raises(CheckpointError, match="the network's outputs overflow to NaN"):
        answer(run, monkeypatch, capsys)
    with pytest.raises(CheckpointError, match="the network's outputs overflow to NaN"):
        likely_classes(torch.tensor([1.0, float("nan")]), loaded)


def test_the_network_has_the_kernels_of_the_device_that_evaluates(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The network was trained with those of the device that it was trained on."""
    used: list[object] = []

    def built(network: Network, *, kernels: object) -> nn.Module:
        used.append(kernels)
        return build(network)

    monkeypatch.setattr(load_model, "choose_kernels", lambda device: f"kernels of {device}")
    monkeypatch.setattr(load_model, "build", built)
    answer(run, monkeypatch, capsys)
    assert used == ["kernels of cpu"]
