"""A recipe's optimizer as PyTorch's.

To add one: an entry in `FACTORIES`, and its declaration in `alexplore.presets.optimizers`. It must have a fused
implementation: those change nothing if `found_inf` is 1, so that `NonfiniteGuard` does not have to wait for the device.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from alexplore.core.settings import SettingError
from alexplore.presets.recipe import Recipe
from alexplore.training.kernels.table import Kernels, choose_kernels

Groups = list[dict[str, Any]]
"""Parameter groups as PyTorch's optimizers take them."""


def make_optimizer(
    recipe: Recipe, model: nn.Module, new_layers: Collection[str] = (), *, kernels: Kernels | None = None
) -> Optimizer:
    """Return the recipe's optimizer for the parameters of a model that require gradients.

    It is fused if `kernels` contains that; by default they are those of this machine's processor.

    Weights and biases are separate groups, each with a `multiplier` of the learning rate: 1 and `bias_lr`. Those of
    `new_layers`, such as a new head, are separate groups too, with `head_lr` times these multipliers, unless it is 1.

    Raises:
        SettingError: no parameter requires a gradient.
    """
    trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trainable:
        raise SettingError("every layer has trainable = false, or no parameters: there is nothing to train")
    avoid_compiler_import()
    members: dict[tuple[bool, bool], list[nn.Parameter]] = {
        (is_new, is_bias): [] for is_new, is_bias in product((False, True), (False, True))
    }
    for name, parameter in trainable:
        is_new = recipe.head_lr != 1 and name.rpartition(".")[0] in new_layers
        members[is_new, name.endswith(".bias")].append(parameter)
    groups: Groups = [
        {
            "params": parameters,
            "multiplier": (recipe.head_lr if is_new else 1.0) * (recipe.bias_lr if is_bias else 1.0),
        }
        for (is_new, is_bias), parameters in members.items()
        if parameters
    ]
    fused = "fused" in (choose_kernels(trainable[0][1].device.type) if kernels is None else kernels)
    optimizer = FACTORIES[recipe.optimizer](groups, recipe, fused)
    if fused and trainable[0][1].device.type == "cuda":
        _keep_settings_on_device(optimizer, trainable[0][1].device)
    return optimizer


def _keep_settings_on_device(optimizer: Optimizer, device: torch.device) -> None:
    """Keep the rates in tensors, which a step captured as a CUDA graph reads again at each replay."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]), device=device)
        if "capturable" in group:
            group["capturable"] = True


def _sgd(groups: Groups, recipe: Recipe, fused: bool) -> Optimizer:
    sgd = SGD(groups, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay, fused=fused)
    if recipe.momentum:
        # PyTorch makes the first momentum equal to the first gradient. So does a momentum of zeros, since
        # 0 · momentum + gradient = gradient. Without it, a first step that is skipped would leave it uninitialised.
        for group in groups:
            for parameter in group["params"]:
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def _adam(groups: Groups, recipe: Recipe, fused: bool) -> Optimizer:
    return Adam(groups, recipe.lr, weight_decay=recipe.weight_decay, fused=fused)


def _adamw(groups: Groups, recipe: Recipe, fused: bool) -> Optimizer:
    return AdamW(groups, recipe.lr, weight_decay=recipe.weight_decay, fused=fused)


FACTORIES: Mapping[str, Callable[[Groups, Recipe, bool], Optimizer]] = {"sgd": _sgd, "adam": _adam, "adamw": _adamw}
"""How each entry of `OPTIMIZERS` is made, from parameter groups, the recipe, and whether it is fused."""


def update(optimizer: Optimizer) -> None:
    """Do `optimizer.step()` without its wrappers for hooks and for PyTorch's compiler (see `avoid_compiler_import`)."""
    with torch.no_grad():
        inspect.unwrap(type(optimizer).step)(optimizer)


def avoid_compiler_import() -> None:
    """Keep optimizers from importing PyTorch's compiler, which takes as long as importing PyTorch.

    They import it at their first use, to exclude themselves from compilation, unless their method is already marked as
    excluded.
    """
    for method in vars(Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None:
            plain.__dynamo_disable = plain


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the rate of each group to its multiple of `rate`."""
    for group in optimizer.param_groups:
        own = rate * group["multiplier"]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(own)
        else:
            group["lr"] = own
