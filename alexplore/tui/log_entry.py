"""A line of the log that the app shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LogEntry:
    """A line of the log: its time of day, if it has one, and its text; `kind` is "", "warning" or "error"."""

    text: str
    time: str = ""
    kind: str = ""
