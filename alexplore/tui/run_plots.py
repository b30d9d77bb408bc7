"""The plots of a watched run: loss, accuracy and learning rate over epochs or minutes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import log

from alexplore.runs.curves import Curve
from alexplore.runs.protocol import METRICS, DatasetEvent
from alexplore.tui.marked_runs import EPOCHS
from alexplore.tui.plot import Line, Plot
from alexplore.tui.watched_run import WatchedRun


def loss_plot(run: WatchedRun, unit: str, *, raw: bool) -> Plot:
    """Return the training loss, smoothed and with `raw` as it was measured, and the validation loss."""
    return _trained_and_validated(run, "loss", unit, raw=raw)


def accuracy_plot(run: WatchedRun, unit: str, *, raw: bool) -> Plot:
    """Return the accuracy on training and on validation images, with the best one marked."""
    return _trained_and_validated(run, "acc", unit, raw=raw)


def rate_plot(run: WatchedRun, unit: str) -> Plot:
    """Return the learning rate."""
    curve = run.drawing.curves.get("lr", Curve())
    line = Line("lr", _places(curve, unit), curve.values, "series-3")
    return Plot([line], _end(run, unit), unit, number=METRICS["lr"].number)


def _trained_and_validated(run: WatchedRun, metric: str, unit: str, *, raw: bool) -> Plot:
    curves, smooth = run.drawing.curves, run.drawing.smooth
    measured, trained, validated = (
        source.get(f"{part}/{metric}", Curve())
        for part, source in (("train", curves), ("train", smooth), ("val", curves))
    )
    is_share = metric == "acc"
    lines = [Line("", _places(measured, unit), measured.values, "series-1-faint")] if raw else []
    lines += [
        Line("train", _places(trained, unit), trained.values, "series-1"),
        Line("val", _places(validated, unit), validated.values, "series-2", "●", joined=False, best=is_share),
    ]
    plot = Plot(lines, _end(run, unit), unit, percent=is_share, number=METRICS[f"val/{metric}"].number)
    return replace(plot, lines=[*_chance(run, metric, plot), *_published(run, metric, plot), *lines])


def _chance(run: WatchedRun, metric: str, plot: Plot) -> Iterator[Line]:
    """Yield the level of a network that guesses, if it lies between the values that are drawn anyway."""
    dataset = run.snapshot.last(DatasetEvent) if run.snapshot else None
    values = [value for points in plot.drawn for value in points.y]
    if dataset is None or dataset.classes < 2 or not values:
        return
    level = 1 / dataset.classes if metric == "acc" else log(dataset.classes)
    if min(values) <= level <= max(values):
        yield Line("chance", plot.whole, (level, level), "tick")


def _published(run: WatchedRun, metric: str, plot: Plot) -> Iterator[Line]:
    """Yield the preset's published results: a level, or over epochs, where there is one for each, a curve."""
    values = run.published.get("val/acc" if metric == "acc" else "train/loss", ())
    if len(values) > 1 and plot.unit == EPOCHS:
        yield Line("published", range(1, len(values) + 1), values, "tick")
    elif values:
        yield Line("published", plot.whole, (values[-1], values[-1]), "tick")


def _places(curve: Curve, unit: str) -> Sequence[float]:
    return curve.epochs if unit == EPOCHS else curve.minutes


def _end(run: WatchedRun, unit: str) -> float:
    """Return where the axis ends at least; that of minutes ends with the curves."""
    return run.last_epoch if unit == EPOCHS else 0.0
