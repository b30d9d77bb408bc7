"""Evaluations as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from alexplore.render.evaluations import evaluation_lines
from alexplore.runs.evaluation import Evaluation
from tests.runs.test_evaluation import EVALUATION


def lines(evaluation: Evaluation, width: int = 100) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        for line in evaluation_lines(evaluation):
            console.print(line)
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_all_parts_are_there() -> None:
    shown = lines(EVALUATION)
    assert shown[0] == "imagefolder, 20 images, whole images, best weights"
    assert shown[1] == "top-1 70.00% (95%: 48.1% to 85.5%) · loss 0.5000 · calibration error 10.00%"
    assert "cat 10 75.0% 60.0% 66.7% dog" in shown
    assert "emu 0 – – –" in shown  # neither an image nor a prediction
    assert "cat 1 6 3 1 ·" in shown
    assert "cat/1.png cat 5.00% dog 90.00%" in shown


@pytest.mark.parametrize("width", [40, 60, 80])
def test_it_fits_narrow_terminals(width: int) -> None:
    console = Console(width=width)
    with console.capture() as capture:
        for line in evaluation_lines(EVALUATION):
            console.print(line)
    assert all(len(line) <= width for line in capture.get().splitlines())


def test_of_many_classes_the_worst_are_shown() -> None:
    count = 200
    rows = tuple(tuple(10 - (i % 7) if i == j else (i % 7) * (j == 0) for j in range(count)) for i in range(count))
    many = replace(
        EVALUATION, classes=tuple(f"k{number}" for number in range(count)), confusion=rows, accuracy_top5=0.9
    )
    shown = lines(many)
    assert "the 25 of 200 classes with the lowest F1" in shown
    assert len([line for line in shown if line.startswith("k")]) == 25
    assert "top-5 90.00%" in shown[1]


def test_of_many_classes_those_without_images_are_not_shown() -> None:
    """As for a folder of test images with some of the classes: they would have the lowest F1."""
    count, tested = 60, 10
    rows = tuple(tuple(3 * (i == j and i < tested) for j in range(count)) for i in range(count))
    few = replace(EVALUATION, classes=tuple(f"k{number}" for number in range(count)), confusion=rows)
    shown = lines(few)
    assert "the 10 of 60 classes with images or predictions" in shown
    assert [line.split()[0] for line in shown if line.startswith("k")] == [f"k{number}" for number in range(tested)]
