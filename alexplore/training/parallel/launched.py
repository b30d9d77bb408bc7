"""The connection of a rank with the worker that launched it. No torch here: ranks use this before they import torch."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

LAUNCHER = "ALEXPLORE_LAUNCHER"
"""Environment variable of a rank: the process id of its launcher, which holds the run's lock."""

HEARTBEAT = "ALEXPLORE_HEARTBEAT"
"""Environment variable of a rank: the file descriptor of the pipe that it writes heartbeats to."""

PR_SET_PDEATHSIG = 1
"""An option of Linux's prctl(2)."""


@dataclass(frozen=True)
class Launch:
    """The launch of this rank by a worker, as its environment variables describe it."""

    launcher: int
    """The process id of the launcher."""

    heartbeat: int
    """The file descriptor of the pipe of heartbeats, which the launcher reads."""


def read_launch(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """Return how a worker launched this rank; None in the worker itself, and under torchrun."""
    if LAUNCHER not in environment or int(environment[LAUNCHER]) == os.getpid():
        return None
    return Launch(int(environment[LAUNCHER]), int(environment[HEARTBEAT]))


def die_with_parent() -> None:
    """Let Linux kill this process when the thread that started it ends, even while this one is stopped."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
