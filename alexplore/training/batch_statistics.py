"""The running statistics of batch norms, estimated for weights that were not trained with them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from alexplore.training.model.build import logits
from alexplore.training.model.shared_batch_norm import SharedBatchNorm
from alexplore.training.precision import Precision

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, SharedBatchNorm)


@torch.no_grad()
def estimate_statistics(model: nn.Module, batches: Iterable[Tensor], precision: Precision) -> None:
    """Set the running statistics of a model's batch norms to the mean of those of batches (N, C, H, W).

    Frozen ones keep theirs. All ranks must call this with the same number of batches. Source: PyTorch's
    `torch.optim.swa_utils.update_bn`.
    """
    norms = [norm for norm in model.modules() if isinstance(norm, NORMS) and not getattr(norm, "frozen", False)]
    if not norms:
        return
    was_training, momenta = model.training, [norm.momentum for norm in norms]
    model.train()
    try:
        for number, inputs in enumerate(batches):
            for norm in norms:
                norm.momentum = 1 / (number + 1)
            with precision.autocast():
                logits(model, inputs)
    finally:
        model.train(was_training)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
