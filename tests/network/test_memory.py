"""Training memory against what PyTorch really keeps: saved tensors, gradients, optimizer state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from torch import Tensor, nn

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.network.layers import LAYER_TYPES
from alexplore.network.layers.conv2d import Conv2d
from alexplore.network.row import Row
from alexplore.presets.library import load_preset, shipped_names
from alexplore.presets.preset import Preset
from alexplore.presets.recipe import Recipe
from alexplore.training.model.build import build
from tests.support.examples import examples
from tests.support.memory import kept_bytes
from tests.support.networks import networks, presets_to_run, quick_to_run

BATCH = 2


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", presets_to_run())
def test_presets(name: str) -> None:
    """What is kept for each image, and all of it at the preset's batch size, where what is kept once counts too.

    Kept once are 16-bit copies of the weights, and copies in the layout that a processor convolves fastest. No weights
    are drawn: their values do not matter, and the largest networks have 60 million.
    """
    preset = quick_to_run(load_preset(name))
    with torch.device("meta"):
        model = build(preset.network).train()
    model.to_empty(device="cpu")
    for bits in (32, 16):
        check_kept(preset, model, bits)


def check_kept(preset: Preset, model: nn.Module, bits: int) -> None:
    network = preset.network
    precision = torch.bfloat16 if bits == 16 else torch.float32
    two, three = (kept_bytes(model, torch.zeros(n, *network.input), precision) for n in (2, 3))
    analysis, recipe = analyse(network), preset.recipe
    an_image = analysis.memory(3, bits=bits).activations - analysis.memory(2, bits=bits).activations
    assert an_image == pytest.approx(three - two, rel=0.05)

    parameters = sum(parameter.nbytes for parameter in model.parameters())
    statistics = sum(buffer.nbytes for buffer in model.buffers())
    remembered = 2 * parameters if recipe.optimizer == "adam" else parameters
    kept = two + (recipe.batch_size - 2) * (three - two)
    memory = analysis.memory(recipe.batch_size, recipe.optimizer_state, bits)
    assert memory.total == pytest.approx(parameters + statistics + parameters + remembered + kept, rel=0.05)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("name", shipped_names())
def test_parameters_gradients_and_optimizer_state(name: str, optimizer: str) -> None:
    """On the meta device, where tensors have sizes and no memory."""
    network = load_preset(name).network
    with torch.device("meta"):
        model = build(network)
    for parameter in model.parameters():
        parameter.grad = torch.empty_like(parameter)
    make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
    steps = make(model.parameters(), lr=0.1, **({"momentum": 0.9} if optimizer == "sgd" else {}))
    steps.step()
    state = [tensor for kept in steps.state.values() for tensor in kept.values() if isinstance(tensor, Tensor)]
    floats = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    memory = analyse(network).memory(BATCH, Recipe(optimizer=optimizer).optimizer_state)
    assert memory.weights == sum(tensor.nbytes for tensor in floats)
    assert memory.gradients == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    assert memory.optimizer == pytest.approx(sum(tensor.nbytes for tensor in state), rel=0.05)


def test_sgd_without_momentum_remembers_nothing() -> None:
    assert analyse(load_preset("lenet").network).memory(1, Recipe(momentum=0.0).optimizer_state).optimizer == 0


def test_frozen_layers_have_no_gradients_and_keep_nothing_before_the_first_that_trains() -> None:
    network = load_preset("lenet").network
    for index in (0, 3):
        network = network.change(index, {"trainable": False})
    memory = analyse(network).memory(BATCH, Recipe(optimizer="adam").optimizer_state)
    trainable = 48120 + 10164 + 850
    assert (memory.gradients, memory.optimizer) == (4 * trainable, 8 * trainable)
    kept = kept_bytes(build(network).train(), torch.zeros(BATCH, 1, 28, 28), torch.float32)
    assert memory.activations == pytest.approx(kept, rel=0.05)


@pytest.mark.parametrize("bits", [32, 16])
@examples(50)
@given(network=networks(working=True))
def test_activations_of_any_network(network: Network, bits: int) -> None:
    """For each image, to the byte."""
    if analyse(network).totals.params == 0:
        return
    assume(not any(map(has_either_layout, analyse(network).rows)))
    try:
        check_an_image(network, bits)
    except ValueError:  # batch norm over a single value
        return


def has_either_layout(row: Row) -> bool:
    """Return whether PyTorch may write a layer's output with channels first: all that it reads has either layout."""
    return isinstance(row.layer, Conv2d) and row.layer.kernel_size in (1, (1, 1)) and row.inputs[0][0] == 1


def test_a_dropout_that_drops_nothing_is_its_input() -> None:
    layers = [
        {"type": "conv2d", "out_channels": 2, "kernel_size": 3},
        {"type": "relu"},
        {"type": "dropout", "p": 0.0},
        {"type": "conv2d", "out_channels": 1, "kernel_size": 2},
        {"type": "dropout2d", "p": 0.0},
        {"type": "conv2d", "out_channels": 1, "kernel_size": 2},
    ]
    for bits in (32, 16):
        check_an_image(read_network({"input": [2, 6, 6], "layers": layers}), bits)


def check_an_image(network: Network, bits: int) -> None:
    model, analysis = build(network).train(), analyse(network)
    precision = torch.bfloat16 if bits == 16 else torch.float32
    two, three = (kept_bytes(model, torch.zeros(n, *network.input), precision) for n in (2, 3))
    ours = analysis.memory(3, bits=bits).activations - analysis.memory(2, bits=bits).activations
    assert ours == three - two, analysis.memory(1, bits=bits).kept


@pytest.mark.parametrize("bits", [32, 16])
@pytest.mark.parametrize("frozen", [(), ("a",), ("a", "b"), ("c",)])
@pytest.mark.parametrize(
    "factors",
    [
        ("a", "input"),
        ("a", "a"),
        ("a", "b", "c"),
        ("c", "a", "b"),
        ("a", "b", "c", "a"),
        ("input", "input", "a"),
        ("a", "input", "input"),
        ("a", "b", "input", "c"),
        ("gate", "a", "b"),
    ],
)
def test_products(factors: tuple[str, ...], frozen: tuple[str, ...], bits: int) -> None:
    """Of layers some of which do not train, and of the image, which is fp32 always."""
    convolutions = [
        {"name": name, "type": "conv2d", "out_channels": 3, "kernel_size": 1, "inputs": ["input"]} for name in "abc"
    ]
    layers = [
        *[{**layer, "trainable": layer["name"] not in frozen} for layer in convolutions],
        {"name": "gate", "type": "adaptive_avg_pool2d", "output_size": 1},
        {"name": "product", "type": "mul", "inputs": list(factors)},
        {"name": "used", "type": "concat", "inputs": ["a", "b", "c", "product"]},
        {"name": "all", "type": "mul", "inputs": ["used", "gate1"]},
    ]
    layers.insert(-1, {"name": "gate1", "type": "conv2d", "out_channels": 12, "kernel_size": 1, "inputs": ["gate"]})
    check_an_image(read_network({"input": [3, 8, 6], "layers": layers}), bits)


READS_VECTORS = ("linear", "unflatten")
READS_A_SUM_WITH_THE_IMAGE = [
    {"type": name, **cls.example}
    for name, cls in LAYER_TYPES.items()
    if cls.most_inputs == 1 and name not in READS_VECTORS
]


@pytest.mark.parametrize("entry", READS_A_SUM_WITH_THE_IMAGE, ids=lambda entry: entry["type"])
def test_layers_that_read_fp32_under_autocast(entry: dict[str, Any]) -> None:
    """A sum with the image is fp32; so is what is made of it, up to the next convolution or linear layer."""
    layers = [
        {"name": "conv", "type": "conv2d", "out_channels": 4, "kernel_size": 1},
        {"name": "sum", "type": "add", "inputs": ["conv", "input"]},
        {"name": "read", **entry},
        {"name": "tanh", "type": "tanh"},
        {"name": "flat", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 2},
    ]
    check_an_image(read_network({"input": [4, 8, 6], "layers": layers}), 16)
