"""A watched run as one value, and as the lines of a log."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from alexplore.runs.config import RunConfig
from alexplore.runs.diagnosis import evidence_of
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.log import RunLog
from alexplore.runs.messages import SUMMARY_HEADINGS, progress_texts, result_text, speed_texts, summary_cells
from alexplore.runs.protocol import (
    NOT_FINITE,
    ControlEvent,
    EpochEvent,
    ErrorEvent,
    Event,
    MetricsLine,
    PrecisionEvent,
    PreparingEvent,
    StartEvent,
    WarningEvent,
    event_record,
    metrics_record,
)
from alexplore.runs.status import Status, write_status
from alexplore.runs.watch import Watch
from tests.support.runs import change_run


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    run = create_run(config, tmp_path / "runs")
    write_status(run, Status("stopped", step=20, epoch=1.0, updated=1.0))
    return run


def write_events(run: RunDirectory, *events: Event, attempt: int = 0) -> None:
    with LineWriter(run.events_file, attempt) as writer:
        for event in events:
            writer.append(**event_record(event))


def write_metrics(run: RunDirectory, *lines: MetricsLine, attempt: int = 0) -> None:
    with LineWriter(run.metrics_file, attempt) as writer:
        for line in lines:
            writer.append(**metrics_record(line))


def start_at(step: int) -> StartEvent:
    return StartEvent(step, "cpu", "CPU", 2, 1, "data", "fp32", flops_per_image=1000, peak_flops=400_000.0)


def test_curves_follow_the_steps_and_a_resumed_run_replaces_what_it_repeats(run: RunDirectory) -> None:
    watch = Watch(run)
    write_metrics(run, *(MetricsLine(step, step / 10, {"train/loss": float(step)}) for step in (5, 10, 15)))
    curve = watch.poll().curves["train/loss"]
    assert (tuple(curve.epochs), tuple(curve.values)) == ((0.5, 1.0, 1.5), (5.0, 10.0, 15.0))
    write_metrics(run, *(MetricsLine(step, step / 10, {"train/loss": float(-step)}) for step in (10, 20)), attempt=1)
    curve = watch.poll().curves["train/loss"]
    assert (tuple(curve.epochs), tuple(curve.values)) == ((0.5, 1.0, 2.0), (5.0, -10.0, -20.0))


def test_minutes_are_those_of_training_without_the_time_between_two_attempts(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(run)
    written = [(0, 5, 1000.0), (0, 10, 1060.0), (0, 15, 1180.0), (1, 11, 9000.0), (1, 20, 9030.0), (1, 25, 8000.0)]
    for attempt, step, now in written:
        monkeypatch.setattr(time, "time", lambda now=now: now)
        write_metrics(run, MetricsLine(step, step / 10, {"train/loss": 1.0}), attempt=attempt)
    minutes = watch.poll().curves["train/loss"].minutes
    assert tuple(minutes) == pytest.approx(
        (0.0, 1.0, 1.0, 1.5, 1.5)
    )  # step 15 is gone; the clock was set back at the end


def test_curves_stay_the_same_object_while_nothing_is_added(run: RunDirectory) -> None:
    watch = Watch(run)
    write_metrics(run, MetricsLine(5, 0.5, {"train/loss": 1.0}))
    curves = watch.poll().curves
    assert watch.poll().curves is curves
    write_metrics(run, MetricsLine(6, 0.6, {"train/loss": 1.0}))
    assert watch.poll().curves is not curves


def test_a_long_run_is_shown_by_a_sample_until_it_was_read_whole(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexplore.runs.lines.SMALL_BLOCK_BYTES", 2000)
    monkeypatch.setattr("alexplore.runs.curve_builders.SAMPLE_PIECES", 10)
    monkeypatch.setattr("alexplore.runs.curve_builders.SAMPLE_BYTES", 400)
    lines = [MetricsLine(step, step / 100, {"train/loss": 1 / step, "lr": 0.1}) for step in range(1, 401)]
    write_metrics(run, *lines, MetricsLine(400, 4.0, {"val/acc": 0.75}))
    write_events(
        run, start_at(0), *(EpochEvent(n, 100 * n, {"val/acc": n / 4 - 0.25}, seconds=60.0 * n) for n in (1, 2, 3, 4))
    )
    watch = Watch(run)
    first = watch.poll(most_blocks=1)
    assert not first.whole
    assert first.latest == Watch(run).poll().latest
    sample = first.curves["train/loss"]
    assert 10 <= len(sample.values) < 100
    assert all(
        value == pytest.approx(1 / (100 * epoch)) for epoch, value in zip(sample.epochs, sample.values, strict=True)
    )
    assert sample.epochs[0] < 0.5
    assert sample.epochs[-1] > 3.5
    validated = first.curves["val/acc"]
    assert list(validated.epochs) == list(validated.minutes) == [1.0, 2.0, 3.0, 4.0]
    assert list(validated.values) == [0.0, 0.25, 0.5, 0.75]
    polls = 1
    while not (snapshot := watch.poll(most_blocks=1)).whole:
        polls += 1
        assert snapshot.curves is first.curves
    assert polls > 10
    whole = Watch(run).poll()
    assert (snapshot.curves, snapshot.latest) == (whole.curves, whole.latest)
    assert list(whole.curves["train/loss"].values) == [1 / step for step in range(1, 401)]


def test_a_short_run_is_read_whole_at_once(run: RunDirectory) -> None:
    assert Watch(run).poll(most_blocks=1).whole
    write_metrics(run, MetricsLine(5, 0.5, {"train/loss": 1.0}))
    assert Watch(run).poll(most_blocks=1).whole


def test_epochs_after_the_step_that_a_run_is_resumed_from_are_dropped(run: RunDirectory) -> None:
    watch = Watch(run)
    write_events(run, start_at(0), *(EpochEvent(n, 4 * n, {"val/acc": n / 10}) for n in (1, 2, 3)))
    assert [epoch.epoch for epoch in watch.poll().epochs] == [1, 2, 3]
    write_events(run, start_at(8), attempt=1)
    assert [epoch.epoch for epoch in watch.poll().epochs] == [1, 2]
    assert watch.poll().best == 0.2
    write_events(run, EpochEvent(3, 12, {"val/acc": 0.15}), attempt=1)
    snapshot = watch.poll()
    assert [epoch.metrics["val/acc"] for epoch in snapshot.epochs] == [0.1, 0.2, 0.15]
    assert snapshot.latest["val/acc"] == 0.15
    cells = dict(zip(SUMMARY_HEADINGS, summary_cells(snapshot), strict=True))
    assert (cells["best"], cells["validation"]) == ("20.0%", "15.0%")


def test_progress_and_speed(run: RunDirectory) -> None:
    write_metrics(
        run,
        MetricsLine(10, 0.5, {"train/acc": 0.5, "images_per_second": 100.0}),
        MetricsLine(20, 1.0, {"train/acc": 0.6, "images_per_second": 120.0}),
        MetricsLine(20, 1.0, {"val/loss": 0.4, "val/acc": 0.875}),
    )
    write_events(run, start_at(0), EpochEvent(1, 20, {"train/loss": 1.0, "val/acc": 0.875}, seconds=2.0))
    snapshot = Watch(run).poll()
    assert snapshot.fraction == 0.5
    assert snapshot.best == 0.875
    assert snapshot.images_per_second == 120.0
    assert snapshot.peak_share == 0.3  # 120 · 1000 of 400,000
    assert speed_texts(snapshot) == ["120 images/s", "30% of peak"]
    assert progress_texts(snapshot) == ["train 60.0%", "validation 87.5%", "120 images/s", "30% of peak"]


@pytest.mark.parametrize(("speed", "share"), [(500.0, 1.25), (700.0, None)])
def test_a_peak_that_is_exceeded_by_far_is_none(run: RunDirectory, speed: float, share: float | None) -> None:
    """Images of 1000 operations, where 400,000 a second were measured as the peak."""
    write_metrics(run, MetricsLine(10, 0.5, {"images_per_second": speed}))
    write_events(run, start_at(0))
    snapshot = Watch(run).poll()
    assert snapshot.peak_share == share
    assert speed_texts(snapshot) == [f"{speed:.0f} images/s", *(["125% of peak"] if share else [])]


def test_only_the_cause_of_the_last_attempt_is_diagnosed(run: RunDirectory) -> None:
    write_status(run, Status("failed", step=20, epoch=1.0, updated=1.0, reason="in any words"))
    write_events(run, start_at(0), ErrorEvent("in any words", NOT_FINITE))
    assert evidence_of(Watch(run).poll()).not_finite
    write_events(run, start_at(0), ErrorEvent("the disk is not finite", None), attempt=1)
    assert not evidence_of(Watch(run).poll()).not_finite
    write_events(run, start_at(0), attempt=2)
    assert not evidence_of(Watch(run).poll()).not_finite


def test_the_remaining_time_goes_by_the_pace_of_the_metrics(run: RunDirectory) -> None:
    path = run.metrics_file
    path.write_text("".join(f'{{"time": {100 + 2 * i}, "step": {i}, "epoch": {i / 10}}}\n' for i in range(11)))
    snapshot = Watch(run).poll()
    assert snapshot.remaining_seconds == pytest.approx(20.0)  # one epoch more, at 0.05 epochs a second


def test_a_pause_is_no_part_of_the_pace(run: RunDirectory) -> None:
    def line(time: float, step: int) -> str:
        return f'{{"time": {time}, "step": {step}, "epoch": {step / 10}}}\n'

    run.metrics_file.write_text("".join(line(100 + 2 * step, step) for step in range(9)))
    watch = Watch(run)
    assert watch.poll().remaining_seconds == pytest.approx(20.0)
    run.events_file.write_text(
        '{"seq": 0, "time": 1000, "event": "control", "request": "a", "action": "resume", "step": 8}\n'
    )
    with run.metrics_file.open("a") as file:
        file.write("".join(line(985 + 2 * step, step) for step in (9, 10)))
    assert watch.poll().remaining_seconds == pytest.approx(20.0)


def test_a_changed_config_is_seen_and_a_damaged_one_changes_nothing(run: RunDirectory) -> None:
    watch = Watch(run)
    change_run(run, {"epochs": 4})
    assert watch.poll().fraction == 0.25
    run.config_file.write_text("{")
    assert watch.poll().fraction == 0.25


def test_a_result_names_time_speed_device_and_accuracy(run: RunDirectory) -> None:
    write_events(
        run,
        start_at(0),
        EpochEvent(1, 4, {"val/acc": 0.5}, seconds=1.0),
        EpochEvent(2, 8, {"val/acc": 0.25, "images_per_second": 1234.0}, seconds=65.0, damaged=2),
    )
    assert result_text(Watch(run).poll()) == (
        "finished: 2 epochs in 1:05 · 1,234 images/s · CPU, 1 rank, 2 threads, fp32 · best validation 50.0% · "
        "2 damaged images left out"
    )


def test_a_log_has_each_line_once_and_leaves_out_what_programs_need(run: RunDirectory) -> None:
    watch, log = Watch(run), RunLog()
    assert list(log.new_lines(watch.poll())) == []
    write_events(
        run,
        PreparingEvent("reading"),
        PrecisionEvent("fp32", "cpu", 1e9),
        PrecisionEvent("bf16", "cpu", 1e9, 4, {"fp32": 0.02, "bf16": 0.01}),
        start_at(0),
        WarningEvent("careful"),
    )
    run.events_file.write_bytes(run.events_file.read_bytes() + b'{"event": "later", "seq": 5}\n')
    write_events(run, EpochEvent(1, 20, {"train/loss": 1.0, "val/acc": 0.875, "images_per_second": 50.0}))
    lines = list(log.new_lines(watch.poll()))
    assert [line.text for line in lines] == [
        "bf16 is 2 times as fast as fp32 (fp32 and bf16: 20 and 10 ms for 4 images): training in bf16",
        "training on CPU in fp32: 1 rank, 2 threads",
        "careful",
        "epoch 1/2 · loss 1.000 · validation 87.5% · 50 images/s",
    ]
    assert [line.is_result for line in lines] == [False, False, False, True]
    times = [json.loads(line).get("time") for line in run.events_file.read_text().splitlines()]
    assert [line.time for line in lines] == [times[2], times[3], times[4], times[6]]
    assert list(log.new_lines(watch.poll())) == []


def test_a_log_marks_the_error_that_ended_the_run(run: RunDirectory) -> None:
    write_events(run, ErrorEvent("first"))
    write_events(run, ErrorEvent("second"), attempt=1)
    lines = list(RunLog().new_lines(Watch(run).poll()))
    assert [(line.text, line.is_end) for line in lines] == [("first", False), ("attempt 2", False), ("second", True)]


def test_an_attempt_is_announced_when_its_first_step_is_known(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexplore.runs.status.is_locked", lambda _: True)
    watch, log = Watch(run), RunLog()
    write_status(run, Status("starting"))
    write_events(run, WarningEvent("of the second"), attempt=1)
    assert list(log.new_lines(watch.poll())) == []
    write_events(run, start_at(7), attempt=1)
    assert [line.text for line in log.new_lines(watch.poll())][:2] == ["attempt 2, from step 7", "of the second"]


def test_a_log_starts_after_the_events_that_were_shown(run: RunDirectory) -> None:
    write_events(run, WarningEvent("old"), WarningEvent("new"))
    assert [line.text for line in RunLog(after=0).new_lines(Watch(run).poll())] == ["new"]


def test_who_asked_for_a_checkpoint_learns_whether_it_was_saved(run: RunDirectory) -> None:
    error = "no checkpoint at step 20: the disk is full"
    write_events(
        run,
        ControlEvent("a", "checkpoint", 20),
        ControlEvent("b", "checkpoint", 20, error),
        ControlEvent("c", "stop", 20, error),
        ControlEvent("d", "pause", 20),
        ControlEvent("e", "checkpoint", 0),  # before training: nothing is saved
    )
    assert [line.text for line in RunLog().new_lines(Watch(run).poll())] == [
        "asked to checkpoint: saved at step 20",
        "asked to checkpoint: no checkpoint at step 20: the disk is full",
        "asked to stop: no checkpoint at step 20: the disk is full",
        "asked to pause",
        "asked to checkpoint",
    ]
