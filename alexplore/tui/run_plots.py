"""The plots of a watched run: loss, accuracy and learning rate over epochs or minutes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import log

from alexplore.runs.curves import Curve
from alexplore.runs.metrics import METRICS
from alexplore.runs.protocol import DatasetEvent
from alexplore.tui.marked_runs import EPOCHS, curve_places
from alexplore.tui.plot import Line, Plot
from alexplore.tui.watched_run import WatchedRun


def loss_plot(run: WatchedRun, unit: str, *, raw: bool) -> Plot:
    """Return the plot of the smoothed training loss, with `raw` also the measured one, and the validation loss."""
    return _trained_and_validated(run, "loss", unit, raw=raw)


def accuracy_plot(run: WatchedRun, unit: str, *, raw: bool) -> Plot:
    """Return the plot of the training and validation accuracy, with the best epoch marked."""
    return _trained_and_validated(run, "acc", unit, raw=raw)


def rate_plot(run: WatchedRun, unit: str) -> Plot:
    """Return the plot of the learning rate."""
    curve = run.drawing.curves.get("lr", Curve())
    line = Line("lr", curve_places(curve, unit), curve.values, "series-3")
    return Plot([line], _end(run, unit), unit, number=METRICS["lr"].number, now=_now(run, unit))


def _trained_and_validated(run: WatchedRun, metric: str, unit: str, *, raw: bool) -> Plot:
    curves, smooth = run.drawing.curves, run.drawing.smooth
    measured, trained, validated = (
        source.get(f"{part}/{metric}", Curve())
        for part, source in (("train", curves), ("train", smooth), ("val", curves))
    )
    is_share = metric == "acc"
    lines = [Line("", curve_places(measured, unit), measured.values, "series-1-faint")] if raw else []
    lines += [
        Line("train", curve_places(trained, unit), trained.values, "series-1"),
        Line("val", curve_places(validated, unit), validated.values, "series-2", "●", joined=False, best=is_share),
    ]
    number = METRICS[f"val/{metric}"].number
    plot = Plot(lines, _end(run, unit), unit, percent=is_share, number=number, now=_now(run, unit))
    return replace(plot, lines=[*_chance(run, metric, plot), *_published(run, metric, plot), *lines])


def _chance(run: WatchedRun, metric: str, plot: Plot) -> Iterator[Line]:
    """Yield the level of a network that guesses, if it is within the range of the other values."""
    dataset = run.snapshot.last(DatasetEvent) if run.snapshot else None
    values = [value for points in plot.drawn for value in points.y]
    if dataset is None or dataset.classes < 2 or not values:
        return
    level = 1 / dataset.classes if metric == "acc" else log(dataset.classes)
    if min(values) <= level <= max(values):
        yield Line("chance", plot.whole, (level, level), "tick")


def _published(run: WatchedRun, metric: str, plot: Plot) -> Iterator[Line]:
    """Yield the preset's published result as a level, or as a curve if there is a value for each epoch."""
    values = run.published.get("val/acc" if metric == "acc" else "train/loss", ())
    if len(values) > 1 and plot.unit == EPOCHS:
        yield Line("published", range(1, len(values) + 1), values, "tick")
    elif values:
        yield Line("published", plot.whole, (values[-1], values[-1]), "tick")


def _end(run: WatchedRun, unit: str) -> float:
    """Return the smallest end of the axis; an axis of minutes ends with the curves."""
    return run.last_epoch if unit == EPOCHS else 0.0


def _now(run: WatchedRun, unit: str) -> float | None:
    """Return the epoch of a live training; None over minutes, whose axis ends there, and after the training."""
    status = run.snapshot.status if run.snapshot else None
    return status.epoch if status and status.live and unit == EPOCHS else None
