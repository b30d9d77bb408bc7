"""The options of `alexplore train` that change the network; no worker is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.runs import service
from alexplore.runs.directory import RunDirectory, list_runs
from tests.support.processes import Alexplore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image folder with two classes and no parts."""
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / "1.jpg").touch()
    return tmp_path / "pictures"


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Start no worker, and return the names of the runs that were to be started."""
    names: list[str] = []
    monkeypatch.setattr(service, "start", lambda run: names.append(run.name))
    return names


def test_a_wrong_number_of_classes_offers_the_option_that_is_right(
    alexplore: Alexplore, folder: Path, tmp_path: Path, started: list[str]
) -> None:
    command = ("train", "--preset", "one-gpu", "--dataset", "imagefolder", "--data", str(folder), "--detach")
    refused = alexplore(*command)
    assert refused.returncode == 2
    assert "has 2 classes" in refused.stderr and "(--classes 2)" in refused.stderr
    done = alexplore(*command, "--classes", "2", "--input", "3x227x227", "--val-share", "0.25", "--name", "two")
    assert done.returncode == 0, done.stderr
    assert started == ["two"]
    config = RunDirectory(tmp_path / "runs" / "two").config()
    assert (config.network.classes, config.network.input, config.data.val_share) == (2, (3, 227, 227), 0.25)


def test_weights_and_frozen_layers_are_kept_in_the_runs_config(
    alexplore: Alexplore, tmp_path: Path, started: list[str]
) -> None:
    (tmp_path / "w.pt").touch()
    options = ("--weights", str(tmp_path / "w.pt"), "--freeze", "conv*", "--freeze", "fc3")
    done = alexplore("train", "--preset", "lenet", "--detach", "--name", "tuned", *options)
    assert done.returncode == 0, done.stderr
    config = RunDirectory(tmp_path / "runs" / "tuned").config()
    assert (config.recipe.weights, config.recipe.freeze) == (str(tmp_path / "w.pt"), ("conv*", "fc3"))
    assert [layer.name for layer in config.network.layers if not layer.trains] == ["conv1", "conv2", "fc3"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--classes", "0"), "out_features: found 0, allowed: an integer ≥ 1"),
        (("--weights", "nix.pt"), "weights nix.pt: there is no such file"),
        (("--freeze", "cnv*"), 'freeze: "cnv*" matches no layer'),
        (("--input", "28x28"), 'input: found "28x28", allowed: CHANNELSxHEIGHTxWIDTH'),
        (("--input", "1x2x2"), "can't train"),
        (("--val-share", "1"), "val_share: found 1"),
    ],
)
def test_what_is_not_allowed_is_refused_before_there_is_a_run(
    alexplore: Alexplore, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    refused = alexplore("train", "--preset", "fmnist-28", "--detach", *options)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert list_runs(tmp_path / "runs") == []


def test_a_model_is_imported_with_the_size_that_is_given(
    alexplore: Alexplore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[object] = []

    def imported(name: str, report: object, input: tuple[int, int, int] | None = None) -> Preset:
        asked.append(input)
        return load_preset("lenet")

    monkeypatch.setattr("alexplore.cli.train.open_preset", imported)
    options = ("--preset", "net.py:Net", "--input", "1x32x32", "--dataset", "synthetic", "--detach", "--name", "sized")
    assert alexplore("train", *options).returncode == 0
    assert asked == [(1, 32, 32)]
    assert RunDirectory(tmp_path / "runs" / "sized").config().network.input == (1, 32, 32)


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("train --preset fmnist-28 --dataset synthetic --detach", "a detached run"),
        ("train --preset fmnist-28 --dataset synthetic --queue", "a queued run"),
        ("sweep --preset fmnist-28 --dataset synthetic --set training.lr=0.1,0.2", "a sweep"),
    ],
)
def test_to_be_called_by_nobody_is_refused(
    alexplore: Alexplore, tmp_path: Path, started: list[str], command: str, what: str
) -> None:
    refused = alexplore(*command.split(), "--notify", "end")
    assert refused.returncode == 2
    assert f"--notify: {what} notifies you by a command" in " ".join(refused.stderr.split())
    assert "--on-end" in refused.stderr
    assert not started
    assert not list_runs(tmp_path / "runs")
