"""A recipe as PyTorch objects: the optimizer, and the learning rate as a function of where training is."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from alexplore.core.settings import SettingError
from alexplore.presets.recipe import Recipe


def make_optimizer(recipe: Recipe, model: nn.Module) -> Optimizer:
    """The recipe's optimizer, with weights and biases in groups whose rates are `lr` and `lr` × `bias_lr`.

    Raises:
        SettingError: every layer is frozen.
    """
    trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trainable:
        raise SettingError("every layer has trainable = false, or no parameters: there is nothing to train")
    biases = [parameter for name, parameter in trainable if name.endswith(".bias")]
    weights = [parameter for name, parameter in trainable if not name.endswith(".bias")]
    spare_the_compiler()
    groups = [
        {"params": parameters, "multiplier": multiplier}
        for parameters, multiplier in ((weights, 1.0), (biases, recipe.bias_lr))
        if parameters
    ]
    match recipe.optimizer:
        case "sgd":
            sgd = SGD(groups, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay, fused=True)
            if recipe.momentum:
                # 0 · momentum + gradient is the gradient: what PyTorch starts from. Left to PyTorch, a first step that
                # is passed over would leave the buffer uninitialised.
                for _, parameter in trainable:
                    sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
            return sgd
        case "adam":
            return Adam(groups, recipe.lr, weight_decay=recipe.weight_decay, fused=True)
        case _:
            return AdamW(groups, recipe.lr, weight_decay=recipe.weight_decay, fused=True)


def update(optimizer: Optimizer) -> None:
    """`optimizer.step()` without its wrappers for hooks and for PyTorch's compiler (see `spare_the_compiler`)."""
    with torch.no_grad():
        inspect.unwrap(type(optimizer).step)(optimizer)


def spare_the_compiler() -> None:
    """Keep optimizers from importing PyTorch's compiler, which takes as long as importing PyTorch.

    They import it at their first use only to tell it to leave them alone. A method that is marked as told does not.
    """
    for method in vars(Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None:
            plain.__dynamo_disable = plain


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group its multiple of `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiplier"]


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int, reductions: int = 0) -> float:
    """The rate of step `step` (from 0), after `reductions` by the plateau schedule.

    The warm-up rises linearly to `lr` at its last step. Cosine: Loshchilov & Hutter, "SGDR", 2017, equation 5, with
    one cycle from the end of the warm-up to the end of training.
    """
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    match recipe.schedule:
        case "step":
            return recipe.lr * recipe.gamma ** (step // (recipe.step_epochs * steps_per_epoch))
        case "plateau":
            return recipe.lr * recipe.gamma**reductions
        case "cosine":
            total = recipe.epochs * steps_per_epoch
            return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
        case _:
            return recipe.lr


@dataclass(frozen=True)
class Plateau:
    """What the plateau schedule remembers: the smallest validation error, epochs without a smaller one, reductions."""

    smallest: float = math.inf
    waited: int = 0
    reductions: int = 0

    def after(self, error: float, recipe: Recipe) -> Plateau:
        """After one more epoch: the rate is reduced when more than `patience` epochs brought nothing smaller.

        Source: paper, section 5, with the patience of PyTorch's `ReduceLROnPlateau`.
        """
        if error < self.smallest:
            return replace(self, smallest=error, waited=0)
        if self.waited < recipe.patience:
            return replace(self, waited=self.waited + 1)
        return replace(self, waited=0, reductions=min(self.reductions + 1, recipe.reductions))
