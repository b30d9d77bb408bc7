"""Batch norm with the statistics of the whole batch, for a batch that is split over ranks.

Because of damaged images a batch may have one image or none. A batch norm with fewer than two values in a channel uses
its running statistics for that batch, and does not update them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.training.collectives import all_reduce


def share_statistics(model: nn.Module) -> None:
    """Replace a model's batch norms by `SharedBatchNorm`, under the same names."""
    for name, layer in model.named_children():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(model, name, SharedBatchNorm(layer))


def tolerate_small_batches(model: nn.Module) -> None:
    """Make a model's batch norms accept batches that are too small for statistics, where PyTorch's raise an error."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.register_forward_pre_hook(_use_running_statistics)
            layer.register_forward_hook(_use_batch_statistics)


def _use_running_statistics(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    values = inputs[0]
    norm.small_batch = norm.training and values.numel() < 2 * values.shape[1]  # type: ignore[assignment]
    if norm.small_batch:
        norm.training = False


def _use_batch_statistics(norm: nn.Module, _: tuple[Tensor, ...], __: Tensor) -> None:
    if norm.small_batch:
        norm.training = True


class SharedBatchNorm(nn.Module):
    """A batch norm with statistics over the images of all ranks; some ranks may have none."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps, self.momentum = norm.eps, norm.momentum or 0.0
        self.frozen = getattr(norm, "frozen", False)
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)

    def forward(self, values: Tensor) -> Tensor:
        """Normalise maps (N, C, H, W) or vectors (N, C)."""
        if not self.training:
            return F.batch_norm(values, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        x = values.to(torch.promote_types(values.dtype, torch.float32))
        over = [axis for axis in range(x.dim()) if axis != 1]
        shape = (1, -1, *[1] * (x.dim() - 2))
        own_count = x.new_full((1,), x.numel() // x.shape[1])
        sums = _sum_over_ranks(torch.cat((x.sum(over), own_count)))
        count = sums[-1].detach()
        enough = count > 1  # stays on the device
        mean = torch.where(enough, sums[:-1] / count.clamp(min=1), self.running_mean)
        centred = x - mean.view(shape)
        variance = _sum_over_ranks(centred.square().sum(over)) / count.clamp(min=1)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        variance = torch.where(enough, variance, self.running_var)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(torch.where(enough, unbiased, self.running_var), self.momentum)
            self.num_batches_tracked += 1
        normalized = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            normalized = normalized * self.weight.view(shape) + self.bias.view(shape)
        return normalized.to(values.dtype)


def _sum_over_ranks(values: Tensor) -> Tensor:
    total: Tensor = _SumOverRanks.apply(values)
    return total


class _SumOverRanks(torch.autograd.Function):
    """The sum over ranks. Every rank's loss depends on it, so its gradient is the sum of the ranks' gradients."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone()
        all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)
        all_reduce(gradient)
        return gradient
