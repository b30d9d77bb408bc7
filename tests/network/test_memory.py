"""Training memory against what PyTorch really keeps: saved tensors, gradients, optimizer state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from torch import Tensor

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.presets.library import load_preset, shipped_names
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


@pytest.mark.parametrize("bits", [32, 16])
@pytest.mark.parametrize("name", presets_to_run())
def test_presets(name: str, bits: int) -> None:
    """What is kept for each image, and all of it at the preset's batch size, where what is kept once counts too.

    Kept once are 16-bit copies of the weights, and copies in the layout that a processor convolves fastest.
    """
    preset = quick_to_run(load_preset(name))
    network = preset.network
    model = build(network).train()
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


@examples(50)
@given(networks(working=True))
def test_activations_of_any_network(network: Network) -> None:
    """Within an eighth, or a few numbers: tiny networks show what large ones hide."""
    analysis = analyse(network)
    images = torch.zeros(BATCH, *network.input)
    try:
        kept = kept_bytes(build(network).train(), images, torch.float32)
    except ValueError:  # batch norm over a single value
        return
    if analysis.totals.params == 0:
        return
    assert analysis.memory(BATCH).activations == pytest.approx(kept, rel=0.125, abs=256)
