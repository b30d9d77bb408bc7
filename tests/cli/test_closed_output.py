"""Output that can't be written: closed (`>&-`), or on a full disk. Each is a message and an exit code, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.runs.status import read_status
from tests.support.runs import finished_run

pytestmark = [
    pytest.mark.usefixtures("heavy"),
    pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full on this system"),
]
ENDS = {">&-": "Bad file descriptor", "> /dev/full": "No space left on device"}


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell, in which `alexplore` is this one."""
    return subprocess.run(
        ["sh", "-c", line.replace("alexplore", f"'{sys.executable}' -m alexplore")],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env=os.environ, check=False,
    )  # fmt: skip


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    """A finished run."""
    return finished_run(config, tmp_path / "runs", "run", 0.5)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("command", ["shapes -p lenet", "export -p lenet --to json", "runs watch run --json"])
def test_data_that_cannot_be_written_is_an_error(run: RunDirectory, command: str, end: str) -> None:
    result = shell(f"alexplore {command} {end}")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"error: stdout: {ENDS[end]}"
    assert "Traceback" not in result.stderr and "Exception ignored" not in result.stderr


@pytest.mark.parametrize("end", ["2>&-", pytest.param("2> /dev/full", marks=pytest.mark.exhaustive)])
def test_narration_that_cannot_be_written_is_left_out(run: RunDirectory, end: str) -> None:
    assert "finished" in shell(f"alexplore runs list {end}").stdout
    assert shell(f"alexplore runs show nothing {end}").returncode == 2
    assert shell(f"alexplore runs watch run {end}").returncode == 0
    assert shell(f"alexplore runs list >&- {end}").returncode == 1


def test_a_training_that_cannot_be_shown_stops(tiny_preset: Path, tmp_path: Path) -> None:
    result = shell(f"alexplore train -p {tiny_preset} --epochs 100000 --name unseen > /dev/full")
    run = RunDirectory(tmp_path / "runs" / "unseen")
    assert result.returncode == 1
    assert "unseen can't be shown (stdout: No space left on device); it stops after a checkpoint" in result.stderr
    stopped = shell("alexplore runs watch unseen > /dev/null")
    assert stopped.returncode == 3
    assert read_status(run).state == "stopped"
