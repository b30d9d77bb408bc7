"""Evaluations as tables, for the command line and the app alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from rich.console import RenderableType
from rich.text import Text

from alexplore.core.inert import inert_line
from alexplore.render.fitted_table import Column, FittingTable
from alexplore.runs.evaluation import CONFIDENCE, ClassFigures, Evaluation, accuracy_interval
from alexplore.runs.metrics import METRICS

MOST_CLASSES = 25
"""The most classes in the table of classes; of more, those with the lowest F1 are shown."""

MATRIX_CLASSES = 15
"""The most classes for which a confusion matrix is shown."""


def evaluation_lines(evaluation: Evaluation) -> Iterator[RenderableType]:
    """Yield the figures of an evaluation, those of the classes, the confusion matrix and the worst mistakes."""
    weights = PurePath(evaluation.weights).name
    yield Text(f"{evaluation.dataset}, {evaluation.images:,} images, {evaluation.crops}, {weights} weights")
    yield Text(" · ".join(_figures(evaluation)))
    yield Text("")
    yield _class_table(evaluation)
    if len(evaluation.classes) <= MATRIX_CLASSES:
        yield Text("")
        yield _matrix(evaluation)
    if evaluation.mistakes:
        yield Text("")
        yield _mistakes(evaluation)


def _figures(evaluation: Evaluation) -> Iterator[str]:
    accuracy = METRICS["val/acc"]
    low, high = (accuracy.number(bound) for bound in accuracy_interval(evaluation.accuracy, evaluation.images))
    yield f"top-1 {evaluation.accuracy:.2%} ({CONFIDENCE:.0%}: {low} to {high})"
    if evaluation.accuracy_top5 is not None:
        yield f"top-5 {evaluation.accuracy_top5:.2%}"
    yield f"loss {evaluation.loss:.4f}"
    yield f"calibration error {evaluation.calibration_error:.2%}"


def _class_table(evaluation: Evaluation) -> FittingTable:
    """Return a row for each class, with the class that it is most often mistaken for, and a row of means."""
    shown, title = _shown_classes(evaluation.by_class)
    table = FittingTable(
        Column("class", left=True, least=8),
        Column("images"),
        Column("precision"),
        Column("recall"),
        Column("F1"),
        Column("most often taken for", rank=1, left=True, least=8),
        title=title,
    )
    for one in shown:
        shares = (one.precision, one.recall, one.f1) if one.images or one.predicted else (None, None, None)
        table.add(inert_line(one.name), f"{one.images:,}", *map(_share, shares), inert_line(one.mistaken_for or ""))
    means = evaluation.means
    table.add("mean", f"{evaluation.images:,}", *(_share(means[key]) for key in ("precision", "recall", "f1")))
    return table


def _shown_classes(classes: Sequence[ClassFigures]) -> tuple[Sequence[ClassFigures], str]:
    """Return the classes that are shown, and a title that says which they are."""
    if len(classes) <= MOST_CLASSES:
        return classes, ""
    found = [one for one in classes if one.images or one.predicted]  # the others have no figures
    if len(found) <= MOST_CLASSES:
        return found, f"the {len(found)} of {len(classes):,} classes with images or predictions"
    lowest = sorted(found, key=lambda one: one.f1)[:MOST_CLASSES]
    return lowest, f"the {MOST_CLASSES} of {len(found):,} classes with the lowest F1"


def _share(value: float | None) -> str:
    return METRICS["val/acc"].number(value)


def _matrix(evaluation: Evaluation) -> FittingTable:
    """Return the confusion matrix: a row for each true class, a column for each predicted class."""
    numbers = [str(number) for number in range(1, len(evaluation.classes) + 1)]
    table = FittingTable(
        Column("", left=True, least=8),
        Column(""),
        *map(Column, numbers),
        title="images of the class in the row, taken for the class in the column",
    )
    for number, name, row in zip(numbers, evaluation.classes, evaluation.confusion, strict=True):
        table.add(inert_line(name), number, *(f"{count:,}" if count else "·" for count in row))
    return table


def _mistakes(evaluation: Evaluation) -> FittingTable:
    table = FittingTable(
        Column("image", left=True, least=12),
        Column("label", left=True, least=8),
        Column("its probability"),
        Column("taken for", left=True, least=8),
        Column("probability"),
        title="the worst mistakes",
    )
    for one in evaluation.mistakes:
        table.add(
            inert_line(one.image),
            inert_line(one.label),
            f"{one.label_probability:.2%}",
            inert_line(one.predicted),
            f"{one.probability:.2%}",
        )
    return table
