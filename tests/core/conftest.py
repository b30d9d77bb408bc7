"""The command line in the test's own process, as in tests/cli."""

from __future__ import annotations

from tests.cli.conftest import alexplore

__all__ = ["alexplore"]
