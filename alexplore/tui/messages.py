"""Messages that screens post: requests to the app, and what background threads have read from run directories.

A screen knows neither the app nor another screen. What only the app can do it asks for with a message, which bubbles up
to the app.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.message import Message

if TYPE_CHECKING:
    from alexplore.presets.preset import Preset
    from alexplore.runs.directory import RunDirectory
    from alexplore.runs.listing import ListedRun
    from alexplore.runs.summary import Summary
    from alexplore.runs.watch import Snapshot
    from alexplore.tui.marked_runs import Overlay
    from alexplore.tui.preset_catalog import PresetEntry
    from alexplore.tui.run_details import RunDetails
    from alexplore.tui.state import Mode
    from alexplore.tui.watched_run import Drawing, WatchedRun


@dataclass
class Outcome(Message):
    """Show in the status line what was done, or why it was not; `severity` is information, warning or error."""

    text: str
    severity: str = "information"


@dataclass
class ModeRequested(Message):
    """Show Explore, Train or Runs."""

    mode: Mode


@dataclass
class PlanRequested(Message):
    """Show the form that plans a training of the network in Explore."""


@dataclass
class WatchRequested(Message):
    """Watch a run in Train."""

    run: RunDirectory


@dataclass
class PredictRequested(Message):
    """Classify images with a run's network."""

    run: RunDirectory


@dataclass
class InsideRequested(Message):
    """Show what the network of a watched run looks like inside."""

    watched: WatchedRun


@dataclass
class EvaluateRequested(Message):
    """Measure a run's accuracy on its validation images."""

    run: RunDirectory


@dataclass
class OpenRequested(Message):
    """Open a preset in Explore, after asking about unsaved edits."""

    preset: Preset


@dataclass
class TourWished(Message):
    """Handle a key of the tour: perform the step, show another step, or end the tour."""

    wish: Literal["do", "next", "back", "leave"]


@dataclass
class LessonPointed(Message):
    """Put the cursor on the layer that a step of a lesson is about."""

    layer: str


@dataclass
class PresetsRead(Message):
    """Every preset, with what takes reading its whole file."""

    entries: Sequence[PresetEntry]


@dataclass
class RunPolled(Message):
    """The state of the watched run; a newer message replaces one that is still queued."""

    snapshot: Snapshot
    drawing: Drawing

    def can_replace(self, message: Message) -> bool:
        """Return whether `message` is an older state of a run."""
        return isinstance(message, RunPolled)


@dataclass
class RunUnreadable(Message):
    """The watched run's directory could not be read."""

    run: RunDirectory
    reason: str


@dataclass
class OverviewRequested(Message):
    """A screen is shown: fill in its line of modes."""


@dataclass
class RunsSummarised(Message):
    """Every run in one line each, the newest first."""

    summaries: Sequence[Summary]

    def can_replace(self, message: Message) -> bool:
        """Return whether `message` is an older state of the runs."""
        return isinstance(message, RunsSummarised)


@dataclass
class RunLookedAt(Message):
    """The details of the selected run."""

    details: RunDetails

    def can_replace(self, message: Message) -> bool:
        """Return whether `message` is of a run that was selected before."""
        return isinstance(message, RunLookedAt)


@dataclass
class RunsListed(Message):
    """Every run, the newest first; what waits in the queue; and the curves of the marked runs."""

    runs: Sequence[ListedRun]
    queued: Sequence[ListedRun]
    overlay: Overlay

    def can_replace(self, message: Message) -> bool:
        """Return whether `message` is an older list."""
        return isinstance(message, RunsListed)


@dataclass
class ChoiceRequested(Message):
    """Ask the person to choose one of some names from a list called `title`; `answer` takes it, if one is chosen."""

    title: str
    names: Sequence[str]
    selected: str
    answer: Callable[[str], None]
