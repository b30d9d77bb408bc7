"""The state of the screen Inside: its view, its epoch, and the data read. No Textual."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from alexplore.core.inert import inert_line
from alexplore.network.analysis import analyse
from alexplore.network.row import Row
from alexplore.runs.curves import Curve
from alexplore.runs.directory import RunDirectory
from alexplore.runs.inside import Confusion, FeatureMaps, InsideEpoch, InsideError, load_epoch, recorded_epochs
from alexplore.runs.layer_view import LayerView, layer_views
from alexplore.runs.metrics import LAYER_METRICS, METRICS, layer_key
from alexplore.runs.watch import FEW_BLOCKS, Snapshot, Watch
from alexplore.tui.unit_lines import Unit

VIEWS = ("layers", "kernels", "maps", "confusion", "mistakes")

MOST_PAST = 60
"""The most epochs whose distributions are kept for a layer's history; of more, an evenly spread choice is kept."""

READ_AT_ONCE = 20
"""Epochs that are read between two drawings, so that a long run is shown soon."""

MOST_PAIRS = 200
"""Confused pairs that are listed."""


@dataclass(frozen=True)
class Reading:
    """The content of a run's folder.

    `epochs` are the recorded epochs, `past` has the layers after some of them, and `problems` the reasons why files
    can't be read, by epoch.
    """

    snapshot: Snapshot
    epochs: tuple[int, ...] = ()
    past: Mapping[int, Mapping[str, LayerView]] = field(default_factory=dict)
    problems: Mapping[int, str] = field(default_factory=dict)


def first_reading(snapshot: Snapshot) -> Reading:
    """Return what is known of a run before its recorded epochs are read: which there are, and its curves."""
    return Reading(snapshot, recorded_epochs(snapshot.run))


class InsideReader:
    """Reads a run's folder repeatedly, from a background thread; each file is read once."""

    def __init__(self, run: RunDirectory) -> None:
        """Open a run.

        Raises:
            RunError: its config can't be read.
        """
        self._run = run
        self._watch = Watch(run)
        self._past: dict[int, Mapping[str, LayerView]] = {}
        self._problems: dict[int, str] = {}
        self._reading: Reading | None = None
        self.behind = True

    def read(self) -> Reading:
        """Return the current content of the folder; the same object as the last time if nothing has changed."""
        snapshot = self._watch.poll(FEW_BLOCKS)
        epochs = recorded_epochs(self._run)
        chosen = spread(epochs, MOST_PAST)
        unread = [one for one in chosen if one not in self._past and one not in self._problems]
        for epoch in unread[:READ_AT_ONCE]:
            try:
                views = layer_views(load_epoch(self._run, epoch))
            except InsideError as error:
                self._problems[epoch] = str(error)
            else:
                self._past[epoch] = {view.layer: view for view in views}
        kept = set(chosen)
        self._past = {epoch: views for epoch, views in self._past.items() if epoch in kept}
        self.behind = not snapshot.whole or len(unread) > READ_AT_ONCE
        reading = Reading(snapshot, epochs, dict(sorted(self._past.items())), dict(self._problems))
        last = self._reading
        if last is None or unread or _differs(last.snapshot, snapshot) or epochs != last.epochs:
            self._reading = reading
        assert self._reading is not None
        return self._reading


def _differs(before: Snapshot, now: Snapshot) -> bool:
    return before.curves is not now.curves or before.status.state != now.status.state


def spread(epochs: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of some epochs, evenly spread, with the first and the last."""
    if len(epochs) <= most:
        return list(epochs)
    return [epochs[round(index * (len(epochs) - 1) / (most - 1))] for index in range(most)]


@dataclass(frozen=True)
class Pair:
    """A confusion: `count` of the `total` images of the class `truth` are predicted as `guess`."""

    truth: int
    guess: int
    count: int
    total: int


class InsideState:
    """The shown view and epoch, and the data of the epoch."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.view = VIEWS[0]
        self.reading: Reading | None = None
        self.wanted: int | None = None  # the chosen epoch; None follows the newest
        self.shown: InsideEpoch | None = None
        self.problem = ""  # why the epoch can't be shown, or the run can't be read
        self._pairs: tuple[InsideEpoch | None, list[Pair]] = (None, [])
        self._failed: int | None = None  # the epoch that can't be shown
        self.unit: Unit | None = None  # the selected unit of the maps
        self._rows: dict[str, Row] = {}  # the analysis of the layers, by their names

    # The scrubber

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs that have a file."""
        return self.reading.epochs if self.reading else ()

    @property
    def epoch(self) -> int | None:
        """The epoch to show; None before the first was recorded."""
        return self.wanted if self.wanted is not None else self.epochs[-1] if self.epochs else None

    @property
    def follows(self) -> bool:
        """Whether the newest epoch is shown, also when there is a newer one."""
        return self.wanted is None

    def scrub(self, steps: int) -> bool:
        """Move by `steps` recorded epochs; at the newest, follow it. Return whether another epoch is to be shown."""
        before = self.epoch
        if before is None:
            return False
        place = bisect_right(self.epochs, before) - 1 + steps
        self.wanted = None if place >= len(self.epochs) - 1 else self.epochs[max(0, place)]
        return self.epoch != before

    def take(self, reading: Reading) -> bool:
        """Use new content of the folder; return whether the epoch to show must be loaded."""
        self.reading = reading
        if self.wanted is not None and self.wanted not in reading.epochs:  # the folder was thinned, or restarted
            self.wanted = None
        shown = self.shown.epoch if self.shown else None
        return self.epoch is not None and self.epoch not in (shown, self._failed)

    def show(self, epoch: int, shown: InsideEpoch | None, problem: str = "") -> None:
        """Show a loaded epoch, or why it can't be shown, unless another epoch was chosen meanwhile."""
        if epoch == self.epoch:
            self.shown, self.problem, self._failed = shown, problem, epoch if problem else None

    def scrub_text(self, width: int) -> str:
        """Return the scrubber: a line with a mark for the epoch, and the validation metrics after it."""
        reading, epoch = self.reading, self.epoch
        if reading is None:
            return f"reading {self.run.name} …"
        if epoch is None:
            return absence(reading.snapshot)
        words = f"epoch {epoch}" + (" · newest" if self.follows else "")
        for key in ("val/loss", "val/acc"):
            value = value_at(reading.snapshot.curves.get(key, Curve()), epoch)
            if value is not None:
                words += f" · {key} {METRICS[key].number(value)}"
        room = width - len(words) - 2
        if room < 8:
            return words[:width]
        first, last = self.epochs[0], self.epochs[-1]
        at = round((room - 1) * (epoch - first) / max(1, last - first)) if last > first else room - 1
        return f"{'━' * at}●{'─' * (room - 1 - at)}  {words}"

    # The views

    @property
    def order(self) -> tuple[str, ...]:
        """The names of the network's layers."""
        return tuple(layer.name for layer in self.reading.snapshot.config.network.layers) if self.reading else ()

    def layers(self) -> tuple[LayerView, ...]:
        """Return the layers after the epoch; at the newest epoch, with the newest figures."""
        reading = self.reading
        if reading is None:
            return ()
        shown = self.shown or InsideEpoch(0, reading.snapshot.status.step)
        if self.follows:
            shown = replace(shown, figures={**shown.figures, **_newest_figures(reading.snapshot.curves)})
        return layer_views(shown, self.order)

    def figures(self, family: str, layer: str) -> list[float]:
        """Return the values of a layer's figure up to the shown epoch."""
        if self.reading is None:
            return []
        curve = self.reading.snapshot.curves.get(layer_key(family, layer), Curve())
        if not curve.values:  # metrics.jsonl was lost
            past = [
                getattr(views[layer], family)
                for epoch, views in self.reading.past.items()
                if layer in views and (self.follows or epoch <= (self.epoch or 0))
            ]
            return [value for value in past if value is not None]
        end = len(curve.values) if self.follows else bisect_right(curve.epochs, self.epoch or 0)
        return list(curve.values[:end])

    def past(self, layer: str) -> list[tuple[int, LayerView]]:
        """Return a layer after each epoch that was read, up to the shown epoch."""
        if self.reading is None:
            return []
        return [
            (epoch, views[layer])
            for epoch, views in self.reading.past.items()
            if layer in views and (self.follows or epoch <= (self.epoch or 0))
        ]

    def maps(self) -> tuple[FeatureMaps, ...]:
        """Return the feature maps of all fixed images, layer by layer."""
        if self.shown is None:
            return ()
        layers = dict.fromkeys(maps.layer for maps in self.shown.maps)
        return tuple(maps for layer in layers for maps in self.shown.maps_of(layer))

    def row(self, layer: str) -> Row | None:
        """Return the analysis of a layer; None before the run was read."""
        if not self._rows and self.reading is not None:
            self._rows = {row.layer.name: row for row in analyse(self.reading.snapshot.config.network).rows}
        return self._rows.get(layer)

    @property
    def input_size(self) -> tuple[int, int]:
        """The height and width of the network's input."""
        _, height, width = self.reading.snapshot.config.network.input if self.reading else (0, 0, 0)
        return height, width

    def choose_unit(self, selected: int) -> bool:
        """Select the unit in the middle of the maps of a line of the list; return whether there are maps."""
        shown = self.maps()
        if self.view != "maps" or selected >= len(shown):
            return False
        self.unit = Unit.middle(shown[selected])
        return True

    def move_unit(self, selected: int, by: tuple[int, int, int]) -> None:
        """Move the selected unit by so many maps, rows and columns; `selected` is the line of the list."""
        shown = self.maps()
        if self.unit is not None and selected < len(shown):
            self.unit = self.unit.moved(shown[selected], by)

    def mapped_layer(self, selected: int) -> str | None:
        """Return the layer of the selected line if it has feature maps; None means the last convolution."""
        if self.view == "maps":
            shown = self.maps()
            return shown[selected].layer if selected < len(shown) else None
        network = self.reading.snapshot.config.network if self.reading else None
        if self.view != "layers" or network is None or selected >= len(network.layers):
            return None
        layer = network.layers[selected]
        return layer.name if layer.type == "conv2d" else None

    def pairs(self) -> list[Pair]:
        """Return the confused pairs, the most frequent first."""
        if self._pairs[0] is not self.shown:  # a matrix may have a million entries
            confusion = self.confusion
            totals = dict(zip(confusion.classes, confusion.images, strict=True)) if confusion else {}
            worst = confusion.worst(MOST_PAIRS) if confusion else []
            self._pairs = self.shown, [Pair(truth, guess, count, totals[truth]) for truth, guess, count in worst]
        return self._pairs[1]

    @property
    def confusion(self) -> Confusion | None:
        """The confusion matrix."""
        return self.shown.confusion if self.shown else None

    def class_name(self, number: int) -> str:
        """Return the name of a class."""
        return inert_line(self.shown.class_name(number)) if self.shown else str(number)


def absence(snapshot: Snapshot) -> str:
    """Return why nothing is recorded inside a run, and how to get it."""
    if not snapshot.config.recipe.inside:
        return "nothing is recorded of this run: its recipe has inside = false; train with inside = true"
    if snapshot.status.live:
        return "the first epoch is recorded when it ends"
    return "no epoch was recorded of this run; runs with inside = true in their recipe record one when it ends"


def value_at(curve: Curve, epoch: float) -> float | None:
    """Return the last value of a curve up to an epoch; None if there is none."""
    place = bisect_right(curve.epochs, epoch + 1e-9)
    return curve.values[place - 1] if place else None


def _newest_figures(curves: Mapping[str, Curve]) -> dict[str, float]:
    """Return the last value of each figure of each layer."""
    figures = {key: curve for key, curve in curves.items() if key.partition("/")[0] in LAYER_METRICS}
    return {key: curve.values[-1] for key, curve in figures.items() if curve.values}
