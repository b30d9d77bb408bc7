"""The input and the outcome of every part. No torch: the process that waits for the parts doesn't need it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
TRACEBACK_LINES = 12


@dataclass(frozen=True)
class Bench:
    """The device, the data and the deadline of a part."""

    device: str
    """`cuda`, or `cpu` in a dry run."""
    dry: bool
    """Whether this is a dry run, in miniature."""
    data: Path | None
    """The folder with Fashion-MNIST's files."""
    work: Path
    """An empty folder for runs."""
    deadline: float
    """The `time.monotonic()` at which the part should end."""
    peaks: Mapping[str, float] = field(default_factory=dict)
    """Floating-point operations a second of a large matrix multiplication, by precision, once measured."""

    def seconds_left(self) -> float:
        """Return the seconds until the part should end."""
        return self.deadline - time.monotonic()


@dataclass(frozen=True)
class Check:
    """The result of one check. If it has a number, `value` must be at most `limit`."""

    name: str
    status: str
    value: float | None = None
    limit: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a part: its checks, and its measurements for JSON."""

    checks: tuple[Check, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """Return `failed` if any check failed, `skipped` if all were skipped, else `ok`."""
        found = {check.status for check in self.checks}
        if FAILED in found:
            return FAILED
        return SKIPPED if found == {SKIPPED} else OK


class DeviceLost(Exception):
    """The device reported an error from which this process can't recover."""


def at_most(name: str, value: float, limit: float, note: str = "") -> Check:
    """Check that a number is at most `limit`; NaN fails."""
    return Check(name, OK if value <= limit else FAILED, value, limit, note)


def expect(name: str, holds: bool, note: str = "") -> Check:
    """Check that a condition holds; `note` describes what was found."""
    return Check(name, OK if holds else FAILED, note=note)


def skip(name: str, reason: str) -> Check:
    """Return a check that was not made."""
    return Check(name, SKIPPED, note=reason)


def attempt(checks: Mapping[str, Callable[[], Check | Iterable[Check]]]) -> tuple[Check, ...]:
    """Make checks by name; an exception is a failed check and doesn't end the part.

    Raises:
        DeviceLost: a check raised a CUDA error, after which every later call would fail too.
    """
    made: list[Check] = []
    for name, check in checks.items():
        try:
            found = check()
            made += [found] if isinstance(found, Check) else found
        except Exception as error:
            if is_fatal(error):
                raise DeviceLost(f"{name}: {short(error)}") from error
            made.append(Check(name, FAILED, note=f"{short(error)}\n{short_traceback(error)}"))
    return tuple(made)


def is_fatal(error: BaseException) -> bool:
    """Return whether an exception leaves the CUDA context unusable: PyTorch's manual, "CUDA semantics"."""
    return isinstance(error, DeviceLost) or type(error).__name__ == "AcceleratorError" or "CUDA error:" in str(error)


def short(error: BaseException) -> str:
    """Return an exception's type and the first line of its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def short_traceback(error: BaseException) -> str:
    """Return the last lines of an exception's traceback."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(lines[-TRACEBACK_LINES:])
