"""The list of runs: its filter, order and groups, and the best run of each data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alexplore.core.formatting import count_text
from alexplore.runs.filter import FilterError, RunFilter, parse_filter
from alexplore.runs.listing import ListedRun
from alexplore.runs.messages import STATE_GLYPHS
from alexplore.runs.metrics import BEST_METRIC, METRICS
from alexplore.tui.marked_runs import MarkedRuns
from alexplore.tui.run_details import recipe_text


@dataclass(frozen=True)
class RunLine:
    """A line for a run, with its marker and colour if it is marked, and whether it is the best of its data set."""

    run: ListedRun
    marker: str = " "
    series: str = ""
    best: bool = False


@dataclass(frozen=True)
class GroupLine:
    """The heading of the runs of one preset."""

    preset: str
    count: int
    best: float | None

    @property
    def text(self) -> str:
        """The heading, such as `fmnist-28 · 3 runs · best 89.5%`."""
        best = "" if self.best is None else f" · best {METRICS[BEST_METRIC].number(self.best)}"
        return f"{self.preset} · {count_text(self.count, 'run')}{best}"


@dataclass(frozen=True)
class Order:
    """An order of the list: its column, and its sort key; runs whose key is None come last in both directions."""

    name: str
    column: str
    key: Callable[[ListedRun], Any]
    descending: bool = True


def _latest(metric: str) -> Callable[[ListedRun], float | None]:
    return lambda run: run.summary.latest.get(metric)


def _recipe(run: ListedRun) -> str | None:
    return recipe_text(run.summary.config.recipe) if run.summary.config else None


STATES = tuple(STATE_GLYPHS)


def _state_place(run: ListedRun) -> int:
    state = run.summary.status.state
    return STATES.index(state) if state in STATES else len(STATES)  # a state of another version


ORDERS: Sequence[Order] = (
    Order("newest", "age", lambda _: 0),  # the order in which runs are listed
    Order("best", "best", lambda run: run.summary.best),
    Order("state", "state", _state_place, descending=False),
    Order("name", "run", lambda run: run.name.casefold(), descending=False),
    Order("network", "network", lambda run: run.network.casefold(), descending=False),
    Order("progress", "epoch", lambda run: run.summary.fraction),
    Order("last", "last", _latest("val/acc")),
    Order("loss", "loss", _latest("train/loss"), descending=False),
    Order("speed", "images/s", _latest("images_per_second")),
    Order("data", "data", lambda run: run.dataset.casefold() or None, descending=False),
    Order("recipe", "recipe", _recipe, descending=False),
    Order("note", "note", lambda run: run.note.casefold() or None, descending=False),
)
BY_COLUMN: Mapping[str, Order] = {order.column: order for order in ORDERS} | {"progress": ORDERS[5]}


class ListedRuns:
    """The state of the list: all runs, their order and the filter."""

    def __init__(self) -> None:
        self.runs: Sequence[ListedRun] = ()
        self.queued: Sequence[ListedRun] = ()  # runs in the queue, which are above the others in every order
        self.order, self.descending = ORDERS[0], ORDERS[0].descending
        self.grouped = False
        self.filter_text = ""
        self.error = ""  # why the filter can't be used
        self._filter = RunFilter()

    # What is chosen

    def filter_by(self, text: str) -> None:
        """Show only the runs that a filter matches; all runs while the filter is not valid."""
        self.filter_text = text.strip()
        try:
            self._filter, self.error = parse_filter(text), ""
        except FilterError as error:
            self._filter, self.error = RunFilter(), str(error)

    def next_order(self) -> None:
        """Sort by the next of `ORDERS`."""
        self._sort(ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)])

    def sort_by_column(self, column: str) -> None:
        """Sort by a column; reverse the order if the list is sorted by it already."""
        order = BY_COLUMN.get(column)
        if order is self.order:
            self.reverse()
        elif order is not None:
            self._sort(order)

    def reverse(self) -> None:
        """Reverse the order."""
        self.descending = not self.descending

    def _sort(self, order: Order) -> None:
        self.order, self.descending = order, order.descending

    # What is shown

    def shown(self) -> list[ListedRun]:
        """Return the runs that are shown, in their order."""
        runs = [run for run in self.runs if self._filter.matches(run)]
        known = [run for run in runs if self._key(run) is not None]
        if self.order is ORDERS[0]:
            known = known if self.descending else known[::-1]
        else:
            known.sort(key=self._key, reverse=self.descending)
        return known + [run for run in runs if self._key(run) is None]

    def shown_of_queue(self) -> list[ListedRun]:
        """Return the shown runs in the queue, in the order in which they will start."""
        return [run for run in self.queued if self._filter.matches(run)]

    def _key(self, run: ListedRun) -> Any:
        return self.order.key(run)

    def lines(self, marked: MarkedRuns) -> list[RunLine | GroupLine]:
        """Return the lines of the list."""
        best = best_of_their_data(self.runs)
        queued = [RunLine(run) for run in self.shown_of_queue()]
        lines = [
            RunLine(run, marked.marker(run.name), marked.series(run.name), run.name in best) for run in self.shown()
        ]
        if not self.grouped:
            return [*queued, *lines]
        groups: dict[str, list[RunLine]] = {}
        for line in lines:
            groups.setdefault(line.run.preset, []).append(line)
        found: list[RunLine | GroupLine] = [GroupLine("queue", len(queued), None), *queued] if queued else []
        for preset, group in groups.items():
            accuracies = [line.run.summary.best for line in group if line.run.summary.best is not None]
            found += [GroupLine(preset, len(group), max(accuracies, default=None)), *group]
        return found

    @property
    def title(self) -> str:
        """`Runs · 7`, or `Runs · 2 of 7`, and how many wait in the queue."""
        count, total = len(self.shown()), len(self.runs)
        waiting = sum(run.place > 0 for run in self.queued)
        text = f"Runs · {total}" if count == total else f"Runs · {count} of {total}"
        return f"{text} · {waiting} waiting" if waiting else text

    @property
    def order_text(self) -> str:
        """The order, such as `newest ▾`."""
        return f"{self.order.name} {'▾' if self.descending else '▴'}"

    @property
    def filter_note(self) -> str:
        """The text beside the filter: the number of matching runs and the key that leaves it, or its error."""
        if self.error:
            return self.error
        if not self.filter_text:
            return "words, state:failed, lr>=0.01, best>90%, !word · esc leaves"
        count = len(self.shown()) + len(self.shown_of_queue())
        return (
            f"{count} of {len(self.runs) + len(self.queued)} · esc clears" if count else "no run matches · esc clears"
        )


def best_of_their_data(runs: Sequence[ListedRun]) -> set[str]:
    """Return the names of the runs with the highest accuracy of all runs on their data set, if there are others."""
    by_data: dict[str, list[tuple[float, str]]] = {}
    for run in runs:
        if run.summary.best is not None:
            by_data.setdefault(run.dataset, []).append((run.summary.best, run.name))
    return {name for found in by_data.values() if len(found) > 1 for best, name in found if best == max(found)[0]}
