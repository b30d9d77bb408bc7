"""Validation metrics, over a whole split. Each image counts once, with any number of ranks.

`alexplore.runs.metrics` declares the names and formats of metrics; `metrics.py` computes the training metrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.training.data.dataset import Split, indices_read
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.inside.answers import Answers
from alexplore.training.model.build import logits
from alexplore.training.parallel.ranks import SINGLE_RANK, Ranks
from alexplore.training.precision import Precision

TOP = 5
FEW_CLASSES = 2 * TOP
"""The top-5 accuracy is left out for this many classes or fewer, as it is close to 1 for any model."""


@dataclass(frozen=True)
class EpochResult:
    """Sums over the images of a split."""

    loss_sum: float
    """Sum of the cross-entropies, in nats."""

    correct: int
    """Number of images whose most likely class is the label."""

    correct_top5: int
    """Number of images whose label is among the five most likely classes."""

    images: int

    @property
    def loss(self) -> float:
        """Mean cross-entropy of an image, in nats."""
        return self.loss_sum / max(1, self.images)

    @property
    def accuracy(self) -> float:
        """Share of the images whose most likely class is the label, 0 to 1."""
        return self.correct / max(1, self.images)

    @property
    def accuracy_top5(self) -> float:
        """Share of the images whose label is among the five most likely classes, 0 to 1."""
        return self.correct_top5 / max(1, self.images)

    def values(self, classes: int) -> dict[str, float]:
        """Return the metrics by their keys in `runs.metrics.METRICS`, for a data set with `classes` classes."""
        values = {"val/loss": self.loss, "val/acc": self.accuracy}
        return values if classes <= FEW_CLASSES else {**values, "val/acc5": self.accuracy_top5}


class ScoredBatch(NamedTuple):
    """A model's scores for the readable images of a batch."""

    images: Tensor
    """uint8 (N, C, H, W)."""

    labels: Tensor
    """int64 (N,)."""

    scores: Tensor
    """Log-probabilities (N, classes)."""

    chosen: Tensor
    """The indices of the batch's images in the split, including those that could not be read: see `indices_read`."""


def evaluate(
    model: nn.Module,
    split: Split,
    preprocess: Preprocess,
    precision: Precision,
    *,
    batch_size: int,
    ranks: Ranks = SINGLE_RANK,
    ten_crops: bool = False,
    answers: Answers | None = None,
    after_batch: Callable[[], None] = lambda: None,
) -> EpochResult:
    """Evaluate a model on a split and return the sums over all ranks.

    With `ten_crops` a prediction is the mean of the probabilities for ten crops (paper, section 4.1). `after_batch` is
    called after every batch, the same number of times on all ranks. `answers` collects the predictions for this rank's
    images.
    """
    exact = torch.float32 if preprocess.device.type == "mps" else torch.float64  # which mps does not have
    loss, correct = torch.zeros((), dtype=exact), torch.zeros(3, dtype=torch.int64)
    for images, labels, scores, chosen in score_batches(
        model,
        split,
        preprocess,
        precision,
        batch_size=batch_size,
        ranks=ranks,
        ten_crops=ten_crops,
        after_batch=after_batch,
    ):
        loss = loss.to(scores.device) + F.nll_loss(scores, labels, reduction="sum").to(exact)
        correct = correct.to(scores.device) + _count_correct(scores, labels)
        if answers is not None:
            answers.add(images, labels, scores, indices_read(split, chosen, len(labels)))
    loss_sum, *counts = ranks.sum(torch.stack((loss.cpu().double(), *correct.cpu().double()))).tolist()
    return EpochResult(loss_sum, *map(round, counts))


def score_batches(
    model: nn.Module,
    split: Split,
    preprocess: Preprocess,
    precision: Precision,
    *,
    batch_size: int,
    ranks: Ranks = SINGLE_RANK,
    ten_crops: bool = False,
    after_batch: Callable[[], None] = lambda: None,
) -> Iterator[ScoredBatch]:
    """Yield this rank's batches of a split, in its order; see `evaluate`."""
    was_training = model.training
    share = ranks.share_of_order(torch.arange(len(split)), batch_size)
    own_batch = ranks.share_size(batch_size)
    batches = split.batches(share, own_batch)
    model.eval()
    try:
        for number in range(-(-len(split) // batch_size)):
            batch = next(batches, None)
            if batch is not None and len(batch[1]):
                images, labels = batch
                with torch.no_grad():
                    scores = (
                        _ten_crop_scores(model, preprocess, precision, images)
                        if ten_crops
                        else _scores(model, precision, preprocess.test(images))
                    )
                chosen = share[number * own_batch : (number + 1) * own_batch]
                yield ScoredBatch(images, labels, scores, chosen)
            after_batch()
    finally:
        model.train(was_training)


def _scores(model: nn.Module, precision: Precision, inputs: Tensor) -> Tensor:
    """Return log-probabilities (N, classes) in fp32 or more."""
    with precision.autocast():
        outputs = logits(model, inputs)
    return F.log_softmax(outputs.to(torch.promote_types(outputs.dtype, torch.float32)), dim=1)


def _ten_crop_scores(model: nn.Module, preprocess: Preprocess, precision: Precision, images: Tensor) -> Tensor:
    """Return the logarithms of the probabilities' means over ten crops, (N, classes)."""
    scores = torch.stack([_scores(model, precision, crop) for crop in preprocess.ten_crops(images)])
    return scores.logsumexp(0) - math.log(len(scores))


def _count_correct(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the numbers of labels with the highest score, with one of the five highest, and of all labels."""
    best = scores.topk(min(TOP, scores.shape[1]), dim=1).indices
    found = best == labels[:, None]
    return torch.stack((found[:, 0].sum(), found.sum(), torch.full_like(found[:, 0].sum(), len(labels))))
