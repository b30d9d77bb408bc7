"""The runs that are marked in Runs, and the curves of them that are drawn over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alexplore.runs.curves import Curve
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.watch import Watch

METRIC = "val/acc"
MARKERS = "●▲■◆○△□◇"


class MarkedRuns:
    """The names of the marked runs. A run keeps its number, and with it marker and colour, while it is marked.

    A background thread may read while a run is marked: changes replace the dictionary.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def toggle(self, name: str) -> None:
        """Mark a run, or unmark it."""
        if name in self._numbers:
            self._numbers = {other: number for other, number in self._numbers.items() if other != name}
        else:
            taken = set(self._numbers.values())
            free = next(number for number in range(len(taken) + 1) if number not in taken)
            self._numbers = {**self._numbers, name: free}

    def keep(self, names: Sequence[str]) -> None:
        """Unmark the runs that are not among `names`: they were deleted."""
        self._numbers = {name: number for name, number in self._numbers.items() if name in names}

    def marker(self, name: str) -> str:
        """Return the character that marks a run, a blank if it is not marked."""
        return marker(self._numbers[name]) if name in self._numbers else " "

    def marked(self, runs: Sequence[RunDirectory]) -> list[tuple[RunDirectory, int]]:
        """Return those of `runs` that are marked, each with its number, in the order they were marked in."""
        by_name = {run.name: run for run in runs}
        return [(by_name[name], number) for name, number in self._numbers.items() if name in by_name]


def marker(number: int) -> str:
    """Return the marker of the run with that number."""
    return MARKERS[number % len(MARKERS)]


@dataclass(frozen=True)
class MarkedCurve:
    """The curve of a marked run; `note` says why it has no points."""

    name: str
    number: int
    curve: Curve = Curve()
    note: str = ""

    @property
    def label(self) -> str:
        """The run's name, and the note if there is one."""
        return f"{self.name} · {self.note}" if self.note else self.name


@dataclass(frozen=True)
class Overlay:
    """The curves of the marked runs."""

    curves: tuple[MarkedCurve, ...] = ()

    @property
    def epochs(self) -> float:
        """The last epoch that any of the curves has, at least 1."""
        return max([1.0, *(marked.curve.epochs[-1] for marked in self.curves if marked.curve.epochs)])


class OverlayReader:
    """Reads the curves of marked runs from a background thread, each time only what was added since."""

    def __init__(self) -> None:
        self._watches: dict[RunDirectory, Watch] = {}

    def read(self, marked: Sequence[tuple[RunDirectory, int]]) -> Overlay:
        """Return the curves of the marked runs as they are now."""
        runs = {run for run, _ in marked}
        self._watches = {run: watch for run, watch in self._watches.items() if run in runs}
        return Overlay(tuple(self._read(run, number) for run, number in marked))

    def _read(self, run: RunDirectory, number: int) -> MarkedCurve:
        try:
            if run not in self._watches:
                self._watches[run] = Watch(run)
            curve = self._watches[run].poll().curves.get(METRIC)
        except RunError:
            return MarkedCurve(run.name, number, note="can't be read")
        return MarkedCurve(run.name, number, curve) if curve else MarkedCurve(run.name, number, note="no epoch yet")
