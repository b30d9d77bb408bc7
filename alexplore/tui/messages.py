"""Messages that screens post: requests to the app, and data that background threads have read.

A screen knows neither the app nor another screen. To request something of the app, it posts a message, which bubbles up
to the app.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.message import Message

if TYPE_CHECKING:
    from alexplore.presets.preset import Preset
    from alexplore.runs.config import RunConfig
    from alexplore.runs.directory import RunDirectory
    from alexplore.runs.listing import ListedRun
    from alexplore.runs.summary import Summary
    from alexplore.runs.watch import Snapshot
    from alexplore.tui.marked_runs import Overlay
    from alexplore.tui.preset_catalog import PresetEntry
    from alexplore.tui.run_details import RunDetails
    from alexplore.tui.state import Mode
    from alexplore.tui.watched_run import DrawnCurves, WatchedRun


@dataclass
class Outcome(Message):
    """Show a result or an error in the status line; `severity` is information, warning or error."""

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
class FormRequested(Message):
    """Open the settings of a run in the form of Train, after asking about unsaved edits.

    `reason` is why the run failed.
    """

    config: RunConfig
    title: str
    reason: str = ""


@dataclass
class TourActionRequested(Message):
    """Handle a key of the tour: perform the step, show another step, or end the tour."""

    action: Literal["do", "try", "next", "back", "leave"]


@dataclass
class LessonLeft(Message):
    """Close the lesson."""


@dataclass
class LessonPointed(Message):
    """Put the cursor on the layer that a step of a lesson is about."""

    layer: str


@dataclass
class PresetsRead(Message):
    """Every preset, with the details in its file."""

    entries: Sequence[PresetEntry]


@dataclass
class RunPolled(Message):
    """The state of the watched run; a newer message replaces one that is still queued."""

    snapshot: Snapshot
    drawing: DrawnCurves

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
    """The summary of every run, the newest first."""

    summaries: Sequence[Summary]

    def can_replace(self, message: Message) -> bool:
        """Return whether `message` is an older state of the runs."""
        return isinstance(message, RunsSummarised)


@dataclass
class DetailsRead(Message):
    """The details of the selected run."""

    details: RunDetails

    def can_replace(self, message: Message) -> bool:
        """Return whether `message` is of a run that was selected before."""
        return isinstance(message, DetailsRead)


@dataclass
class RunsListed(Message):
    """Every run, the newest first; the runs in the queue; and the curves of the marked runs."""

    runs: Sequence[ListedRun]
    queued: Sequence[ListedRun]
    overlay: Overlay

    def can_replace(self, message: Message) -> bool:
        """Return whether `message` is an older list."""
        return isinstance(message, RunsListed)


@dataclass
class ChoiceRequested(Message):
    """Let the user choose a name from a list called `title`; `answer` is called with it."""

    title: str
    names: Sequence[str]
    selected: str
    answer: Callable[[str], None]
