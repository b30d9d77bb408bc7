"""Ranks that torchrun starts: each is a process of `alexplore train` that becomes a worker."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import NoReturn

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError, checked_name, create_run, name_after
from alexplore.runs.launch import worker_command
from alexplore.runs.status import STARTING_SECONDS


def started_by_torchrun() -> bool:
    """Return whether torchrun, or a program that sets the same variables, started this process as one of its ranks.

    Source: torchrun's manual, "Environment Variables".
    """
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def group_name(config: RunConfig) -> str:
    """Return the name of the run that the ranks of one torchrun share, also after a restart."""
    identity = os.environ.get("TORCHELASTIC_RUN_ID", "none").replace("/", "-")
    return name_after(config.preset, f"torchrun-{identity}")


def become_rank(config: RunConfig, folder: Path, name: str) -> NoReturn:
    """Replace this process by a rank of the group that torchrun started.

    The first rank creates the run directory, the others wait for it. After a restart by torchrun the ranks find the
    directory and continue from its last checkpoint.

    Raises:
        RunError: the name is not allowed, or the directory can't be created, belongs to a run with another config, or
            did not appear within a minute.
    """
    run = RunDirectory(folder / checked_name(name))
    if os.environ["RANK"] == "0":
        if not run.config_file.is_file():
            create_run(config, folder, name)
        elif run.config().as_started() != config:
            raise RunError(
                f"{run.path} belongs to a run with other settings: choose another --name, or delete that run"
            )
    deadline = time.monotonic() + STARTING_SECONDS * 2
    while not run.config_file.is_file():
        if time.monotonic() > deadline:
            raise RunError(
                f"{run.path}: the first rank did not make it; all machines need the same runs folder", failure=True
            )
        time.sleep(0.05)
    os.execv(sys.executable, worker_command(run))
