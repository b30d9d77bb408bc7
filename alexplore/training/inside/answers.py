"""The confusion matrix and the worst mistakes, collected on the device during the evaluation after an epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alexplore.core.picture import Picture
from alexplore.runs.inside import Confusion, Mistake, ShownImage
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.transfer import to_device

MISTAKES = 12
"""The number of mistakes that are kept: those with the highest loss."""

MOST_LIKELY = 5
"""The number of classes of an image that are kept with their probabilities."""

MOST_COUNTED = 1000
"""The most classes for which a matrix is counted: with more, it would take over 8 MB on the device."""

MOST_CLASSES = 64
"""The most classes in a matrix that is written; of more, those with the most mistakes."""

LARGEST_SIDE = 64
"""The most pixels of a side of a picture."""

View = Callable[[Tensor], Tensor]
"""Returns images of a data set, uint8 (N, C, H, W), cropped and resized for the network: uint8 on the CPU."""

PathOf = Callable[[int], str | None]
"""Returns the path of the validation image with this index, None if it has no file."""


class Answers:
    """The predictions of a network in one evaluation."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self.classes = classes
        self._counts = torch.zeros(classes**2 if classes <= MOST_COUNTED else 0, dtype=torch.int64, device=device)
        self._worst: _Rows | None = None

    def add(self, images: Tensor, labels: Tensor, scores: Tensor, indices: Tensor) -> None:
        """Add a batch: images uint8 (N, C, H, W), labels (N,), log-probabilities (N, classes), and indices (N,).

        The indices are on the CPU; nothing is read from the device.
        """
        guesses = scores.argmax(1)
        if len(self._counts):
            self._counts.scatter_add_(0, labels * self.classes + guesses, torch.ones_like(labels))
        losses = -scores.gather(1, labels[:, None])[:, 0]
        wrong = torch.where(guesses == labels, -1.0, losses)  # a loss is at least 0
        indices = to_device(indices, labels.device)
        likely = scores.topk(min(MOST_LIKELY, scores.shape[1]))
        rows = _Rows(wrong, images, labels, indices, likely.indices, likely.values).worst(MISTAKES)
        self._worst = rows if self._worst is None else self._worst.joined(rows).worst(MISTAKES)

    def confusion(self, ranks: Ranks) -> Confusion | None:
        """Return the matrix over all ranks, which must call this together; None with too many classes."""
        if not len(self._counts):
            return None
        counts = ranks.sum(self._counts.cpu()).view(self.classes, self.classes)
        kept = torch.arange(self.classes)
        if self.classes > MOST_CLASSES:
            wrong = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
            kept = wrong.topk(MOST_CLASSES).indices.sort().values
        part = counts[kept][:, kept].to(torch.uint32).numpy()
        return Confusion(tuple(kept.tolist()), part, tuple(counts.sum(1)[kept].tolist()))

    def mistakes(self, ranks: Ranks, view: View, path_of: PathOf) -> tuple[Mistake, ...]:
        """Return the worst mistakes over all ranks, which must call this together, the worst first."""
        own = self._worst.to_mistakes(view, path_of) if self._worst is not None else []
        everyone = ranks.merge({str(ranks.data_rank): own})
        found = [mistake for mistakes in everyone.values() for mistake in mistakes]
        return tuple(sorted(found, key=lambda mistake: (-mistake.loss, mistake.index))[:MISTAKES])


@dataclass(frozen=True)
class _Rows:
    """Images with the network's predictions: a row of each tensor is one image."""

    losses: Tensor
    """Cross-entropies; -1 for images that were classified correctly."""

    images: Tensor
    labels: Tensor
    indices: Tensor
    classes: Tensor
    """The most likely ones (N, k)."""

    scores: Tensor
    """Their log-probabilities (N, k)."""

    def worst(self, most: int) -> _Rows:
        """Return the rows with the highest losses."""
        chosen = self.losses.topk(min(most, len(self.losses))).indices
        return _Rows(*(values[chosen] for values in vars(self).values()))

    def joined(self, other: _Rows) -> _Rows:
        """Return the rows of both."""
        return _Rows(*(torch.cat(pair) for pair in zip(vars(self).values(), vars(other).values(), strict=True)))

    def to_mistakes(self, view: View, path_of: PathOf) -> list[Mistake]:
        """Return the images that were classified wrongly. This waits for the device."""
        shown = shown_images(view(self.images), self.indices, self.labels, self.classes, self.scores.exp(), path_of)
        losses = self.losses.tolist()
        return [Mistake(**vars(one), loss=loss) for one, loss in zip(shown, losses, strict=True) if loss >= 0]


def shown_images(
    pictures: Tensor, indices: Tensor, labels: Tensor, classes: Tensor, probabilities: Tensor, path_of: PathOf
) -> Sequence[ShownImage]:
    """Return images, uint8 (N, C, H, W) on the CPU, with their most likely classes (N, k)."""
    return [
        ShownImage(as_picture(picture), index, truth, tuple(zip(likely, shares, strict=True)), path_of(index))
        for picture, index, truth, likely, shares in zip(
            pictures, *(values.tolist() for values in (indices, labels, classes, probabilities)), strict=True
        )
    ]


def as_picture(pixels: Tensor) -> Picture:
    """Return an image, uint8 (C, H, W), as a picture; one that is neither grey nor in three colours becomes grey."""
    if len(pixels) not in (1, 3):
        pixels = pixels.float().mean(0, keepdim=True).to(torch.uint8)
    channels, height, width = pixels.shape
    return Picture(height, width, channels, pixels.permute(1, 2, 0).contiguous().cpu().numpy().tobytes())
