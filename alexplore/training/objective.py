"""A model with its loss: what a step of training differentiates."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.presets.recipe import Recipe
from alexplore.training.model.build import logits
from alexplore.training.precision import Precision


class Objective(nn.Module):
    """A model and its loss function, as one module."""

    def __init__(
        self, model: nn.Module, recipe: Recipe, precision: Precision, class_weights: Tensor | None = None
    ) -> None:
        """`class_weights` are fp32 (classes,) on the device; None if all classes have the same weight."""
        super().__init__()
        self.model = model
        self.class_weights = class_weights
        self.label_smoothing = recipe.label_smoothing
        self.precision = precision

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summed cross-entropy and the number of correct predictions for a rank's share of a batch.

        Each image's cross-entropy is multiplied by the weight of its class. `inputs` are (N, C, H, W) and `labels`
        int64 (N,). The share may be empty.
        """
        with self.precision.autocast():
            outputs = logits(self.model, inputs)
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        loss = F.cross_entropy(
            outputs, labels, self.class_weights, reduction="sum", label_smoothing=self.label_smoothing
        )
        return loss, (outputs.argmax(1) == labels).sum()
