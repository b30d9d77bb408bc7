"""A replay writes a copy of a run line by line, at its recorded times, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alexplore.runs.config import RunConfig
from alexplore.runs.control import send_request, take_requests
from alexplore.runs.directory import RunDirectory, RunError, create_run
from alexplore.runs.lines import LineReader
from alexplore.runs.replay import LONGEST_WAIT, POLL_SECONDS, Replay, play, recorded_lines
from alexplore.runs.status import Status, is_locked, read_status, write_status
from alexplore.runs.watch import Watch
from tests.support.waiting import wait_until


def write_lines(path: Path, *lines: str) -> None:
    path.write_text("".join(line + "\n" for line in lines))


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    """Return a run of three steps in twenty seconds, paused for an hour, and resumed a day later for one more step."""
    run = create_run(config, tmp_path / "runs", "alpha")
    write_lines(
        run.metrics_file,
        '{"v": 1, "seq": 0, "attempt": 0, "time": 1000.0, "step": 1, "epoch": 0.5, "train/loss": 3.0}',
        '{"v": 1, "seq": 1, "attempt": 0, "time": 1010.0, "step": 2, "epoch": 1.0, "train/loss": "NaN"}',
        '{"v": 1, "seq": 2, "attempt": 0, "time": 4610.0, "step": 3, "epoch": 1.5, "train/loss": 0.1234567890123456}',
        '{"v": 1, "seq": 3, "attempt": 1, "time": 91010.0, "step": 3, "epoch": 1.5, "train/loss": 1.0}',
    )
    write_lines(
        run.events_file,
        '{"v": 1, "seq": 0, "attempt": 0, "time": 990.0, "event": "warning", "message": "first"}',
        '{"v": 1, "seq": 1, "attempt": 0, "time": 1010.0, "event": "epoch", "epoch": 1, "step": 2, "val/acc": 0.5}',
        '{"v": 1, "seq": 2, "attempt": 1, "time": 91000.0, "event": "warning", "message": "last"}',
    )
    write_status(run, Status("failed", step=3, epoch=1.5, updated=1.0, reason="no more"))
    return run


@pytest.fixture
def copy(run: RunDirectory, tmp_path: Path) -> RunDirectory:
    copy = RunDirectory(tmp_path / "copies" / "alpha")
    copy.control_folder.mkdir(parents=True)
    copy.config_file.write_bytes(run.config_file.read_bytes())
    return copy


class Waits:
    """Waits for nothing, counts the seconds, and calls a function before each wait."""

    def __init__(self, before: Callable[[], bool] = lambda: True) -> None:
        self.seconds: list[float] = []
        self._before = before

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return self._before()


def test_lines_come_in_the_order_in_which_they_were_written(run: RunDirectory) -> None:
    lines = [(line.file.split(".")[0], line.record["seq"], line.seconds) for line in recorded_lines(run)]
    assert lines == [
        ("events", 0, 0.0), ("metrics", 0, 10.0), ("events", 1, 10.0), ("metrics", 1, 0.0), ("metrics", 2, 3600.0),
        ("events", 2, 0.0), ("metrics", 3, 10.0),
    ]  # fmt: skip


def test_the_copy_ends_as_the_run_and_long_waits_are_cut(run: RunDirectory, copy: RunDirectory) -> None:
    waits = Waits()
    play(run, copy, 4.0, waits)
    assert sum(waits.seconds) == pytest.approx(3 * 10 / 4 + LONGEST_WAIT)
    assert max(waits.seconds) <= POLL_SECONDS
    played, original = Watch(copy).poll(), Watch(run).poll()
    assert repr(played.curves) == repr(original.curves)
    assert [line.event for line in played.events] == [line.event for line in original.events]
    assert [line.head for line in played.events] == [line.head for line in original.events]
    assert (played.status.state, played.status.reason) == ("failed", "no more")
    assert LineReader(copy.metrics_file).read() == LineReader(run.metrics_file).read()


def test_it_stops_at_once_when_nobody_watches(run: RunDirectory, copy: RunDirectory) -> None:
    left = iter([True, True, True, False])
    play(run, copy, 100.0, Waits(lambda: next(left)))
    assert len(LineReader(copy.metrics_file).read()) + len(LineReader(copy.events_file).read()) == 3


def test_requests_to_the_copy_are_refused_in_words(
    run: RunDirectory, copy: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexplore.runs.status.is_locked", lambda run: run == copy)
    asked = iter([True])

    def ask() -> bool:
        if copy.status_file.exists() and next(asked, False):
            send_request(copy, "stop")
        return True

    play(run, copy, 100.0, Waits(ask))
    events = LineReader(copy.events_file).read()
    assert [event["event"] for event in events].count("control") == 1
    (answer,) = [event for event in events if event["event"] == "control"]
    assert answer["error"] == "a replay can't be asked for anything"
    assert [event["seq"] for event in events] == list(range(4))
    assert take_requests(copy) == []


def test_what_can_not_be_replayed_is_refused(
    run: RunDirectory, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = create_run(config, tmp_path / "runs", "empty")
    write_status(empty, Status("failed"))
    with pytest.raises(RunError, match="nothing to replay"):
        Replay(empty, 60.0)
    monkeypatch.setattr("alexplore.runs.status.is_locked", lambda _: True)
    write_status(run, Status("running"))
    with pytest.raises(RunError, match="alpha is running"):
        Replay(run, 60.0)


@pytest.mark.usefixtures("heavy")
def test_a_replay_is_watched_as_a_run_and_leaves_nothing(run: RunDirectory) -> None:
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with Replay(run, 10.0) as playing:
        assert is_locked(playing.copy)
        watch = Watch(playing.copy)
        wait_until(lambda: watch.poll().curves, "a first curve")
        assert read_status(playing.copy).state in ("running", "failed")
        folder = playing.copy.path.parent
        assert folder.is_dir()
    assert not folder.exists()
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


PROGRAM = """
import sys, time
from pathlib import Path
from alexplore.runs.directory import RunDirectory
from alexplore.runs.replay import Replay
with Replay(RunDirectory(Path(sys.argv[1])), 0.1) as playing:
    print(playing.copy.path.parent, flush=True)
    time.sleep(600)
"""


@pytest.mark.usefixtures("heavy")
def test_the_copy_is_gone_even_if_the_program_that_shows_it_is_killed(run: RunDirectory) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(run.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not folder.exists(), "the end of the copy")
