"""A run whose data has changed since it was last trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from torch import Tensor

from alexplore.network.graph import Network
from alexplore.presets.recipe import Recipe
from alexplore.presets.schedules import learning_rate
from alexplore.runs import service
from alexplore.runs.data.errors import DataError
from alexplore.runs.directory import RunDirectory
from alexplore.runs.status import read_status
from alexplore.training.checkpoint import read
from alexplore.training.loop import Trainer
from alexplore.training.progress import Progress
from alexplore.training.run_writer import read_position
from alexplore.training.sync_points import SyncPoints
from tests.support.runs import change_run, events, metrics
from tests.support.training import train_here
from tests.training.conftest import MakeRun


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (12, 12), 100 if path.parent.name == "cat" else 200).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, of which 10 images each are trained on and 2 each validated."""
    for name in ("cat", "dog"):
        for i in range(10):
            picture(tmp_path / "pictures" / "train" / name / f"{i}.png")
        for i in range(2):
            picture(tmp_path / "pictures" / "val" / name / f"{i}.png")
    return tmp_path / "pictures"


Make = Any


@pytest.fixture
def make(make_run: MakeRun, small: Network, folder: Path) -> Make:
    """Return what creates a run on the folder, in batches of 4: 5 steps an epoch."""

    def made(**recipe: Any) -> RunDirectory:
        defaults = {"dataset": "imagefolder", "folder": str(folder), "batch_size": 4, "horizontal_flip": False}
        return make_run(network=small.with_classes(2), **{**defaults, **recipe})

    return made


def warnings(run: RunDirectory) -> list[str]:
    return [event["message"] for event in events(run, "warning")]


def add(folder: Path, count: int) -> None:
    for i in range(count):
        picture(folder / "train" / "dog" / f"new {i}.png")


@pytest.mark.parametrize(("added", "steps"), [(1, 6), (8, 7), (-9, 3)])
def test_more_or_fewer_images_go_on_with_whole_epochs(make: Make, folder: Path, added: int, steps: int) -> None:
    run = make(schedule="cosine", precision="fp32")
    assert train_here(run) == "finished"
    add(folder, added)
    for path in sorted((folder / "train" / "cat").iterdir())[: max(0, -added)]:
        path.unlink()
    change_run(run, {"epochs": 4})
    seen: list[int] = []
    plain = Trainer.step

    def step(self: Trainer, images: Tensor, labels: Tensor, step: int) -> Any:
        seen.append(len(labels))
        return plain(self, images, labels, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", step)
        assert train_here(run) == "finished"
    images = 20 + added
    full, rest = divmod(images, 4)
    assert seen == ([4] * full + [rest] * (rest > 0)) * 2
    assert [event["step"] for event in events(run, "epoch")] == [5, 10, 10 + steps, 10 + 2 * steps]
    (warning,) = warnings(run)
    assert warning == (
        f"the data has changed since the run was last trained: {images} training images instead of 20; "
        "the training continues in epoch 3"
    )
    rates = {step: rate for (key, step), rate in metrics(run).items() if key == "lr" and step > 10}
    recipe = Recipe(epochs=4, lr=0.003, schedule="cosine")
    assert rates[10 + 1] == learning_rate(recipe, 2 * steps, steps)
    assert rates[10 + 2 * steps] == learning_rate(recipe, 4 * steps - 1, steps)
    status = read_status(run)
    assert (status.epoch, status.step) == (4.0, 10 + 2 * steps)


def test_an_epoch_that_was_begun_with_other_images_starts_again(make: Make, folder: Path) -> None:
    run = make(epochs=2, checkpoint_minutes=1e-9)
    plain, steps = Trainer.step, 0

    class Killed(BaseException):
        pass

    def dying(self: Trainer, images: Tensor, labels: Tensor, step: int) -> Any:
        nonlocal steps
        steps += 1
        if steps == 9:
            raise Killed
        return plain(self, images, labels, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", dying)
        patch.setattr(SyncPoints, "step", lambda _: True)  # a checkpoint after every step
        with pytest.raises(Killed):
            train_here(run)
    last = read(run.checkpoints_folder / "last").manifest
    assert (last["epoch"], last["step"]) == (1, 8)
    assert read_position(run).epoch == 1.6
    add(folder, 5)
    assert train_here(run) == "finished"
    assert [event["step"] for event in events(run, "epoch")] == [5, 8 + 7]
    assert warnings(run)[-1].endswith("25 training images instead of 20; the training starts epoch 2 again")


def test_a_progress_of_an_earlier_version_is_read() -> None:
    written = Progress(step=13, epoch=2, epoch_start=10, images=20)
    values = {key: value for key, value in written.to_dict().items() if key not in ("epoch_start", "images")}
    assert Progress.from_dict(values, images=20, batch_size=4) == written
    assert Progress.from_dict(written.to_dict(), images=99, batch_size=4) == written
    assert written.over(20) is written
    assert written.over(21) == replace(written, images=21, epoch_start=13)


def test_renamed_classes_are_refused_before_anything_is_written(make: Make, folder: Path) -> None:
    run = make()
    train_here(run)
    kept = {path: path.read_bytes() for path in (run.dataset_file, run.config_file, run.status_file)}
    for part in ("train", "val"):
        (folder / part / "cat").rename(folder / part / "zebra")
    with pytest.raises(service.PlanError, match=r"trained on \(cat, dog\): cat is missing and zebra is new"):
        service.restart(run, {"epochs": 4})
    assert {path: path.read_bytes() for path in kept} == kept
    with pytest.raises(DataError, match="cat is missing and zebra is new"):  # a worker that was started in another way
        train_here(run)
    assert run.dataset_file.read_bytes() == kept[run.dataset_file]


def test_moved_data_is_named(make: Make, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make()
    train_here(run)
    folder.rename(tmp_path / "moved")
    before = run.config_file.read_bytes()
    with pytest.raises(
        service.PlanError, match="there is no such folder; if the data was moved, name its folder with --data DIR"
    ):
        service.restart(run, {"epochs": 3})
    with pytest.raises(service.PlanError, match="there is no such folder"):
        service.restart(run, {"epochs": 3, "folder": str(tmp_path / "wrong")})
    assert run.config_file.read_bytes() == before
    monkeypatch.setattr(service, "start", lambda run, *_: train_here(run))
    monkeypatch.chdir(tmp_path)
    service.restart(run, {"epochs": 3, "folder": "moved"})
    assert run.config().data.folder == str(tmp_path / "moved")
    assert warnings(run) == []
    assert [event["epoch"] for event in events(run, "epoch")] == [1, 2, 3]


def test_the_pixels_stay_normalised_as_they_were(make: Make, folder: Path) -> None:
    run = make(normalize="dataset")
    train_here(run)
    before = json.loads(run.dataset_file.read_text())
    assert before["mean"] == pytest.approx([150 / 255])
    add(folder, 10)
    change_run(run, {"epochs": 3})
    train_here(run)
    after = json.loads(run.dataset_file.read_text())
    assert (after["mean"], after["std"]) == (before["mean"], before["std"])
    assert (after["train"], after["val"]) == (30, 4)


def test_held_out_images_are_the_same_in_every_attempt(make: Make, folder: Path) -> None:
    run = make(folder=str(folder / "train"), val_share=0.3)
    train_here(run)
    held_out = json.loads(run.dataset_file.read_text())["held_out"]
    assert len(held_out) == 6
    for i in range(10):
        picture(folder / "train" / "dog" / f"more {i}.png")
    change_run(run, {"epochs": 3})
    train_here(run)
    assert json.loads(run.dataset_file.read_text())["held_out"] == held_out
    assert [event["train"] for event in events(run, "dataset")] == [14, 24]
    assert [event["val"] for event in events(run, "dataset")] == [6, 6]
