"""The command line in the test's own process: what it prints and returns, without the time that a process takes."""

from __future__ import annotations

import pytest

from tests.support.command_line import run_here
from tests.support.processes import Alexplore


@pytest.fixture
def alexplore() -> Alexplore:
    """Return what runs the command line in this process, without a terminal."""
    return run_here
