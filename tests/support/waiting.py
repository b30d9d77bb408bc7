"""One way to wait, for a condition and not for a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

PATIENCE = float(os.environ.get("ALEXPLORE_TEST_PATIENCE", "120"))
"""Seconds. Only a failing test waits this long, also on a machine that is busy with other work."""


def wait_until(condition: Callable[[], object], what: str, on_timeout: Callable[[], str] = str) -> None:
    """Wait until another process or thread has made a condition true.

    Fails the test after `PATIENCE` seconds with `what` was waited for and the text that `on_timeout` returns.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {PATIENCE:.0f} s\n{on_timeout()}")
        time.sleep(0.02)
