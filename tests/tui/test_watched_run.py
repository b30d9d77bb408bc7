"""The watched run without the app: what is logged, when curves are drawn."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alexplore.presets.library import load_preset
from alexplore.runs import service
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError, create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.status import Status, write_status
from alexplore.runs.watch import Watch
from alexplore.tui.log_entry import LogEntry
from alexplore.tui.state import AppState
from alexplore.tui.watched_run import CONSOLE_LINES, MOST_SECONDS, Poller, WatchedRun
from tests.support.runs import finished_run


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    return create_run(config, tmp_path / "runs", "alpha")


def metrics(run: RunDirectory, *steps: int) -> None:
    """Write the metrics of some steps, four in an epoch."""
    with LineWriter(run.metrics_file, attempt=0) as writer:
        for step in steps:
            writer.append(step=step, epoch=step / 4, **{"train/loss": 1 / step, "train/acc": 0.5})


def event(run: RunDirectory, message: str) -> None:
    with LineWriter(run.events_file, attempt=0) as writer:
        writer.append(event="warning", message=message)


def look(watched: WatchedRun, poller: Poller, now: float = 0.0) -> bool:
    return watched.update(*poller.poll(now))


def test_events_are_logged_once(run: RunDirectory) -> None:
    watched, poller = WatchedRun(run), Poller(run, 0.0)
    assert watched.new_log_entries() == []
    event(run, "first")
    look(watched, poller)
    assert [line.text for line in watched.new_log_entries()] == ["first"]
    event(run, "second")
    look(watched, poller)
    assert [line.text for line in watched.new_log_entries()] == ["second"]
    look(watched, Poller(run, 0.0))  # as after another screen was shown
    assert watched.new_log_entries() == []


@pytest.mark.parametrize(
    ("end", "logged"),
    [("stopped", [("stopped at step 4", "")]), ("finished", []), ("failed", [])],
)
def test_a_stop_is_logged_and_other_ends_are_not_told_twice(
    end: str, logged: list[tuple[str, str]], run: RunDirectory
) -> None:
    with LineWriter(run.events_file, attempt=0) as writer:
        writer.append(event="end", state=end, step=4)
    write_status(run, Status(end, step=4))
    watched = WatchedRun(run)
    look(watched, Poller(run, 0.0))
    assert [(line.text, line.kind) for line in watched.new_log_entries()] == logged


def test_the_reason_of_a_failure_is_not_told_again_in_the_log(run: RunDirectory) -> None:
    with LineWriter(run.events_file, attempt=0) as writer:
        writer.append(event="error", message="the disk is full")
    write_status(run, Status("failed", step=4, reason="the disk is full"))
    watched = WatchedRun(run)
    look(watched, Poller(run, 0.0))
    assert [(line.text, line.kind) for line in watched.new_log_entries()] == [("failed", "error")]


def test_a_line_has_the_time_of_its_event(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    with LineWriter(run.events_file, attempt=0) as writer:
        writer.append(event="warning", message="now")
    watched, poller = WatchedRun(run), Poller(run, 0.0)
    look(watched, poller)
    assert watched.snapshot is not None
    moment = watched.snapshot.events[-1].head.time
    assert watched.new_log_entries() == [LogEntry("now", time.strftime("%H:%M:%S", time.gmtime(moment)))]


def test_the_workers_last_output_is_there_without_the_events_of_the_log(run: RunDirectory) -> None:
    count = CONSOLE_LINES + 10
    text = "".join(f"line {number}\n20:17:0{number % 10} an event\n" for number in range(count))
    run.console_file.write_text(text)
    entries = WatchedRun(run).console_entries()
    assert entries[-1].text == f"line {count - 1}"
    assert not any("an event" in entry.text for entry in entries)
    assert 0 < len(entries) <= CONSOLE_LINES


def test_a_run_that_can_not_be_read_shows_only_why(run: RunDirectory) -> None:
    watched = WatchedRun(run)
    metrics(run, 1, 2)
    event(run, "first")
    look(watched, Poller(run, 0.0))
    run.config_file.write_text("{")
    with pytest.raises(RunError) as caught:
        Poller(run, 0.0)
    watched.fail(str(caught.value))
    assert watched.unreadable == str(caught.value)
    assert watched.snapshot is None
    assert watched.new_log_entries() == []
    assert not watched.drawing.curves


def test_curves_of_a_live_run_are_drawn_ever_more_rarely(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 16 seconds, 2 seconds pass between two drawings; after a minute and more, MOST_SECONDS."""
    monkeypatch.setattr("alexplore.runs.status.is_locked", lambda _: True)
    write_status(run, Status("running", updated=time.time()))
    watched, poller = WatchedRun(run), Poller(run, 0.0)
    metrics(run, 1)
    assert look(watched, poller, 16.0)
    metrics(run, 2)
    assert not look(watched, poller, 18.0)
    assert look(watched, poller, 18.5)
    metrics(run, 3)
    assert look(watched, poller, 100.0)
    metrics(run, 4)
    assert not look(watched, poller, 100.0 + MOST_SECONDS - 0.1)
    assert look(watched, poller, 100.0 + MOST_SECONDS)
    assert not look(watched, poller, 1000.0)  # nothing is new


def test_an_epoch_and_the_end_are_drawn_at_once(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alexplore.runs.status.is_locked", lambda _: True)
    write_status(run, Status("running", updated=time.time()))
    watched, poller = WatchedRun(run), Poller(run, 0.0)
    metrics(run, 1)
    assert look(watched, poller, 100.0)
    metrics(run, 2)
    assert not look(watched, poller, 100.1)
    with LineWriter(run.events_file, attempt=0) as writer:
        writer.append(event="epoch", epoch=1, step=2)
    assert look(watched, poller, 100.2)
    metrics(run, 3)
    assert not look(watched, poller, 100.3)
    write_status(run, Status("finished", updated=time.time()))
    assert look(watched, poller, 100.4)
    assert len(watched.drawing.curves["train/loss"].values) == 3


def test_the_axis_grows_with_the_training(run: RunDirectory) -> None:
    watched, poller = WatchedRun(run), Poller(run, 0.0)
    assert watched.last_epoch == 1.0
    for epoch, end in ((0.5, 1.0), (1.2, 1.5), (2.0, 2.0)):
        write_status(run, Status("stopped", step=1, epoch=epoch, updated=1.0))
        look(watched, poller)
        assert watched.last_epoch == end


def test_a_run_with_the_name_of_a_deleted_one_is_another_run(config: RunConfig, tmp_path: Path) -> None:
    state = AppState(load_preset("lenet"), tmp_path / "runs")
    first = finished_run(config, tmp_path / "runs", "again", 0.5)
    state.watch(first)
    watched = state.watched
    assert watched is not None
    watched.update(Watch(first).poll(), watched.drawing)
    state.watch(RunDirectory(first.path))
    assert state.watched is watched
    service.remove(first)
    state.watch(finished_run(config, tmp_path / "runs", "again", 0.5))
    assert state.watched is not watched
