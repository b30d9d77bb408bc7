"""What stands in the terminal after the app was closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.runs.config import RunConfig
from alexplore.runs.queue import Queue
from alexplore.runs.status import Status, read_status
from alexplore.tui.exit_message import exit_message
from tests.support.runs import finished_run


@pytest.fixture(autouse=True)
def states(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the states of runs, as far as they differ from those in their files."""
    found: dict[str, str] = {}

    def status(run: object) -> Status:
        state = found.get(getattr(run, "name", ""))
        return read_status(run) if state is None else Status(state, step=4, epoch=1.0)  # type: ignore[arg-type]

    monkeypatch.setattr("alexplore.tui.exit_message.read_status", status)
    monkeypatch.setattr("alexplore.runs.reader.read_status", status)
    return found


def test_nothing_is_said_where_nothing_goes_on(config: RunConfig, tmp_path: Path) -> None:
    assert exit_message(tmp_path / "none") == ""
    finished_run(config, tmp_path, "alpha", 0.75)
    assert exit_message(tmp_path) == ""
    (tmp_path / "file").touch()
    assert exit_message(tmp_path / "file") == ""


def test_what_goes_on_is_named_with_the_way_back(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, states: dict[str, str]
) -> None:
    monkeypatch.setenv("ALEXPLORE_RUNS", str(tmp_path))
    for name in ("alpha", "beta", "my run"):
        finished_run(config, tmp_path, name, 0.75)
    states |= {"alpha": "paused", "my run": "running"}
    Queue(tmp_path).add(config, "gamma")
    lines = exit_message(tmp_path).splitlines()
    assert [line for line in lines if line.startswith("still training: my run · epoch 1.00/")]
    assert [line for line in lines if line.startswith("paused: alpha · epoch 1.00/")]
    assert "beta" not in "".join(lines)
    assert "in the queue: gamma · see it with: alexplore queue list" in lines
    assert "come back with: alexplore tui --run 'my run'" in lines
    assert "stop with:      alexplore runs stop 'my run'" in lines


def test_many_runs_are_counted(config: RunConfig, tmp_path: Path, states: dict[str, str]) -> None:
    for number in range(7):
        finished_run(config, tmp_path, f"run-{number}", 0.75)
        states[f"run-{number}"] = "running"
    text = exit_message(tmp_path)
    assert text.count("still training: ") == 5
    assert "and 2 more: alexplore runs list" in text
