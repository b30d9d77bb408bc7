"""Measure the memory that autograd keeps in a forward pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def kept_bytes(model: nn.Module, images: Tensor, precision: torch.dtype = torch.float32) -> int:
    """Return the bytes of all storages that autograd keeps for the backward pass, without the model's own.

    Images have their channels last, as in training: else every convolution that reads them makes a copy.
    `precision` below fp32 is autocast's.
    """
    own = {_storage(tensor) for tensor in model.state_dict(keep_vars=True).values()}
    kept: dict[int, int] = {}
    alive = []

    def pack(tensor: Tensor) -> Tensor:
        alive.append(tensor)  # so that no storage is given to another tensor meanwhile
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor.detach()  # a saved output that holds its own graph would never be freed

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", precision, enabled=precision != torch.float32),
    ):
        alive.append(model(images.contiguous(memory_format=torch.channels_last)))
    alive.clear()  # the graph holds `pack`, which holds the output of the graph
    return sum(kept.values())


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
