"""Presets of torchvision's networks against torchvision's modules."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from alexplore.network.analysis import analyse
from alexplore.presets.library import load_preset
from alexplore.training.model.build import Model, build

pytestmark = pytest.mark.usefixtures("heavy")

MODULES = {
    "torchvision": "alexnet",
    "vgg16": "vgg16",
    "resnet18": "resnet18",
    "squeezenet1_1": "squeezenet1_1",
    "googlenet": "googlenet",
}
"""torchvision's names of the presets' networks."""

PARAMETERS = {
    "torchvision": 61_100_840,
    "vgg16": 138_357_544,
    "resnet18": 11_689_512,
    "squeezenet1_1": 1_235_496,
    "googlenet": 6_624_904,
}
TYPES: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv2d",
    nn.BatchNorm2d: "batch_norm",
    nn.MaxPool2d: "max_pool2d",
    nn.AdaptiveAvgPool2d: "adaptive_avg_pool2d",
    nn.Dropout: "dropout",
    nn.Linear: "linear",
}
MODULES_OF_JOINS = {"resnet18": "BasicBlock", "squeezenet1_1": "Fire", "googlenet": "Inception"}
"""The class whose output is what a layer that joins branches gives, or in ResNet the ReLU behind that."""


def on_meta(name: str) -> nn.Module:
    """Return torchvision's module without memory for its parameters; GoogLeNet without auxiliary classifiers."""
    from torchvision import models  # type: ignore[import-untyped]

    settings = {"aux_logits": False, "transform_input": False, "init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        module: nn.Module = getattr(models, MODULES[name])(**settings)
    return module.eval()


@pytest.mark.parametrize("name", MODULES)
def test_parameters_and_macs(name: str) -> None:
    theirs = on_meta(name)
    with FlopCounterMode(display=False) as counter:
        theirs(torch.empty(1, 3, 224, 224, device="meta"))
    totals = analyse(load_preset(name).network).totals
    assert totals.params == sum(parameter.numel() for parameter in theirs.parameters()) == PARAMETERS[name]
    assert 2 * totals.macs == counter.get_total_flops()


@pytest.mark.parametrize("name", MODULES)
def test_state_dict_has_the_same_shapes_in_the_same_order(name: str) -> None:
    theirs = on_meta(name).state_dict()
    with torch.device("meta"):
        ours = build(load_preset(name).network).state_dict()
    assert [(kind(key), tensor.shape) for key, tensor in ours.items()] == [
        (kind(key), tensor.shape) for key, tensor in theirs.items()
    ]


def kind(key: str) -> str:
    """Return weight, bias, running_mean …"""
    return key.rpartition(".")[2]


@pytest.mark.parametrize("name", MODULES)
def test_every_output_shape(name: str) -> None:
    """In the order in which torchvision's modules run; ReLUs and flattening, which may be functions there, follow."""
    theirs = on_meta(name)
    found: list[tuple[str, tuple[int, ...]]] = []
    joined: list[tuple[int, ...]] = []

    def note(module: nn.Module, _: object, output: Tensor) -> None:
        shape = tuple(output.shape[1:])
        if type(module) in TYPES:
            found.append((TYPES[type(module)], shape))
        elif type(module).__name__ == MODULES_OF_JOINS.get(name):
            joined.append(shape)

    for module in theirs.modules():
        module.register_forward_hook(note)
    theirs(torch.empty(1, 3, 224, 224, device="meta"))
    rows = analyse(load_preset(name).network).rows
    assert [(row.layer.type, row.output) for row in rows if row.layer.type in TYPES.values()] == found
    assert [row.output for row in rows if len(row.sources) > 1] == joined
    assert rows[-1].output == (1000,)


def with_the_same_weights(name: str) -> tuple[Model, nn.Module]:
    """Return our model and torchvision's, in double precision and without dropout, for images of 64×64."""
    network = load_preset(name).network.with_input(3, 64, 64)
    for index, layer in enumerate(network.layers):
        if layer.type == "dropout":
            network = network.change(index, {"p": 0.0})
    theirs = on_meta(name)
    with torch.device("meta"):
        ours = build(network)
    theirs.double().to_empty(device="cpu")
    generator = torch.Generator().manual_seed(1)
    for tensor in theirs.state_dict().values():
        if tensor.dim() > 1:
            bound = math.sqrt(6 / tensor[0].numel())  # keeps the variance through a ReLU
            tensor.uniform_(-bound, bound, generator=generator)
        elif tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=generator)
        else:
            tensor.zero_()
    for module in theirs.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    own = {key: tensor.clone() if tensor.dim() <= 1 else tensor for key, tensor in theirs.state_dict().items()}
    ours.load_state_dict(dict(zip(ours.state_dict(), own.values(), strict=True)), assign=True)
    return ours, theirs


@pytest.mark.parametrize("name", MODULES)
def test_outputs_and_statistics_with_the_same_weights(name: str) -> None:
    """In training, where a batch is normalised by its own statistics, then in evaluation by those gathered in it."""
    ours, theirs = with_the_same_weights(name)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for training in (True, False):
        with torch.no_grad():
            expected = theirs.train(training)(images.clone())
            torch.testing.assert_close(ours.train(training)(images.clone()), expected, rtol=1e-6, atol=1e-9)
    statistics = [tensor for key, tensor in theirs.state_dict().items() if "running" in key or "tracked" in key]
    found = [tensor for key, tensor in ours.state_dict().items() if "running" in key or "tracked" in key]
    torch.testing.assert_close(found, statistics)
