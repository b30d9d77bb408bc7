"""Fixtures of the tests of faults, and the figures that they print."""

from __future__ import annotations

import signal

import pytest

from tests.training.conftest import make_run, small

__all__ = ["make_run", "small"]


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Let runs be interrupted by SIGINT also if the tests run in the background of a shell, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how often what was done, and the longest times, for docs/reliability.md."""
    figures: dict[str, list[float]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name.startswith("fault: "):
                figures.setdefault(name.removeprefix("fault: "), []).append(float(str(value)))
    for name, values in sorted(figures.items()):
        terminalreporter.write_line(f"{name}: {len(values)} times, at most {max(values):.2f} s")
