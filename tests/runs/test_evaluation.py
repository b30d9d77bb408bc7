"""Figures that follow from a confusion matrix."""

from __future__ import annotations

import csv
import io
import json

import pytest

from alexplore.runs.evaluation import (
    Evaluation,
    EvaluationAnswer,
    ImagePrediction,
    Mistake,
    accuracy_interval,
    predictions_csv,
)

EVALUATION = Evaluation(
    dataset="imagefolder",
    crops="whole images",
    weights="/runs/one/checkpoints/best",
    classes=("cat", "dog", "owl", "emu"),
    loss=0.5,
    accuracy_top5=None,
    calibration_error=0.1,
    confusion=((6, 3, 1, 0), (2, 8, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)),
    mistakes=(Mistake("cat/1.png", "cat", "dog", 0.9, 0.05),),
)


def test_precision_recall_and_f1_are_those_of_their_definitions() -> None:
    cat, dog, owl, emu = EVALUATION.by_class
    assert (cat.images, cat.predicted, cat.correct, cat.mistaken_for) == (10, 8, 6, "dog")
    assert (cat.precision, cat.recall) == (6 / 8, 6 / 10)
    assert cat.f1 == pytest.approx(2 * (6 / 8) * (6 / 10) / (6 / 8 + 6 / 10))
    assert (dog.precision, dog.recall, dog.mistaken_for) == (8 / 11, 8 / 10, "cat")
    assert (owl.precision, owl.recall, owl.f1, owl.predicted, owl.mistaken_for) == (0, 0, 0, 1, None)
    assert emu.f1 == 0
    assert EVALUATION.images == 20
    assert EVALUATION.accuracy == 14 / 20
    assert EVALUATION.means["precision"] == pytest.approx((6 / 8 + 8 / 11 + 0) / 3)  # of those that occur


@pytest.mark.parametrize(
    ("correct", "images", "low", "high"),
    [(0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0), (5, 10, 0.236593, 0.763407), (8931, 10_000, 0.886891, 0.899011)],
)
def test_the_interval_is_wilsons(correct: int, images: int, low: float, high: float) -> None:
    """The bounds are the accuracies p at which (correct / images − p)² = z² p (1 − p) / images."""
    bounds = accuracy_interval(correct / images, images)
    assert bounds == pytest.approx((low, high), abs=1e-5)
    for bound in bounds:
        distance = (correct / images - bound) ** 2
        assert distance == pytest.approx(1.959963985**2 * bound * (1 - bound) / images, abs=1e-9)


def test_an_evaluation_is_written_and_read() -> None:
    content = json.dumps(EVALUATION.to_dict())
    answer = EvaluationAnswer.from_json(content)
    assert answer.evaluation == EVALUATION
    assert answer.predictions == ()
    assert json.loads(content)["by_class"][0] == {
        "class": "cat", "images": 10, "predicted": 8, "correct": 6, "precision": 0.75, "recall": 0.6, "f1": 2 / 3,
    }  # fmt: skip


def test_predictions_are_rows_of_csv() -> None:
    """Names come from folders that anybody may have made."""
    answer = EvaluationAnswer(
        ("cat", "a,b"),
        None,
        (ImagePrediction("1.png", None, (0.25, 0.75)), ImagePrediction('"\x1b.png', "cat", (0.9, 0.1))),
    )
    rows = list(csv.reader(io.StringIO(predictions_csv(answer))))
    assert rows[0] == ["image", "label", "predicted", "probability", "p(cat)", "p(a,b)"]
    assert rows[1] == ["1.png", "", "a,b", "0.75", "0.25", "0.75"]
    assert rows[2][1:] == ["cat", "cat", "0.9", "0.9", "0.1"]
    assert "\x1b" not in rows[2][0]
