"""The state that screens share: the edited network, the planned run, the watched run and the marked runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from alexplore.presets.preset import Preset
from alexplore.tui.edit_session import EditSession

if TYPE_CHECKING:
    from alexplore.runs.directory import RunDirectory
    from alexplore.tui.lesson_progress import LessonProgress
    from alexplore.tui.marked_runs import MarkedRuns
    from alexplore.tui.overview import RunMonitor
    from alexplore.tui.planned_run import PlannedRun
    from alexplore.tui.tour import Tour
    from alexplore.tui.watched_run import WatchedRun

Mode = Literal["explore", "train", "runs"]
MODES: Mapping[Mode, str] = {"explore": "Explore", "train": "Train", "runs": "Runs"}
"""The titles of the modes, in the order of their keys 1, 2, 3."""


class AppState:
    """The state of the app, passed to each screen. Modules of Train and Runs are imported when they open."""

    def __init__(self, preset: Preset, runs_folder: Path) -> None:
        self.runs_folder = runs_folder
        self.session = EditSession(preset)
        self.watched: WatchedRun | None = None
        self.log_loss = False  # whether the axis of the loss is logarithmic
        self.raw_curves = True  # whether the unsmoothed training curves are drawn too
        self.tour: Tour | None = None
        self.lessons: dict[str, LessonProgress] = {}  # by the names of the lessons
        self._planning = False
        self._planned_from: Mode = "explore"

    @cached_property
    def planned(self) -> PlannedRun:
        """The run that the form of Train describes."""
        from alexplore.tui.planned_run import PlannedRun

        return PlannedRun(self.session, self.runs_folder)

    @cached_property
    def marked(self) -> MarkedRuns:
        """The runs that are marked in Runs."""
        from alexplore.tui.marked_runs import MarkedRuns

        return MarkedRuns()

    @cached_property
    def run_monitor(self) -> RunMonitor:
        """Follows the summaries of all runs."""
        from alexplore.tui.overview import RunMonitor

        return RunMonitor()

    @property
    def shows_form(self) -> bool:
        """Whether Train shows the form of the planned run instead of the watched run."""
        return self._planning or self.watched is None

    def open_form(self, planned_from: Mode) -> None:
        """Show the form in Train; closing it returns to the mode `planned_from`."""
        self._planning, self._planned_from = True, planned_from

    def close_form(self) -> Mode:
        """Show the watched run in Train again, if there is one; return the mode to show now."""
        back = self._planned_from if self.watched or self._planned_from != "train" else "explore"
        self._planning, self._planned_from = False, "explore"
        return back

    def follow_rename(self, run: RunDirectory) -> None:
        """Watch the watched run under its new name; the form stays if it is shown."""
        from alexplore.tui.watched_run import WatchedRun

        self.watched = WatchedRun(run)
        self.run_monitor.mark_seen(run.name)

    def watch(self, run: RunDirectory) -> None:
        """Watch a run in Train instead of the form or another run."""
        from alexplore.tui.watched_run import WatchedRun

        if self.watched is None or not self.watched.is_of(run):
            self.watched = WatchedRun(run)
        self.run_monitor.mark_seen(run.name)
        self._planning = False
