"""How many processors this process may use."""

from __future__ import annotations

import os


def processors() -> int:
    """The processors that the system allows this process to use; all if the system has no such limits (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
