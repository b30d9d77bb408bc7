"""The bell of a command that follows a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from alexplore.cli.bell import Bell
from alexplore.cli.follow import LiveDisplay
from alexplore.cli.notify_options import NotifyOptions
from alexplore.core.processes import StartError
from alexplore.network.graph import read_network
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.status import Status
from alexplore.runs.summary import Summary
from alexplore.tui.preferences import Preferences, preferences_file, write_preferences
from tests.support.command_line import Output
from tests.support.networks import SMALL


def rung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notify_options: NotifyOptions | None, *, terminal: bool = True
) -> str:
    """Return what is written to stderr when a run ends, while a live display has replaced the stream."""
    stream = Output(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    config = RunConfig("small", read_network(SMALL))
    run = create_run(config, tmp_path / "runs", "one")
    bell = Bell(notify_options)
    with LiveDisplay(-1):
        for state in ("running", "finished"):
            bell.update(Summary(run, Status(state), config))
    return stream.text()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("TMUX", raising=False)


@pytest.mark.parametrize("notify_options", [None, NotifyOptions(), NotifyOptions(occasions=("finished",))])
def test_the_usual_bell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notify_options: NotifyOptions | None) -> None:
    assert rung(tmp_path, monkeypatch, notify_options) == "\a"


def test_a_notification_reaches_the_terminal_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = preferences_file()
    assert path is not None
    write_preferences(Preferences(notify="osc"), path)
    assert "\x1b]9;one finished\a" in rung(tmp_path, monkeypatch, None)


def test_what_was_not_asked_for_rings_no_bell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rung(tmp_path, monkeypatch, NotifyOptions(occasions=("failed",))) == ""


def test_a_log_gets_no_bell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rung(tmp_path, monkeypatch, None, terminal=False) == ""


def test_a_run_whose_command_can_not_be_started_is_trained_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise StartError("could not start the process that runs --on-end: Cannot allocate memory")

    monkeypatch.setattr("alexplore.runs.on_end.start_on_end", refuse)
    NotifyOptions("true").start_on_end(RunDirectory(tmp_path))
    assert "Cannot allocate memory; the run is trained without it" in capsys.readouterr().err
