"""Detect occasions in a run: its end, a stall, a new best accuracy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from alexplore.core.inert import inert_line
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import LineReader
from alexplore.runs.metrics import BEST_METRIC, METRICS
from alexplore.runs.protocol import EXPLAINED, NOT_FINITE, ErrorEvent, EventLine, StartEvent, read_event
from alexplore.runs.status import BUSY, DAMAGED
from alexplore.runs.summary import Summary

STALLED_SECONDS = 120.0
"""A run is stalled when its status has not been updated for this long while it is watched."""

EVENTS_BYTES = 64 * 1024
"""Bytes at the end of events.jsonl that are searched for the last error."""


@dataclass(frozen=True)
class Occasion:
    """Something that happened to a run: its kind, one of `occasion_kinds.OCCASIONS`, and the run as it was then."""

    kind: str
    summary: Summary

    @property
    def text(self) -> str:
        """The occasion in a few words: `night-3 finished: validation accuracy 93.1%`."""
        name, status = self.summary.run.name, self.summary.status
        metric = METRICS[BEST_METRIC]
        best = "" if self.summary.best is None else f"{metric.title} {metric.number(self.summary.best)}"
        match self.kind:
            case "best":
                epoch = self.summary.best_epoch.epoch if self.summary.best_epoch else int(status.epoch)
                return f"{name}: best {best} in epoch {epoch}"
            case "stalled":
                return f"{name} is stalled: no update for {STALLED_SECONDS:.0f} s"
            case "finished":
                return f"{name} finished" + (f": best {best}" if best else "")
        return f"{name} {status.state}" + (f": {status.reason}" if status.reason else "")

    def environment(self) -> dict[str, str]:
        """Return facts about the run as environment variables for the user's command.

        Texts are escaped; the name and the path of the run are not, so that the command finds its files.
        """
        summary, status = self.summary, self.summary.status
        loss = summary.latest.get("train/loss")
        facts = {
            "OCCASION": self.kind,
            "TEXT": self.text,
            "STATE": status.state,
            "REASON": status.reason or "",
            "STEP": str(status.step),
            "EPOCH": f"{status.epoch:g}",
            "EPOCHS": "" if summary.total_epochs is None else str(summary.total_epochs),
            "BEST": "" if summary.best is None else f"{summary.best:.6g}",
            "LOSS": "" if loss is None else f"{loss:.6g}",
            "PRESET": summary.config.preset if summary.config else "",
        }
        where = {"RUN": summary.run.name, "RUN_DIR": str(summary.run.path)}
        texts = {key: inert_line(value) for key, value in facts.items()}
        return {f"ALEXPLORE_{key}": value for key, value in (where | texts).items()}


class OccasionWatch:
    """Detects occasions by comparing each summary of one run with the one before."""

    def __init__(self, *, from_start: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        """`from_start` means that the run was just started, so that an end seen in the first summary is an occasion.

        `clock` returns seconds that pass only while the machine runs: the times in a status are of a clock that may be
        set, or be another machine's, and that goes on while a laptop sleeps.
        """
        self._clock = clock
        self._heartbeat, self._heard = 0.0, clock()
        self._live = from_start
        self._stalled = False
        self._best: float | None = None
        self._first, self._from_start = True, from_start

    def update(self, summary: Summary) -> list[Occasion]:
        """Return the occasions since the last call. Call it every few seconds."""
        status, kinds = summary.status, []
        if summary.best is not None and (self._best is None or summary.best > self._best):
            # That of the first summary is of an earlier attempt, unless the run has ended already.
            if not self._first or (self._from_start and not status.live):
                kinds.append("best")
            self._best = summary.best
        if status.updated != self._heartbeat or status.state not in BUSY:
            self._heartbeat, self._heard = status.updated, self._clock()
        stalled = self._clock() - self._heard > STALLED_SECONDS
        if stalled and not self._stalled:
            kinds.append("stalled")
        if self._live and not status.live:
            kinds.append(_ending(summary))
        self._live, self._stalled, self._first = status.live, stalled, False
        return [Occasion(kind, summary) for kind in kinds]


def _ending(summary: Summary) -> str:
    state = summary.status.state
    if state == "failed" and failure_cause(summary.run) == NOT_FINITE:
        return "nonfinite"
    return "failed" if state == DAMAGED else state


def failure_cause(run: RunDirectory) -> str | None:
    """Return the cause in the last error event of a run; None if it has none."""
    errors = [line.event for line in _last_events(run) if isinstance(line.event, ErrorEvent)]
    return errors[-1].cause if errors else None


def failed_untrained(run: RunDirectory) -> bool:
    """Return whether the last attempt of a run failed before it trained, for a reason that its message explains."""
    lines = _last_events(run)
    last = [line.event for line in lines if line.head.attempt == lines[-1].head.attempt]
    causes = [event.cause for event in last if isinstance(event, ErrorEvent)]
    return causes[-1:] == [EXPLAINED] and not any(isinstance(event, StartEvent) for event in last)


def _last_events(run: RunDirectory) -> list[EventLine]:
    return [read_event(record) for record in LineReader(run.events_file, tail=EVENTS_BYTES).read_all()]
