"""The run that Train watches: its last snapshot, the curves to draw, and its log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from alexplore.core.errors import AlexploreError
from alexplore.core.formatting import clock_text
from alexplore.core.inert import inert
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.presets.recipe import Recipe
from alexplore.runs.curves import Curve
from alexplore.runs.diagnosis import Finding, diagnose_run
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.log import LogLine, RunLog
from alexplore.runs.protocol import DatasetEvent
from alexplore.runs.published_results import published_results
from alexplore.runs.watch import FEW_BLOCKS, Snapshot, Watch
from alexplore.tui.log_entry import LogEntry

POLL_SECONDS = 0.5  # between two polls of a run
LIVELY_SECONDS = 30.0  # after this time, polls are half as frequent
MOST_SECONDS = 8.0  # between two drawings of curves that change
CONSOLE_LINES = 200  # of the worker's last output
EVENT_LINE = re.compile(r"\d\d:\d\d:\d\d ")  # an event in the worker's output, which the log has too


@dataclass(frozen=True)
class DrawnCurves:
    """Curves to draw and the smoothed training curves, by the keys of their metrics, and the findings about the run."""

    curves: Mapping[str, Curve] = field(default_factory=dict)
    smooth: Mapping[str, Curve] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


class Poller:
    """Reads a run directory from a background thread, and decides when its curves are drawn again.

    Drawing takes time from the training, and the longer a run is watched, the less its curves change in a second.
    """

    def __init__(self, run: RunDirectory, now: float) -> None:
        """Open a run at the monotonic time `now`.

        Raises:
            RunError: its config can't be read.
        """
        self._watch = Watch(run)
        self._opened = now
        self._drawn_at = 0.0
        self._drawn_epochs = 0
        self._drawing = DrawnCurves()
        self._behind = False

    def poll(self, now: float) -> tuple[Snapshot, DrawnCurves]:
        """Return the run's state and the curves to draw, which are the same object until they are to be drawn again."""
        snapshot = self._watch.poll(FEW_BLOCKS)
        self._behind = not snapshot.whole
        curves = snapshot.curves
        due = now >= self._drawn_at + min(MOST_SECONDS, (now - self._opened) / 8)
        if curves is not self._drawing.curves and (
            due or len(snapshot.epochs) > self._drawn_epochs or not snapshot.status.live
        ):
            self._drawn_at, self._drawn_epochs = now, len(snapshot.epochs)
            smooth = {name: curve.smoothed() for name, curve in curves.items() if name.startswith("train/")}
            self._drawing = DrawnCurves(curves, smooth, diagnose_run(snapshot))
        return snapshot, self._drawing

    def pause(self, now: float) -> float:
        """Return the seconds to wait before the next poll; 0 until a long run is read completely."""
        if self._behind:
            return 0.0
        return POLL_SECONDS if now - self._opened < LIVELY_SECONDS else 2 * POLL_SECONDS


class WatchedRun:
    """The state of the watched run."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.snapshot: Snapshot | None = None
        self.drawing = DrawnCurves()
        self.unreadable = ""  # why the run can't be read
        self.scrubbed: int | None = None  # the epoch that Inside shows; None follows the newest
        self._log = RunLog()

    def is_of(self, run: RunDirectory) -> bool:
        """Return whether this is the state of a run, and not of one that had its name and was deleted."""
        try:
            return run == self.run and (self.snapshot is None or self.snapshot.config.created == run.config().created)
        except RunError:  # damaged since it was read
            return True

    def update(self, snapshot: Snapshot, drawing: DrawnCurves) -> bool:
        """Set a new state; return whether there are other curves to draw."""
        changed = drawing is not self.drawing
        self.snapshot, self.drawing, self.unreadable = snapshot, drawing, ""
        return changed

    def fail(self, reason: str) -> None:
        """Drop the state, because the run can't be read."""
        self.snapshot, self.drawing, self.unreadable = None, DrawnCurves(), reason

    def new_log_entries(self) -> list[LogEntry]:
        """Return the new log entries since the last call."""
        if self.snapshot is None:
            return []
        failed = self.snapshot.status.state != "stopped"
        return [
            self._failure_entry(line) if line.is_end and failed else LogEntry(inert(line.text), clock_text(line.time))
            for line in self._log.new_lines(self.snapshot)
        ]

    def _failure_entry(self, line: LogLine) -> LogEntry:
        """Return when the run failed; the screen shows the reason above the curves."""
        status = self.snapshot.status if self.snapshot else None
        reason = "" if status and status.reason and status.reason in line.text else f": {inert(line.text)}"
        return LogEntry(f"failed{reason}", clock_text(line.time), "error")

    def console_entries(self) -> list[LogEntry]:
        """Return the worker's last output, such as a traceback, without events, which the log has too."""
        output = [text for text in self.run.console_tail() if not EVENT_LINE.match(text)]
        return [LogEntry(inert(text)) for text in output[-CONSOLE_LINES:]]

    @cached_property
    def preset(self) -> Preset | None:
        """The run's preset; None if it does not exist any more."""
        try:
            return load_preset(self.snapshot.config.preset) if self.snapshot else None
        except AlexploreError:
            return None

    @property
    def preset_recipe(self) -> Recipe | None:
        """The recipe of the run's preset."""
        return self.preset.recipe if self.preset else None

    @property
    def published(self) -> Mapping[str, tuple[float, ...]]:
        """Published results by the keys of metrics, if the run has the preset's data set and classes."""
        dataset = self.snapshot.last(DatasetEvent) if self.snapshot else None
        if self.preset is None or dataset is None or dataset.synthetic:
            return {}
        if dataset.name != self.preset.recipe.dataset or dataset.classes != self.preset.network.classes:
            return {}
        return published_results(self.preset.published)

    @property
    def last_epoch(self) -> float:
        """The end of the axis of epochs: a little after the current epoch, and at most the last one."""
        if self.snapshot is None:
            return 1.0
        epoch = self.snapshot.status.epoch
        return max(1.0, epoch, min(self.snapshot.config.recipe.epochs, epoch * 1.25))
