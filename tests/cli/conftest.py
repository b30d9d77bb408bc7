"""The command line in the test's own process: what it prints and returns, without the time that a process takes."""

from __future__ import annotations

import pytest

from tests.support.command_line import run_here
from tests.support.processes import Alexplore, run_alexplore


@pytest.fixture
def alexplore() -> Alexplore:
    """Return what runs the command line in this process, without a terminal."""
    return run_here


@pytest.fixture
def alexplore_process(heavy: None) -> Alexplore:
    """Return what runs the command line in a process of its own, for what depends on the process."""
    return run_alexplore
