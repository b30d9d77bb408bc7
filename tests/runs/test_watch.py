"""What a watcher makes of a run directory."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import pytest

from alexplore.runs.compare import compare_runs
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.export import metrics_csv
from alexplore.runs.lines import LineWriter
from alexplore.runs.messages import event_words
from alexplore.runs.status import Status, write_status
from alexplore.runs.watch import Curve, Watch, summarise


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    run = create_run(config, tmp_path / "runs")
    write_status(run, Status("stopped", step=20, epoch=1.0, updated=1.0))
    return run


def test_curves_follow_the_steps_and_a_resumed_run_s_last_word_counts(run: RunDirectory) -> None:
    watch = Watch(run)
    with LineWriter(run.metrics_file, attempt=0) as writer:
        for step in (5, 10, 15):
            writer.append(step=step, epoch=step / 10, **{"train/loss": float(step)})
    assert watch.poll().curves["train/loss"] == Curve((0.5, 1.0, 1.5), (5.0, 10.0, 15.0))
    with LineWriter(run.metrics_file, attempt=1) as writer:
        for step in (10, 20):
            writer.append(step=step, epoch=step / 10, **{"train/loss": float(-step)})
    assert watch.poll().curves["train/loss"] == Curve((0.5, 1.0, 2.0), (5.0, -10.0, -20.0))


def test_progress_epochs_and_events(run: RunDirectory) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        writer.append(step=10, epoch=0.5, images_per_second=100.0, **{"train/acc": 0.5})
        writer.append(step=20, epoch=1.0, images_per_second=120.0, **{"train/acc": 0.6})
        writer.append(step=20, epoch=1, **{"val/loss": 0.4, "val/acc": "NaN"})
    with LineWriter(run.events_file, attempt=0) as writer:
        writer.append(
            event="epoch",
            epoch=1,
            step=20,
            seconds=2.0,
            images_per_second=50.0,
            **{"train/loss": 1.0, "val/acc": 0.875},
        )
        writer.append(event="warning", message="careful")
    snapshot = Watch(run).poll()
    assert snapshot.fraction == 0.5
    assert snapshot.best == 0.875
    assert snapshot.images_per_second == 120.0
    assert math.isnan(snapshot.latest["val/acc"])
    words = "epoch 1/2 · loss 1.0000 · validation 0.8750 · 50 images/s"
    assert [event_words(event, 2) for event in snapshot.events] == [words, "careful"]
    assert [event["event"] for event in snapshot.events_after(0)] == ["warning"]
    assert summarise(run).images_per_second == 120.0


def test_who_asked_for_a_checkpoint_learns_what_came_of_it() -> None:
    answers: list[dict[str, Any]] = [
        {"action": "checkpoint", "step": 20},
        {"action": "checkpoint", "step": 20, "error": "no checkpoint at step 20: the disk is full"},
        {"action": "stop", "step": 20, "error": "no checkpoint at step 20: the disk is full"},
        {"action": "pause", "step": 20},
        {"action": "checkpoint", "step": 0},  # before training: nothing is saved
    ]
    assert [event_words({"event": "control", **answer}, 2) for answer in answers] == [
        "asked to checkpoint: saved at step 20",
        "asked to checkpoint: no checkpoint at step 20: the disk is full",
        "asked to stop: no checkpoint at step 20: the disk is full",
        "asked to pause",
        "asked to checkpoint",
    ]


def test_a_list_reads_again_only_what_changed(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        writer.append(step=10, epoch=0.5, **{"train/loss": 2.0})
    first = summarise(run)
    opened: list[Path] = []
    look = Path.open

    def note(self: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(self)
        return look(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", note)
    assert summarise(run) == first
    assert opened == [run.status_file]

    with LineWriter(run.metrics_file, attempt=1) as writer:
        writer.append(step=11, epoch=0.6, **{"train/loss": 1.0})
    write_status(run, Status("finished", step=20, epoch=2.0, updated=1.0))
    changed = summarise(run)
    assert (changed.loss, changed.status.state, changed.config) == (1.0, "finished", first.config)
    run.config_file.unlink()
    assert summarise(run).config is None


def test_the_remaining_time_goes_by_the_pace_of_the_metrics(run: RunDirectory) -> None:
    path = run.metrics_file
    path.write_text("".join(f'{{"time": {100 + 2 * i}, "step": {i}, "epoch": {i / 10}}}\n' for i in range(11)))
    snapshot = Watch(run).poll()
    assert snapshot.remaining_seconds == pytest.approx(20.0)  # one epoch more, at 0.05 epochs a second


def test_thinning_keeps_the_ends_and_the_mean() -> None:
    curve = Curve(list(map(float, range(1000))), list(map(float, range(1000))))
    thin = curve.thinned(10)
    assert len(thin.values) == 10
    assert sum(thin.values) / 10 == pytest.approx(499.5)
    assert list(thin.values) == sorted(thin.values)
    assert curve.thinned(2000) is curve


def test_smoothing_leaves_a_constant_alone_and_passes_over_what_is_not_finite() -> None:
    values = [3.0] * 100
    values[50] = math.inf
    smooth = Curve(list(map(float, range(100))), values).smoothed().values
    assert smooth[50] == math.inf
    assert [value for value in smooth if math.isfinite(value)] == pytest.approx([3.0] * 99)


def test_metrics_as_csv(run: RunDirectory) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        writer.append(step=1, epoch=0.5, **{"train/loss": 2.0})
        writer.append(step=2, epoch=1.0, **{"val/acc": 0.5})
    header, first, second = metrics_csv(run).splitlines()
    assert header == "step,epoch,attempt,time,train/loss,val/acc"
    assert first.startswith("1,0.5,0,")
    assert first.endswith(",2.0,")
    assert second.endswith(",,0.5")


def test_exported_steps_are_those_of_the_last_attempt_that_reached_them(run: RunDirectory) -> None:
    for attempt, steps in enumerate(((5, 10, 15, 20, 20), (12, 18), (17, 25, 25))):
        with LineWriter(run.metrics_file, attempt=attempt) as writer:
            for step in steps:
                writer.append(step=step, epoch=step / 10, **{"train/loss": float(step)})
    with run.metrics_file.open("a") as file:
        file.write('{"step": "x", "attempt": 2, "train/loss": 0.0}\n')
    rows = list(csv.DictReader(io.StringIO(metrics_csv(run))))
    assert [(row["step"], row["attempt"]) for row in rows] == [
        ("5", "0"),
        ("10", "0"),
        ("12", "1"),
        ("17", "2"),
        ("25", "2"),
    ]
    curve = Watch(run).poll().curves["train/loss"]
    assert [float(row["train/loss"]) for row in rows] == list(curve.values)


def test_a_step_that_is_told_twice_has_one_row(run: RunDirectory) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        writer.append(step=20, epoch=1.0, lr=0.5)
        writer.append(step=20, epoch=1.0, **{"val/acc": 0.75})
    (row,) = csv.DictReader(io.StringIO(metrics_csv(run)))
    assert (row["lr"], row["val/acc"]) == ("0.5", "0.75")


def test_compared_runs_show_what_differs_alone(run: RunDirectory, config: RunConfig, tmp_path: Path) -> None:
    from dataclasses import replace

    other = create_run(
        replace(
            config,
            network=config.network.with_towers(2),
            recipe=replace(config.recipe, lr=0.5),
            hardware=Hardware(device="cpu", gpus=2, parallel="towers"),
            data=DataSource(folder="/images", limit_train=99, limit_val=128),
        ),
        tmp_path / "runs",
    )
    rows = dict(compare_runs([Watch(run).poll(), Watch(other).poll()]))
    assert rows["lr"] == [0.005, 0.5]
    assert rows["gpus"] == [None, 2]
    assert rows["parallel"] == ["data", "towers"]
    assert rows["data"] == [None, "/images"]
    assert rows["limit_train"] == [512, 99]
    assert rows["towers"] == [1, 2]
    assert not {"optimizer", "device", "limit_val", "download"} & set(rows)
    assert rows["state"] == ["stopped", "starting"]
