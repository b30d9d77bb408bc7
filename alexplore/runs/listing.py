"""Runs as lists show them: the summary, how each differs from its preset, and the note on it.

Runs that wait in the queue are listed too: they have a config, but no directory yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.runs.notes import read_note
from alexplore.runs.preset_changes import PresetChanges
from alexplore.runs.queue import Item, Queue
from alexplore.runs.status import REFUSED, WAITING, Status
from alexplore.runs.summary import RunList, Summary

MOST_LAYERS = 2  # names of differing layers that are shown


@dataclass(frozen=True)
class ListedRun:
    """A run in a list; `changed` are the names of the layers that differ from its preset's.

    `item` is its item in the queue, if it waits there or was refused, and `place` its place in the queue, from 1.
    """

    summary: Summary
    changed: tuple[str, ...] = ()
    note: str = ""
    item: Item | None = None
    place: int = 0

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.summary.run.name

    @property
    def preset(self) -> str:
        """The name of its preset; a dash if config.json can't be read."""
        return self.summary.config.preset if self.summary.config else "–"

    @property
    def dataset(self) -> str:
        """The name of its data set; "" if config.json can't be read."""
        return self.summary.config.recipe.dataset if self.summary.config else ""

    @property
    def network(self) -> str:
        """The preset and the layers that differ from it: `fmnist-28 ≠ conv1`, `paper ≠ conv1, conv2, …`."""
        if not self.changed:
            return self.preset
        named = [*self.changed[:MOST_LAYERS], *(["…"] if len(self.changed) > MOST_LAYERS else [])]
        return f"{self.preset} ≠ {', '.join(named)}"


class Listing:
    """Lists runs repeatedly; each config is compared with its preset once."""

    def __init__(self) -> None:
        self._list = RunList()
        self._changed: dict[RunDirectory, tuple[RunConfig, tuple[str, ...]]] = {}

    def read(self, runs: Sequence[RunDirectory]) -> list[ListedRun]:
        """Return the current state of each run, in the given order."""
        kept = set(runs)
        self._changed = {run: known for run, known in self._changed.items() if run in kept}
        changes = PresetChanges()
        return [self._listed(summary, changes) for summary in self._list.summarise(runs)]

    def _listed(self, summary: Summary, changes: PresetChanges) -> ListedRun:
        run, config = summary.run, summary.config
        if config is None:
            return ListedRun(summary, note=read_note(run))
        known = self._changed.get(run)
        if known is None or known[0] is not config:
            known = self._changed[run] = (config, changes.layers(config))
        return ListedRun(summary, known[1], read_note(run))


class QueueListing:
    """Lists the runs in a queue repeatedly; its files are read only after one of them has changed."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._version: tuple[int, ...] | None = None
        self._listed: list[ListedRun] = []

    def read(self) -> list[ListedRun]:
        """Return the waiting runs, in the order in which they will start, then the refused ones."""
        version = self._queue.version()
        if version != self._version:
            self._version, changes = version, PresetChanges()
            waiting = [
                self._list(item, Status(WAITING), changes, place) for place, item in enumerate(self._queue.waiting(), 1)
            ]
            refused = [self._list(item, Status(REFUSED, reason=item.reason), changes) for item in self._queue.refused()]
            self._listed = [*waiting, *refused]
        return self._listed

    def _list(self, item: Item, status: Status, changes: PresetChanges, place: int = 0) -> ListedRun:
        summary = Summary(self._queue.run(item), status, item.config)
        return ListedRun(summary, changes.layers(item.config), item=item, place=place)
