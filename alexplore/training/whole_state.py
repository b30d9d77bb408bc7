"""The weights and optimizer state of a rank that has the whole network; `TowerState` is that of a tower."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from alexplore.network.shapes import shape_text
from alexplore.training.errors import CheckpointError


class WholeState:
    """Weights and optimizer state of a rank that has the whole network."""

    def splits(self, layer: str) -> bool:
        """Return whether this rank has only a share of a layer: never."""
        return False

    def whole(self, value: Tensor, axis: int = 0) -> Tensor:
        """Return a tensor as it is: see `TowerState.whole`."""
        return value

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the weights for a checkpoint. All ranks must call this."""
        return model.state_dict()

    def optimizer(self, _: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
        """Return the state of a model's optimizer for a checkpoint. All ranks must call this."""
        return optimizer.state_dict()

    def load_weights(self, model: nn.Module, weights: dict[str, Tensor]) -> None:
        """Load the weights of a checkpoint.

        Raises:
            CheckpointError: the weights are of another network.
        """
        check_shapes(model.state_dict(), weights, "the checkpoint")
        model.load_state_dict(weights)

    def load_optimizer(self, model: nn.Module, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """Load the optimizer state of a checkpoint."""
        load_optimizer_state(optimizer, state)


def check_shapes(own: dict[str, Tensor], weights: dict[str, Tensor], source: object) -> None:
    """Check that weights have the names and shapes of a network's own, `own`. Messages name `source`.

    Raises:
        CheckpointError: a name or shape differs; the message names the first one.
    """
    for name in (*own, *weights):
        if name not in weights or name not in own:
            which = "the network" if name not in own else "it"
            raise CheckpointError(f"{source}: is of another network: {name} is not in {which}")
        if weights[name].shape != own[name].shape:
            there, here = (shape_text(values[name].shape) or "one number" for values in (weights, own))
            raise CheckpointError(f"{source}: {name} is {there}, the network's is {here}")


STEP = "step"
"""The key of the number of updates in the state of PyTorch's optimizers; the others have the parameter's shape."""


def load_optimizer_state(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load an optimizer's state, with each tensor in the memory layout of its parameter.

    A fused optimizer reads a parameter and its state in the order of memory, whatever their strides. Learning rates and
    other settings are not loaded: they may have been changed for a resumed run.

    Raises:
        ValueError, TypeError, …: the state is damaged, or that of another optimizer.
    """
    own = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, settings in zip(optimizer.param_groups, own, strict=True):
        group.update(settings)
    if len({frozenset(kept) for kept in optimizer.state.values()}) > 1:
        raise ValueError("the optimizer's states of two parameters differ in what they contain")
    fused = {parameter for group in optimizer.param_groups if group.get("fused") for parameter in group["params"]}
    for parameter, kept in optimizer.state.items():
        for key, value in kept.items():
            if not isinstance(value, Tensor):
                raise TypeError(f"{key} is no tensor")
            wanted = torch.Size() if key == STEP else parameter.shape
            if value.shape != wanted:  # a fused optimizer would go beyond its end
                raise ValueError(f"{key} is {shape_text(value.shape)}, not {shape_text(wanted) or 'one number'}")
            like = value if key == STEP else parameter
            # PyTorch leaves the number of updates of an optimizer that was not fused on the CPU.
            device = parameter.device if parameter in fused else value.device
            kept[key] = torch.empty_like(like, dtype=value.dtype, device=device).copy_(value)
