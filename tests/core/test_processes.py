"""Processes that run a module of this package."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from alexplore.core import processes
from alexplore.core.errors import FAILED
from alexplore.core.processes import KilledError, StartError, check_killed, ended_text, torch_command
from alexplore.presets.sources import import_preset
from alexplore.runs import commands, predictions
from alexplore.runs.commands import RUNNING, command_output, end_commands, run_command
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run
from tests.support.command_line import run_here
from tests.support.waiting import wait_until


def test_without_pytorch_a_command_and_an_import_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "find_spec", lambda name: None)
    with pytest.raises(StartError, match="PyTorch is not installed: pip install torch"):
        run_command("doctor", [])
    with pytest.raises(StartError, match="PyTorch is not installed: pip install torch"):
        import_preset("net.py:Net", print)


def test_a_module_does_not_import_files_of_the_current_folder() -> None:
    assert torch_command("package.module", "argument")[1:] == ["-P", "-m", "package.module", "argument"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (7, "ended with exit code 7"),
        (-signal.SIGTERM, "was killed by SIGTERM"),
        (-signal.SIGKILL, "was killed by SIGKILL; the machine may be short of memory"),
        (-200, "was killed by signal 200"),
    ],
)
def test_how_a_process_ended(code: int, words: str) -> None:
    assert ended_text(code) == words
    if code < 0:
        with pytest.raises(KilledError, match=f"the work {words}"):
            check_killed("the work", code)
    else:
        check_killed("the work", code)


def program(folder: Path, script: str) -> list[str]:
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o700)
    return [str(file)]


@pytest.mark.usefixtures("heavy")
@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "run"),
        ("predict", "run", "image.png"),
        ("profile", "lenet"),
        ("data", "pack", "folder"),
        ("doctor",),
    ],
)
def test_a_command_whose_process_is_killed_says_so(
    command: tuple[str, ...], tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux kills processes when it has no memory left; they can't say anything then."""
    run = create_run(config, tmp_path / "runs", "run")
    (run.checkpoints_folder / "last").mkdir()
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    killed = program(tmp_path, "kill -9 $$")
    monkeypatch.setattr(commands, "command_line", lambda *_: killed)
    monkeypatch.setattr(predictions, "command_line", lambda *_: killed)
    done = run_here(*command)
    assert done.returncode == FAILED
    assert done.stderr.splitlines()[-1].endswith(" was killed by SIGKILL; the machine may be short of memory")


@pytest.mark.usefixtures("heavy")
def test_commands_that_others_wait_for_can_be_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "command_line", lambda *_: program(tmp_path, "exec sleep 600"))
    raised: list[str] = []

    def wait() -> None:
        try:
            command_output("evaluate", [])
        except KilledError as error:
            raised.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: bool(RUNNING), "the command")
    end_commands()
    waiting.join()
    assert raised and not RUNNING
