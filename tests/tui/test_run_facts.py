"""What the screen of a run says: numbers from events and metrics that are written here by hand."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.core.formatting import duration_text
from alexplore.core.settings import setting_fields
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import RunConfig
from alexplore.runs.diagnosis import Finding
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.protocol import CheckpointEvent, EpochEvent, MetricsLine, StartEvent, event_record, metrics_record
from alexplore.runs.status import Status, write_status
from alexplore.runs.watch import Snapshot, Watch
from alexplore.tui.run_facts import (
    NEXT_STEPS,
    Fact,
    checkpoint_facts,
    ending,
    fact_lines,
    finding_text,
    heading,
    machine_lines,
    next_checkpoint_seconds,
    other_ways_on,
    progress,
    recipe_facts,
    tiles,
    time_lines,
    within_height,
    within_lines,
)

START = StartEvent(0, "cpu", "CPU", 2, 1, "data", "fp32", flops_per_image=1000, peak_flops=1e6)


@pytest.fixture
def run(config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("alexplore.runs.status.is_locked", lambda _: True)
    recipe = replace(config.recipe, epochs=4, dataset="fashion-mnist")
    return create_run(replace(config, recipe=recipe), tmp_path / "runs", "night")


def write(run: RunDirectory, accuracies: list[float], status: Status, *, saved: bool = True) -> Snapshot:
    """Write epochs of ten steps with these validation accuracies, 90 % on training images, 500 images a second."""
    with LineWriter(run.metrics_file, attempt=0) as metrics, LineWriter(run.events_file, attempt=0) as events:
        events.append(**event_record(START))
        for epoch, accuracy in enumerate(accuracies, 1):
            step = 10 * epoch
            values = {"train/loss": 0.25, "train/acc": 0.9, "images_per_second": 500.0}
            metrics.append(**metrics_record(MetricsLine(step, epoch, values)))
            measured = {**values, "val/loss": 0.5, "val/acc": accuracy}
            events.append(**event_record(EpochEvent(epoch, step, measured, seconds=60.0 * epoch)))
            if saved:
                events.append(**event_record(CheckpointEvent(step, epoch, accuracy == max(accuracies[:epoch]), 0.1)))
    write_status(run, status)
    return Watch(run).poll()


def texts(snapshot: Snapshot) -> dict[str, tuple[str, str]]:
    return {tile.title: (tile.value, tile.note) for tile in tiles(snapshot)}


def test_the_tiles_have_best_loss_gap_and_speed(run: RunDirectory) -> None:
    snapshot = write(run, [0.8, 0.875, 0.85], Status("running", step=30, epoch=3.0, updated=time.time()))
    shown = texts(snapshot)
    assert shown["best"] == ("87.5%", "epoch 2 · last -2.5%")
    assert shown["loss"] == ("0.250", "validation 0.500")
    assert shown["train"] == ("90.0%", "gap +5.0 points")
    assert shown["speed"] == ("500/s", "50% of the CPU's peak")  # 500 images of 1000 operations, of a million
    assert " · ".join(heading(snapshot)).startswith(
        "● RUNNING  night · tiny on fashion-mnist · CPU, 1 rank, fp32 · started "
    )
    assert progress(snapshot) == ["epoch 3.00/4", "75%", "step 30"]
    assert ending(snapshot) == ""


def test_before_the_first_epoch_nothing_is_made_up(run: RunDirectory) -> None:
    snapshot = write(run, [], Status("running", updated=time.time()))
    assert [tile.value for tile in tiles(snapshot)] == ["–"] * 5


def test_a_pause_has_no_time_left(run: RunDirectory) -> None:
    snapshot = write(run, [0.8], Status("paused", step=10, epoch=1.0, updated=time.time()))
    assert texts(snapshot)["left"] == ("paused", "space continues")


@pytest.mark.parametrize(
    ("status", "saved", "said"),
    [
        (
            Status("finished", 1, "", 20, 2.0, 7200.0),
            True,
            f"✓ finished in 2:00 · best 87.5% at epoch 2 · {NEXT_STEPS}",
        ),
        (
            Status("finished", 1, "", 20, 2.0, 7200.0, "stopped early: …"),
            True,
            f"✓ finished in 2:00: stopped early: … · best 87.5% at epoch 2 · {NEXT_STEPS}",
        ),
        (
            Status("failed", 1, "", 20, 2.0, 7200.0, "the disk is full"),
            True,
            "✗ failed: the disk is full · best 87.5% at epoch 2 · r resumes from step 20",
        ),
        (
            Status("stopped", 1, "", 20, 2.0, 7200.0),
            False,
            "■ stopped · best 87.5% at epoch 2 · r starts anew: no checkpoint was saved yet",
        ),
    ],
)
def test_an_ending_has_the_result_the_reason_and_what_resuming_does(
    run: RunDirectory, status: Status, saved: bool, said: str
) -> None:
    snapshot = write(run, [0.8, 0.875], status, saved=saved)
    assert ending(snapshot) == said
    assert texts(snapshot)["took"] == ("2:00", f"{status.state} 02:00")


def test_the_recipe_shows_what_differs_from_the_preset(run: RunDirectory) -> None:
    snapshot = write(run, [0.8], Status("running", updated=time.time()))
    recipe = snapshot.config.recipe
    before = replace(recipe, epochs=10, label_smoothing=0.1)
    facts = {fact.label: fact for fact in recipe_facts(snapshot, before)}
    assert facts["epochs"] == Fact("epochs", "4", "(10)")
    assert facts["label_smoothing"] == Fact("label_smoothing", "0", "(0.1)")
    assert "(" not in facts["lr"].note
    assert "patience" not in facts  # of another schedule
    assert not any(fact.note for fact in recipe_facts(snapshot, None) if fact.label != "lr")
    assert isinstance(before, Recipe)


def test_the_newest_checkpoints_come_first_and_the_best_are_marked(run: RunDirectory) -> None:
    snapshot = write(run, [0.8, 0.9, 0.7, 0.6], Status("running", updated=time.time()))
    due, *saved = checkpoint_facts(snapshot)
    assert due.label == "next"
    assert [fact.value for fact in saved] == ["step 40", "step 30", "step 20 ★"]


def test_the_rate_has_its_course_beside_it(run: RunDirectory) -> None:
    """Two of four epochs are trained."""
    snapshot = write(run, [0.8, 0.9], Status("running", step=20, epoch=2.0, updated=time.time()))
    (note,) = [fact.note for fact in recipe_facts(snapshot, None) if fact.label == "lr"]
    assert note.index("│") == 4  # half of 7, rounded
    longest = max(len(name) for name in setting_fields(Recipe))
    lines = fact_lines([Fact("lr", "0.01", note), Fact("x" * longest, "1")], 28)  # as wide as the pane
    assert any(line.endswith(note) for line in lines)
    assert max(map(len, lines)) <= 28


@pytest.mark.parametrize(
    ("state", "epoch", "minutes", "pace", "seconds"),
    [
        ("running", 2.25, 10, None, 540),  # of the ten minutes after the checkpoint, one is over
        ("running", 2.25, 10, 1 / 120, 90),  # three quarters of an epoch of two minutes
        ("running", 2.25, 0.5, 1 / 120, 0),  # overdue
        ("paused", 2.25, 10, 1 / 120, None),
        ("finished", 4.0, 10, 1 / 120, None),
    ],
)
def test_the_next_checkpoint_is_due_at_the_end_of_the_epoch_or_before(
    run: RunDirectory, state: str, epoch: float, minutes: float, pace: float | None, seconds: float | None
) -> None:
    written = write(run, [0.8, 0.9], Status(state, step=22, epoch=epoch, updated=time.time()))
    saved = written.last_events[CheckpointEvent].head.time
    recipe = replace(written.config.recipe, checkpoint_minutes=minutes)
    snapshot = replace(
        written,
        config=replace(written.config, recipe=recipe),
        status=replace(written.status, updated=saved + 60),
        epochs_per_second=pace,
    )
    assert next_checkpoint_seconds(snapshot) == (None if seconds is None else pytest.approx(seconds))


def test_a_run_without_a_checkpoint_waits_from_its_start_on(run: RunDirectory) -> None:
    written = write(run, [0.8], Status("running", step=5, epoch=0.5, updated=time.time()), saved=False)
    snapshot = replace(written, epochs_per_second=1 / 100)
    assert [(fact.label, fact.value) for fact in checkpoint_facts(snapshot)] == [("next", "in 50.0 s")]


def test_the_other_rate_is_named_only_where_all_of_it_fits(run: RunDirectory) -> None:
    stopped = write(run, [0.8], Status("stopped", step=10, epoch=1.0, updated=7200.0))
    more = other_ways_on(stopped)
    assert within_lines("■ stopped", 40, 1, more) == "■ stopped · L resumes at another rate"
    assert within_lines("■ stopped", 30, 1, more) == "■ stopped"
    finished = write(run, [0.8], Status("finished", step=40, epoch=4.0, updated=7200.0))
    assert other_ways_on(finished) == ""


def test_lines_of_facts_have_their_values_in_a_column_and_fit() -> None:
    facts = [Fact("epochs", "4", "(10)"), Fact("lr", "0.1")]
    assert fact_lines(facts, 40) == ["epochs  4 (10)", "lr      0.1"]
    long = [Fact("dataset", "synthetic", "(fashion-mnist)"), facts[1]]
    assert fact_lines(long, 28) == ["dataset  synthetic", "         (fashion-mnist)", "lr       0.1"]


def test_time_and_machine_are_told_in_few_lines(run: RunDirectory) -> None:
    values = {"time/input": 6.0, "time/forward": 1.0, "time/backward": 3.0, "machine/cpu": 0.5, "machine/memory": 3.0}
    with LineWriter(run.metrics_file, attempt=0) as metrics:
        metrics.append(**metrics_record(MetricsLine(1, 0.1, values)))
    snapshot = Watch(run).poll()
    assert time_lines(snapshot, 28) == ["data-bound: 10 ms a step", "input 60% · backward 30% ·", "forward 10%"]
    assert " ".join(time_lines(snapshot, 20)[:2]) == "data-bound: 10 ms a step"
    assert machine_lines(snapshot, 28) == ["machine", "processors 50% ·", "memory 3.0 GiB"]


def test_what_was_not_recorded_has_no_lines(run: RunDirectory) -> None:
    snapshot = Watch(run).poll()
    assert time_lines(snapshot, 28) == machine_lines(snapshot, 28) == []


def test_a_finding_does_not_repeat_why_the_run_failed() -> None:
    finding = Finding("diverged", "the training ended: loss nan", "a lower rate")
    assert finding_text([finding]) == "⚠ the training ended: loss nan → a lower rate"
    assert finding_text([finding], "loss nan") == "⚠ diverged → a lower rate"
    assert finding_text([finding], "the disk is full") == "⚠ the training ended: loss nan → a lower rate"


def test_a_key_stays_beside_what_it_does() -> None:
    text = "✓ finished · e evaluates · i predicts · T trains on"
    for width in range(12, 52):
        assert not any(line.endswith((" e", " i", " T")) for line in within_lines(text, width, 9).splitlines())


def test_a_run_that_is_not_read_whole_says_so(run: RunDirectory) -> None:
    snapshot = write(run, [0.5], Status("finished", step=10, epoch=1.0))
    assert not any("being read" in part for part in heading(snapshot))
    assert heading(replace(snapshot, whole=False))[-1] == "still being read: the curves are a sample"


def test_lines_that_do_not_fit_are_counted() -> None:
    lines = ["a", "", "b", "c"]
    assert within_height(lines, 4) == lines
    assert within_height(lines, 3) == ["a", "b", "c"]
    assert within_height(lines, 2) == ["a", "… 2 more lines"]


def test_a_run_that_ended_within_an_epoch_took_until_then(run: RunDirectory) -> None:
    """The second epoch would end at step 20; the last value is that of step 15, 50 s after the first."""
    with LineWriter(run.metrics_file, attempt=0) as metrics, LineWriter(run.events_file, attempt=0) as events:
        events.append(**event_record(START))
        events.append(**event_record(EpochEvent(1, 10, {"train/loss": 0.25}, seconds=30.0)))
        for step, seconds in ((5, 0.0), (10, 30.0), (15, 50.0)):
            line = metrics_record(MetricsLine(step, step / 10, {"train/loss": 0.25}))
            metrics.append(**line, time=1000.0 + seconds)
    write_status(run, Status("stopped", step=15, epoch=1.5))
    assert [tile.value for tile in tiles(Watch(run).poll())][-1] == duration_text(50.0)


def test_a_long_finding_ends_with_an_ellipsis_at_its_last_line() -> None:
    text = "overfitting: the loss of validation rises while that of training falls → fewer epochs, or more dropout"
    assert within_lines(text, 200, 2) == text
    lines = within_lines(text, 30, 2).splitlines()
    assert lines[0] == "overfitting: the loss of"
    assert lines[1] == "validation rises while that …"
    assert within_lines("", 30, 2) == ""
