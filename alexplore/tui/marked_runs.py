"""The marked runs, and the overlay of their curves."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from alexplore.runs.compare import ComparedRow, compare_runs, differ_only_in_seed
from alexplore.runs.curves import Curve
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.metrics import METRICS, Recorded
from alexplore.runs.watch import FEW_BLOCKS, Snapshot, Watch
from alexplore.tui.palette import SERIES
from alexplore.tui.plot import Line, Plot

MARKERS = "●▲■▼○△□▽"
METRIC_ORDER = ("val/acc", "val/loss", "train/loss", "train/acc", "lr", "images_per_second", "val/acc5")
"""The metrics of the overlay, in the order in which a key changes them."""

EPOCHS, MINUTES = "epochs", "min"


class MarkedRuns:
    """The names of the marked runs. A run keeps its number, and with it marker and colour, while it is marked.

    A background thread may read while a run is marked: changes replace the dictionary.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def toggle(self, name: str) -> None:
        """Mark a run, or unmark it."""
        if name in self._numbers:
            self._numbers = {other: number for other, number in self._numbers.items() if other != name}
        else:
            taken = set(self._numbers.values())
            free = next(number for number in range(len(taken) + 1) if number not in taken)
            self._numbers = {**self._numbers, name: free}

    def rename(self, before: str, after: str) -> None:
        """Keep the mark of a run that was renamed."""
        self._numbers = {after if name == before else name: number for name, number in self._numbers.items()}

    def keep(self, names: Sequence[str]) -> None:
        """Unmark the runs that are not among `names`: they were deleted."""
        self._numbers = {name: number for name, number in self._numbers.items() if name in names}

    def marker(self, name: str) -> str:
        """Return the character that marks a run, a blank if it is not marked."""
        return marker(self._numbers[name]) if name in self._numbers else " "

    def series(self, name: str) -> str:
        """Return the name of a run's colour, "" if it is not marked."""
        return series(self._numbers[name]) if name in self._numbers else ""

    def marked(self, runs: Sequence[RunDirectory]) -> list[tuple[RunDirectory, int]]:
        """Return the marked runs among `runs`, each with its number, in the order in which they were marked."""
        by_name = {run.name: run for run in runs}
        return [(by_name[name], number) for name, number in self._numbers.items() if name in by_name]


def marker(number: int) -> str:
    """Return the marker of the run with that number."""
    return MARKERS[number % len(MARKERS)]


def series(number: int) -> str:
    """Return the colour of the run with that number."""
    return SERIES[number % len(SERIES)]


@dataclass(frozen=True)
class MarkedRun:
    """A marked run; `snapshot` is None if it can't be read. `curve` is the curve of the chosen metric."""

    name: str
    number: int
    snapshot: Snapshot | None = None
    curve: Curve = Curve()

    @property
    def note(self) -> str:
        """Why the run has no curve, "" if it has one."""
        if self.snapshot is None:
            return "can't be read"
        return "" if self.curve.values else "no values" if self.snapshot.epochs else "no epoch yet"


@dataclass(frozen=True)
class Overlay:
    """The curves of one metric of the marked runs, and the differences between the runs that can be read."""

    runs: tuple[MarkedRun, ...] = ()
    metric: str = METRIC_ORDER[0]
    differences: Sequence[ComparedRow] = ()

    @property
    def snapshots(self) -> list[Snapshot]:
        """The runs that can be read."""
        return [run.snapshot for run in self.runs if run.snapshot is not None]

    def looks_like(self, other: Overlay) -> bool:
        """Return whether two overlays draw the same; curves are the same objects until something is added."""
        one, two = (
            [(run.name, run.number, run.snapshot and run.snapshot.status.state) for run in overlay.runs]
            for overlay in (self, other)
        )
        same = all(run.curve is its.curve for run, its in zip(self.runs, other.runs, strict=False))
        return self.metric == other.metric and one == two and same

    def next_metric(self) -> str:
        """Return the next metric that one of the runs has; the same metric if there is no other."""
        available = {key for snapshot in self.snapshots for key in snapshot.curves}
        start = METRIC_ORDER.index(self.metric) + 1
        following = [*METRIC_ORDER[start:], *METRIC_ORDER[:start]]
        return next((key for key in following if key in available), self.metric)

    def groups(self) -> list[list[MarkedRun]]:
        """Return the runs in groups that differ only in their seed."""
        groups: list[list[MarkedRun]] = []
        for run in self.runs:
            for group in groups:
                one, other = group[0].snapshot, run.snapshot
                if one and other and differ_only_in_seed(one.config, other.config):
                    group.append(run)
                    break
            else:
                groups.append([run])
        return groups

    @property
    def has_seeds(self) -> bool:
        """Whether some of the runs differ only in their seed."""
        return any(len(group) > 1 for group in self.groups())

    def plot(self, unit: str = EPOCHS, *, by_seed: bool = False) -> Plot:
        """Return the plot: a line for each run, or with `by_seed` the mean of runs that differ only in their seed."""
        metric = METRICS[self.metric]
        groups = self.groups() if by_seed else [[run] for run in self.runs]
        lines = [_mean_line(group, unit) if len(group) > 1 else _line(group[0], unit) for group in groups]
        end = 1.0
        if unit == EPOCHS:
            end = max([1.0, *(run.curve.epochs[-1] for run in self.runs if run.curve.epochs)])
        return Plot(lines, end, unit, percent="acc" in metric.key, number=metric.number)


def _line(run: MarkedRun, unit: str) -> Line:
    live = " (running)" if run.snapshot is not None and run.snapshot.status.state == "running" else ""
    return Line(
        run.name + live, curve_places(run.curve, unit), run.curve.values, series(run.number), marker(run.number),
        note=run.note,
    )  # fmt: skip


def curve_places(curve: Curve, unit: str) -> Sequence[float]:
    """Return where a curve's points are on the horizontal axis."""
    return curve.epochs if unit == EPOCHS else curve.minutes


def _mean_line(group: Sequence[MarkedRun], unit: str) -> Line:
    """Return the mean of some runs at the points of the longest, in a band from their lowest to their highest value."""
    curves = [(list(curve_places(run.curve, unit)), run.curve.values) for run in group if run.curve.values]
    places = max((x for x, _ in curves), key=len, default=[])
    means, band = [], []
    for place in places:
        values = [value for x, y in curves if (value := _value_at(x, y, place)) is not None]
        means.append(sum(values) / len(values))
        band.append((min(values), max(values)))
    first = group[0]
    name = f"{first.name} and {len(group) - 1} more seed{'s' * (len(group) > 2)}"
    note = "" if places else first.note
    return Line(name, places, means, series(first.number), marker(first.number), note=note, band=band)


def _value_at(x: Sequence[float], y: Sequence[float], place: float) -> float | None:
    """Return a curve's value between its first and its last point, by linear interpolation; None elsewhere."""
    index = bisect_left(x, place)
    if index == len(x) or place < x[0]:
        return None
    if x[index] == place or index == 0:
        return y[index]
    share = (place - x[index - 1]) / (x[index] - x[index - 1])
    return y[index - 1] * (1 - share) + y[index] * share


class OverlayReader:
    """Reads the curves of marked runs from a background thread; each time only what was added."""

    def __init__(self) -> None:
        self._watches: dict[RunDirectory, Watch] = {}
        self._smooth: dict[RunDirectory, tuple[Curve, Curve]] = {}  # a training curve, and the same smoothed

    def read(self, marked: Sequence[tuple[RunDirectory, int]], metric: str = METRIC_ORDER[0]) -> Overlay:
        """Return the current curves of a metric of the marked runs; metrics recorded at every step are smoothed."""
        runs = {run for run, _ in marked}
        self._watches = {run: watch for run, watch in self._watches.items() if run in runs}
        self._smooth = {run: curves for run, curves in self._smooth.items() if run in runs}
        read = tuple(self._read(run, number, metric) for run, number in marked)
        snapshots = Overlay(read).snapshots
        return Overlay(read, metric, compare_runs(snapshots) if len(snapshots) > 1 else ())

    def _read(self, run: RunDirectory, number: int, metric: str) -> MarkedRun:
        try:
            if run not in self._watches:
                self._watches[run] = Watch(run)
            snapshot = self._watches[run].poll(FEW_BLOCKS)
        except RunError:
            return MarkedRun(run.name, number)
        curve = snapshot.curves.get(metric, NO_CURVE)
        if metric.startswith("train/") and METRICS[metric].recorded is Recorded.PER_STEP:
            curve = self._smoothed(run, curve)
        return MarkedRun(run.name, number, replace(snapshot, events=()), curve)

    def _smoothed(self, run: RunDirectory, curve: Curve) -> Curve:
        raw, smooth = self._smooth.get(run, (None, NO_CURVE))
        if raw is not curve:
            smooth = curve.smoothed()
            self._smooth[run] = curve, smooth
        return smooth


NO_CURVE = Curve()
