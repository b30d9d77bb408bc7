"""The figures of an evaluation, compared with torchmetrics."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional import classification

from alexplore.training.evaluation_figures import calibration_error, image_predictions, make_evaluation


def drawn(count: int, classes: int, sharpness: float) -> tuple[Tensor, Tensor]:
    """Return log-probabilities of a network that is right more often than not, and labels."""
    generator = torch.Generator().manual_seed(count)
    labels = torch.randint(0, classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator) + 1.5 * F.one_hot(labels, classes)
    return (sharpness * logits).log_softmax(1), labels


@pytest.mark.parametrize(("count", "classes", "sharpness"), [(500, 10, 1.0), (300, 3, 30.0), (40, 30, 0.3)])
def test_all_figures_are_those_of_torchmetrics(count: int, classes: int, sharpness: float) -> None:
    """With a sharpness of 30 many probabilities are 1; of 30 classes some have no image, or are never predicted."""
    scores, labels = drawn(count, classes, sharpness)
    names = tuple(f"class {number}" for number in range(classes))
    found = make_evaluation(scores, labels, list(map(str, range(count))), names, dataset="", crops="", weights="")
    p = scores.double().exp()

    def expected(name: str, average: str | None, **keywords: int) -> Tensor:
        figure: Tensor = getattr(classification, name)(p, labels, num_classes=classes, average=average, **keywords)
        return figure.double()

    assert found.accuracy == pytest.approx(float(expected("multiclass_accuracy", "micro")), abs=1e-6)
    if classes > 10:
        top5 = expected("multiclass_accuracy", "micro", top_k=5)
        assert found.accuracy_top5 == pytest.approx(float(top5), abs=1e-6)
    else:
        assert found.accuracy_top5 is None
    for key, name in {"precision": "precision", "recall": "recall", "f1": "f1_score"}.items():
        by_class = torch.tensor([getattr(one, key) for one in found.by_class], dtype=torch.float64)
        torch.testing.assert_close(by_class, expected(f"multiclass_{name}", None), rtol=0, atol=1e-6)
        mean = expected(f"multiclass_{name}", "macro")
        assert found.means[key] == pytest.approx(float(mean), abs=1e-6), key
    matrix = classification.multiclass_confusion_matrix(p, labels, classes)
    assert torch.equal(torch.tensor(found.confusion), matrix)
    calibration = classification.multiclass_calibration_error(p, labels, classes, n_bins=15, norm="l1")
    assert found.calibration_error == pytest.approx(float(calibration), abs=1e-6)
    assert found.loss == pytest.approx(float(F.cross_entropy(scores.double(), labels)), abs=1e-6)


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    """Four images of which the network is sure with 0.9, and three are right; two with 0.6, of which one is."""
    confidences = torch.tensor([0.9, 0.9, 0.9, 0.9, 0.6, 0.6])
    labels = torch.tensor([0, 0, 0, 1, 0, 1])
    probabilities = torch.stack((confidences, 1 - confidences), 1)
    assert calibration_error(probabilities, labels) == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)


def test_the_worst_mistakes_have_the_lowest_probabilities_of_their_labels() -> None:
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.45, 0.05], [0.2, 0.2, 0.6]])
    labels = torch.tensor([0, 0, 2, 1])
    found = make_evaluation(
        probabilities.log(), labels, ["a", "b", "c", "d"], ("x", "y", "z"), dataset="", crops="", weights=""
    )
    assert [(one.image, one.label, one.predicted) for one in found.mistakes] == [
        ("c", "z", "x"),
        ("b", "x", "y"),
        ("d", "y", "z"),
    ]
    assert found.mistakes[0].probability == pytest.approx(0.5)
    assert found.mistakes[0].label_probability == pytest.approx(0.05)


def test_probabilities_are_written_with_all_their_digits() -> None:
    scores, labels = drawn(20, 4, 1.0)
    predictions = image_predictions(scores, None, list("abcdefghijklmnopqrst"), tuple("wxyz"))
    assert [one.label for one in predictions] == [None] * 20
    written = torch.tensor([one.probabilities for one in predictions], dtype=torch.float64)
    torch.testing.assert_close(written, scores.double().exp(), rtol=1e-8, atol=0)
    assert image_predictions(scores, labels, list("abcdefghijklmnopqrst"), tuple("wxyz"))[0].label == "wxyz"[labels[0]]
