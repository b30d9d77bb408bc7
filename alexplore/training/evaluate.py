"""Exact figures over a whole data set: every image counted once, whatever the number of ranks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.training.data import Preprocess, Split
from alexplore.training.model.build import logits
from alexplore.training.parallel.ranks import ALONE, Ranks
from alexplore.training.precision import Precision

TOP = 5
FEW_CLASSES = 2 * TOP


@dataclass(frozen=True)
class Result:
    """Counts over `images` images."""

    loss_sum: float
    correct: int
    correct_top5: int
    images: int

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return self.loss_sum / max(1, self.images)

    @property
    def accuracy(self) -> float:
        """Share whose class was the likeliest."""
        return self.correct / max(1, self.images)

    @property
    def accuracy_top5(self) -> float:
        """Share whose class was among the five likeliest."""
        return self.correct_top5 / max(1, self.images)

    def values(self, classes: int) -> dict[str, float]:
        """By the names of metrics.jsonl; the five likeliest of ten classes or fewer say little."""
        values = {"val/loss": self.loss, "val/acc": self.accuracy}
        return values if classes <= FEW_CLASSES else {**values, "val/acc5": self.accuracy_top5}


def evaluate(
    model: nn.Module,
    split: Split,
    preprocess: Preprocess,
    precision: Precision,
    *,
    batch_size: int,
    ranks: Ranks = ALONE,
    ten_crops: bool = False,
    between: Callable[[], None] = lambda: None,
) -> Result:
    """Evaluate a model on a split; every rank gets the sums over all of them.

    With `ten_crops` a prediction is the mean of the ten crops' probabilities (paper, section 4.1). `between` is called
    after every batch, equally often on all ranks.
    """
    was_training = model.training
    model.eval()
    share = ranks.share_of_order(torch.arange(len(split)), batch_size)
    batches = split.batches(share, ranks.share_size(batch_size))
    loss, correct = torch.zeros((), dtype=torch.float64), torch.zeros(3, dtype=torch.int64)
    with torch.no_grad():
        for _ in range(-(-len(split) // batch_size)):
            batch = next(batches, None)
            if batch is not None and len(batch[1]):
                images, labels = batch
                scores = (
                    _ten_crop_scores(model, preprocess, precision, images)
                    if ten_crops
                    else _scores(model, precision, preprocess.test(images))
                )
                loss = loss.to(scores.device) + F.nll_loss(scores, labels, reduction="sum").double()
                correct = correct.to(scores.device) + _correct(scores, labels)
            between()
    model.train(was_training)
    loss_sum, *counts = ranks.sum(torch.stack((loss.cpu(), *correct.cpu().double()))).tolist()
    return Result(loss_sum, *map(round, counts))


def _scores(model: nn.Module, precision: Precision, inputs: Tensor) -> Tensor:
    """Log-probabilities."""
    with precision.autocast():
        outputs = logits(model, inputs)
    return F.log_softmax(outputs.to(torch.promote_types(outputs.dtype, torch.float32)), dim=1)


def _ten_crop_scores(model: nn.Module, preprocess: Preprocess, precision: Precision, images: Tensor) -> Tensor:
    scores = torch.stack([_scores(model, precision, crop) for crop in preprocess.ten_crops(images)])
    return scores.logsumexp(0) - math.log(len(scores))


def _correct(scores: Tensor, labels: Tensor) -> Tensor:
    """How many labels were first, how many among the first five, and how many there are."""
    best = scores.topk(min(TOP, scores.shape[1]), dim=1).indices
    found = best == labels[:, None]
    return torch.stack((found[:, 0].sum(), found.sum(), torch.full_like(found[:, 0].sum(), len(labels))))
