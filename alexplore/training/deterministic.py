"""Training in which every operation gives the same bits each time: `deterministic = true` in a recipe.

On a CPU this is always so. On a GPU some of PyTorch's operations add numbers in an order that changes, and cuDNN and
cuBLAS choose between algorithms. Source: PyTorch's notes, "Reproducibility", and `torch.use_deterministic_algorithms`.
"""

from __future__ import annotations

import torch

from alexplore.network.graph import IMAGE, Network
from alexplore.presets.recipe import Recipe
from alexplore.training.cublas_workspace import set_deterministic_workspace
from alexplore.training.errors import UsageError
from alexplore.training.kernels.table import Kernels
from alexplore.training.model.build import build
from alexplore.training.precision import Precision

IMAGES = 2  # of the trial: the fewest for which batch norm can calculate statistics


def make_deterministic() -> None:
    """Let PyTorch use only deterministic operations, and raise a RuntimeError if there is none.

    CUDA must not have started with another workspace: see `cublas_workspace`.

    Raises:
        UsageError: the environment has a workspace with which cuBLAS is not deterministic.
    """
    set_deterministic_workspace()
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads such
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def check_deterministic(recipe: Recipe, network: Network, kernels: Kernels, precision: Precision) -> None:
    """Check that each layer can be deterministic, if the recipe asks for it, by a pass of two images.

    `make_deterministic` has to be in effect.

    Raises:
        UsageError: PyTorch has no deterministic operation for a layer.
    """
    if not recipe.deterministic:
        return
    device = precision.device
    model = build(network, 0, kernels).to(device).train()
    outputs = {IMAGE: torch.zeros(IMAGES, *network.input, device=device)}
    for position, (layer, read) in enumerate(zip(network.layers, network.sources, strict=True)):
        inputs = [outputs[source].detach().requires_grad_() for source in read]
        try:
            with precision.autocast():
                output = model.get_submodule(layer.name)(*(value.clone() for value in inputs))  # it may overwrite them
            if output.requires_grad:
                output.backward(torch.ones_like(output))
        except RuntimeError as error:
            if "deterministic" not in str(error):
                raise
            reason = str(error).splitlines()[0].split(", but you set")[0]
            raise UsageError(
                f"deterministic: layer {layer.name} ({layer.type}) can't be: {reason} on {device.type}. Train without "
                "deterministic, on the CPU, or with another layer"
            ) from None
        outputs[position] = output.detach()
