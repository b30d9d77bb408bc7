"""Compute the metrics of an evaluation from a network's scores for each image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from alexplore.runs.evaluation import CALIBRATION_BINS, MISTAKES, Evaluation, ImagePrediction, Mistake
from alexplore.training.evaluate import FEW_CLASSES, TOP

SIGNIFICANT = 9
"""Digits with which an fp32 number is exactly one."""


def make_evaluation(
    scores: Tensor,
    labels: Tensor,
    names: Sequence[str],
    classes: tuple[str, ...],
    *,
    dataset: str,
    crops: str,
    weights: str,
) -> Evaluation:
    """Return the figures of labelled images.

    `scores` are log-probabilities (N, classes) and `labels` int64 (N,), both on the CPU; `names` are the images'.
    """
    predicted = scores.argmax(1)
    of_labels = scores.gather(1, labels[:, None])[:, 0]
    top5 = scores.topk(min(TOP, scores.shape[1]), dim=1).indices == labels[:, None]
    return Evaluation(
        dataset=dataset,
        crops=crops,
        weights=weights,
        classes=classes,
        loss=float(-of_labels.double().mean()),
        accuracy_top5=float(top5.any(1).double().mean()) if len(classes) > FEW_CLASSES else None,
        calibration_error=calibration_error(scores.double().exp(), labels),
        confusion=tuple(map(tuple, confusion_matrix(predicted, labels, len(classes)).tolist())),
        mistakes=_worst_mistakes(scores.double().exp(), labels, names, classes),
    )


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return how many images of each class (rows) are predicted as each class (columns), int64 (classes, classes)."""
    return torch.bincount(labels * classes + predicted, minlength=classes * classes).view(classes, classes)


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = CALIBRATION_BINS) -> float:
    """Return the expected calibration error for probabilities (N, classes): how far they differ from the accuracy.

    Images are put into bins of equal width by the probability of their most likely class; the error is the mean over
    the images of |accuracy − mean probability| of their bin. A bin contains its lower bound, and a probability of 1 is
    in a bin of its own, as in torchmetrics. Source: Guo et al., "On Calibration of Modern Neural Networks", 2017,
    equation 3.
    """
    confidences, predicted = probabilities.double().max(1)
    correct = (predicted == labels).double()
    bounds = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    numbers = torch.bucketize(confidences, bounds, right=True) - 1
    differences = torch.zeros(bins + 1, dtype=torch.float64).index_add(0, numbers, correct - confidences)
    return float(differences.abs().sum() / max(1, len(labels)))


def _worst_mistakes(
    probabilities: Tensor, labels: Tensor, names: Sequence[str], classes: tuple[str, ...]
) -> tuple[Mistake, ...]:
    """Return the mistakes with the lowest probabilities of their labels, the lowest first."""
    highest, predicted = probabilities.max(1)
    of_labels = probabilities.gather(1, labels[:, None])[:, 0]
    wrong = (predicted != labels).nonzero()[:, 0]
    worst = wrong[of_labels[wrong].argsort(stable=True)[:MISTAKES]].tolist()
    return tuple(
        Mistake(names[i], classes[labels[i]], classes[predicted[i]], float(highest[i]), float(of_labels[i]))
        for i in worst
    )


def image_predictions(
    scores: Tensor, labels: Tensor | None, names: Sequence[str], classes: tuple[str, ...]
) -> tuple[ImagePrediction, ...]:
    """Return the network's prediction for each image; `labels` is None if they have none."""
    truths = [None] * len(names) if labels is None else [classes[label] for label in labels.tolist()]
    return tuple(
        ImagePrediction(name, truth, tuple(float(f"{p:.{SIGNIFICANT}g}") for p in row))
        for name, truth, row in zip(names, truths, scores.double().exp().tolist(), strict=True)
    )
