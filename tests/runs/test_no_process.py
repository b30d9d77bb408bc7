"""A system that starts no more processes, such as one without memory: each start says so, and of what."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alexplore.core.errors import FAILED, AlexploreError
from alexplore.presets.sources import import_preset
from alexplore.runs.commands import command_output, run_command
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.launch import launch
from alexplore.runs.on_end import start_on_end
from alexplore.runs.predictions import Predictions
from alexplore.runs.queue import Queue
from alexplore.runs.queue_runner import start_runner
from alexplore.runs.speed import SpeedMeasurement

STARTS: dict[str, Callable[[Path, RunConfig], object]] = {
    "a worker": lambda folder, config: launch(create_run(config, folder, "run")),
    "the process that runs --on-end": lambda folder, config: start_on_end(
        create_run(config, folder, "run"), "true", []
    ),
    "the runner of the queue": lambda folder, _: start_runner(_queue(folder)),
    "the process for evaluate": lambda _, __: command_output("evaluate", []),
    "the process for profile": lambda _, __: run_command("profile", []),
    "the process that predicts": lambda folder, _: Predictions(folder, ["image.png"]).__enter__(),
    "the process that measures the speed": lambda _, config: SpeedMeasurement(config),
    "the process that imports net.py:Net": lambda _, __: import_preset("net.py:Net", print),
}


def _queue(folder: Path) -> Queue:
    queue = Queue(folder)
    queue.folder.mkdir(parents=True)
    return queue


@pytest.mark.parametrize("what", STARTS)
def test_what_can_not_be_started_is_named(
    what: str, tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    with pytest.raises(AlexploreError, match=f"could not start {what}: Resource temporarily unavailable") as raised:
        STARTS[what](tmp_path / "runs", config)
    assert raised.value.exit_code == FAILED
