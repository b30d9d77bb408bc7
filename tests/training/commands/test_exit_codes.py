"""The exit codes of the commands that import PyTorch, in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from alexplore.core.boundary import run_guarded
from alexplore.core.errors import DONE, FAILED, WRONG_USE, AlexploreError
from alexplore.importing.command import read_source
from alexplore.network.graph import Network
from alexplore.runs import service
from alexplore.runs.directory import RunDirectory
from alexplore.training.commands import evaluate, pack, predict
from alexplore.training.data import packing
from tests.support.training import train_here
from tests.training.conftest import MakeRun


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (12, 12), 100).save(path)


@pytest.fixture
def run(make_run: MakeRun, small: Network, tmp_path: Path) -> RunDirectory:
    """A run that was trained on the classes cat and dog."""
    for name in ("cat", "dog"):
        for part, count in (("train", 4), ("val", 2)):
            for i in range(count):
                picture(tmp_path / "data" / part / name / f"{i}.png")
    recipe = {"dataset": "imagefolder", "folder": str(tmp_path / "data"), "batch_size": 4, "epochs": 1}
    run = make_run(network=small.with_classes(2), **recipe)
    assert train_here(run) == "finished"
    return run


Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return what calls a command's main function with arguments; it returns the exit code and the error."""

    def called(command: Callable[[], int], *arguments: object) -> tuple[int, str]:
        errors: list[str] = []
        monkeypatch.setattr("sys.argv", ["command", *map(str, arguments)])
        return run_guarded(command, errors.append), "\n".join(errors)

    return called


def test_classes_that_the_network_does_not_know_are_wrong_use(run: RunDirectory, call: Call, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "data", tmp_path / "other")
    for part in ("train", "val"):
        (tmp_path / "other" / part / "cat").rename(tmp_path / "other" / part / "zebra")
    code, error = call(evaluate.evaluate_run, "--data", tmp_path / "other", run.path)
    assert (code, "zebra" in error) == (WRONG_USE, True)
    with pytest.raises(AlexploreError, match="zebra") as refused:
        service.restart(run, {"folder": str(tmp_path / "other"), "epochs": 2})
    assert refused.value.exit_code == WRONG_USE


PRESET = """
input = [1, 12, 12]
layers = [{ name = "flatten", type = "flatten" }, { name = "fc", type = "linear", out_features = 2 }]
"""


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """A preset file, beside which are weights for it."""
    path = tmp_path / "net.toml"
    path.write_text(PRESET)
    torch.save({"fc.weight": torch.zeros(2, 144), "fc.bias": torch.zeros(2)}, tmp_path / "net.pt")
    return path


def test_weights_that_do_not_fit_are_wrong_use_and_damaged_ones_fail(preset: Path, call: Call, tmp_path: Path) -> None:
    picture(tmp_path / "good.png")
    torch.save({"other.weight": torch.zeros(3, 3)}, tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "numbers.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "net.pt").read_bytes()[:500])
    expected = {"net.pt": DONE, "other.pt": WRONG_USE, "numbers.pt": WRONG_USE, "cut.pt": FAILED}
    for name, code in expected.items():
        found, error = call(predict.predict, "--weights", tmp_path / name, preset, tmp_path / "good.png")
        assert (found, name in error) == (code, code != DONE)


def test_images_that_are_not_there_are_wrong_use_and_damaged_ones_fail(
    preset: Path, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "good.png")
    (tmp_path / "damaged.png").write_bytes((tmp_path / "good.png").read_bytes()[:40])
    (tmp_path / "empty").mkdir()
    for names, expected in (
        (("good.png",), DONE),
        (("good.png", "nowhere.png"), WRONG_USE),
        (("empty",), WRONG_USE),
        (("damaged.png", "nowhere.png", "good.png"), FAILED),
    ):
        code, _ = call(predict.predict, "--weights", tmp_path / "net.pt", preset, *(tmp_path / name for name in names))
        assert code == expected
        assert ("good.png" in capsys.readouterr().out) == ("good.png" in names)


def test_folders_that_can_not_be_packed_are_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    target = tmp_path / "packed"
    for name in ("nowhere", "empty"):
        for action in (lambda source: packing.pack(source, target, 64, lambda _: None), pack.packed_parts):
            with pytest.raises(AlexploreError, match=name) as refused:
                action(tmp_path / name)
            assert refused.value.exit_code == WRONG_USE
    assert not target.exists()


def test_a_source_that_is_not_there_is_wrong_use() -> None:
    for source in ("nowhere.py:Net", "nowhere.onnx", "nowhere.pt2", "torchvision:nowhere"):
        with pytest.raises(AlexploreError, match="nowhere") as refused:
            read_source(source, None, with_weights=False)
        assert refused.value.exit_code == WRONG_USE
