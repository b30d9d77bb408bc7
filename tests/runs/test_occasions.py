"""The occasions at which a person is called, and the command that is run then."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.core.settings import SettingError
from alexplore.network.graph import read_network
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.occasion_kinds import OCCASIONS, USUAL, read_occasions
from alexplore.runs.occasions import Occasion, OccasionWatch
from alexplore.runs.on_end import main, run_command, wait_and_run
from alexplore.runs.protocol import NOT_FINITE, EpochEvent, ErrorEvent, event_record
from alexplore.runs.status import Status, write_status
from alexplore.runs.summary import RunList, Summary
from tests.support.hostile import HOSTILE
from tests.support.networks import SMALL
from tests.support.runs import finished_run

CONFIG = RunConfig("small", read_network(SMALL))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create_run(CONFIG, tmp_path / "runs", "one")


def summary(run: RunDirectory, state: str, *accuracies: float, age: float = 0.0) -> Summary:
    epochs = [EpochEvent(number, number, {"val/acc": one}) for number, one in enumerate(accuracies, 1)]
    best = max(epochs, key=lambda epoch: epoch.metrics["val/acc"], default=None)
    return Summary(run, Status(state, updated=time.time() - age), CONFIG, best_epoch=best)


def kinds(watch: OccasionWatch, *seen: Summary) -> list[str]:
    return [occasion.kind for one in seen for occasion in watch.update(one)]


@pytest.mark.parametrize("state", ["finished", "stopped", "failed", "crashed"])
def test_an_end_is_one_occasion(run: RunDirectory, state: str) -> None:
    running, ended = summary(run, "running"), summary(run, state)
    assert kinds(OccasionWatch(), running, running, ended, ended) == [state]
    assert kinds(OccasionWatch(), ended, running, ended) == [state]  # resumed
    assert kinds(OccasionWatch(), ended) == []  # it had ended before
    assert kinds(OccasionWatch(from_start=True), ended) == [state]


def test_a_failure_by_what_is_not_finite_is_one_of_its_own(run: RunDirectory) -> None:
    with LineWriter(run.events_file, attempt=0) as writer:
        writer.append(**event_record(ErrorEvent("loss", NOT_FINITE)))
    assert kinds(OccasionWatch(), summary(run, "running"), summary(run, "failed")) == ["nonfinite"]
    with LineWriter(run.events_file, attempt=1) as writer:
        writer.append(**event_record(ErrorEvent("the disk is full")))
    assert kinds(OccasionWatch(), summary(run, "running"), summary(run, "failed")) == ["failed"]


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_stall_is_told_once_until_it_goes_on(run: RunDirectory) -> None:
    clock = Clock()
    watch = OccasionWatch(clock=clock)

    def after(seconds: float, seen: Summary) -> list[str]:
        clock.seconds += seconds
        return kinds(watch, seen)

    first, later = summary(run, "running", age=1), summary(run, "running")
    assert after(0, first) == after(119, first) == []
    assert after(2, first) == ["stalled"]
    assert after(500, first) == []
    assert after(500, later) == after(119, later) == []
    assert after(2, later) == ["stalled"]
    paused = summary(run, "paused")
    assert after(500, paused) == after(500, paused) == []
    assert after(1, later) == after(119, later) == []


@pytest.mark.parametrize("age", [500, -500])
def test_a_clock_that_was_set_or_a_machine_that_slept_is_no_stall(run: RunDirectory, age: float) -> None:
    """The status is written by another machine's clock, or before the lid was closed."""
    assert kinds(OccasionWatch(), summary(run, "running"), summary(run, "running", age=age)) == []


def test_each_higher_accuracy_is_a_best(run: RunDirectory) -> None:
    seen = [summary(run, "running", *([0.5, 0.4, 0.6][:count])) for count in range(4)]
    assert kinds(OccasionWatch(), *seen) == ["best", "best"]
    assert kinds(OccasionWatch(), *seen[1:]) == ["best"]  # the first was known before


def test_names_on_a_command_line() -> None:
    assert read_occasions(["best", "failed"]) == ("best", "failed")
    with pytest.raises(SettingError, match="unknown 'nonfinit'; did you mean nonfinite"):
        read_occasions(["nonfinit"])


@pytest.mark.parametrize("kind", OCCASIONS)
def test_every_occasion_has_its_text_and_facts(run: RunDirectory, kind: str) -> None:
    occasion = Occasion(kind, summary(run, kind if kind in ("finished", "stopped", "crashed") else "failed", 0.5))
    assert occasion.text.startswith("one")
    facts = occasion.environment()
    assert (facts["ALEXPLORE_RUN"], facts["ALEXPLORE_OCCASION"], facts["ALEXPLORE_BEST"]) == ("one", kind, "0.5")


@pytest.mark.usefixtures("heavy")
def test_the_command_gets_the_facts_and_what_a_run_holds_is_no_command(tmp_path: Path) -> None:
    run = finished_run(CONFIG, tmp_path / "runs", "$(touch owned); `touch owned`", 0.75)
    write_status(run, Status("failed", reason="$(touch owned)\n; touch owned" + HOSTILE))
    (one,) = RunList().summarise([run])
    out = tmp_path / "out"
    run_command(
        f'cd {tmp_path}; printf "%s\\n" "$ALEXPLORE_RUN" "$ALEXPLORE_STATE" "$ALEXPLORE_BEST" > {out}',
        Occasion("failed", one),
    )
    assert out.read_text().splitlines() == ["$(touch owned); `touch owned`", "failed", "0.75"]
    assert not (tmp_path / "owned").exists()


@pytest.mark.usefixtures("heavy")
def test_a_command_that_fails_is_reported(run: RunDirectory, capfd: pytest.CaptureFixture[str]) -> None:
    run_command("exit 3", Occasion("failed", summary(run, "failed")))
    assert capfd.readouterr().out == "warning: the command of --on-end ended with exit code 3\n"


@pytest.mark.usefixtures("heavy")
def test_it_waits_for_the_end(run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is killed leaves its status as it was, and its lock free."""
    write_status(run, Status("running", os.getpid(), updated=time.time()))
    looks: list[float] = []
    monkeypatch.setattr("alexplore.runs.status.is_locked", lambda _: len(looks) < 3)
    monkeypatch.setattr("alexplore.runs.on_end.time.sleep", looks.append)
    wait_and_run(run, USUAL, f'echo "$ALEXPLORE_OCCASION" >> {tmp_path / "out"}')
    assert (tmp_path / "out").read_text() == "crashed\n"
    assert len(looks) == 3


@pytest.mark.usefixtures("heavy")
def test_occasions_that_were_not_named_are_left_out(tmp_path: Path) -> None:
    run = finished_run(CONFIG, tmp_path / "runs", "one", 0.75)
    assert main([str(run.path), "failed,best", f'echo "$ALEXPLORE_OCCASION" >> {tmp_path / "out"}']) == 0
    assert (tmp_path / "out").read_text() == "best\n"


def test_a_run_whose_config_is_damaged_can_be_told_of(run: RunDirectory) -> None:
    damaged = replace(summary(run, "failed"), config=None)
    assert Occasion("failed", damaged).environment()["ALEXPLORE_EPOCHS"] == ""


def test_the_best_epoch_of_a_run_that_is_resumed_is_no_news(run: RunDirectory) -> None:
    watch = OccasionWatch(from_start=True)
    assert kinds(watch, summary(run, "starting", 0.5, 0.4)) == []
    (occasion,) = watch.update(summary(run, "running", 0.5, 0.4, 0.6))
    assert occasion.kind == "best"
    assert occasion.text.endswith(" in epoch 3")
