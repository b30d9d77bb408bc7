"""The lines of a run's log, as the app and the command line show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alexplore.runs.messages import attempt_text, event_text, is_logged
from alexplore.runs.protocol import EndEvent, EpochEvent, ErrorEvent
from alexplore.runs.watch import Snapshot


@dataclass(frozen=True)
class LogLine:
    """One line of a log; `time` is in seconds since 1970.

    `is_result` marks a finished epoch. `is_end` marks what ended the run: the error that is the reason in its
    status, or a stop.
    """

    text: str
    time: float
    is_result: bool = False
    is_end: bool = False


class RunLog:
    """Turns snapshots of one run into the lines that were not shown yet."""

    def __init__(self, after: int = -1) -> None:
        """Skip the events up to the number `after`."""
        self._last_shown = after
        self._attempt = 0

    def new_lines(self, snapshot: Snapshot) -> Iterator[LogLine]:
        """Yield the lines written since the last call; each attempt but the first starts with a separate line."""
        for line in snapshot.events_after(self._last_shown):
            attempt = line.head.attempt
            if attempt != self._attempt:
                step = snapshot.first_step(attempt)
                if step is None and attempt == snapshot.attempt and snapshot.status.live:
                    return  # the event with its first step may follow
                self._attempt = attempt
                yield LogLine(attempt_text(attempt, step), line.head.time)
            self._last_shown = line.head.seq
            if is_logged(line.event):
                yield LogLine(
                    event_text(line.event, snapshot.total_epochs),
                    line.head.time,
                    is_result=isinstance(line.event, EpochEvent),
                    is_end=isinstance(line.event, ErrorEvent | EndEvent) and attempt == snapshot.attempt,
                )
