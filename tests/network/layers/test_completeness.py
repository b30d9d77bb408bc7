"""Every layer type through everything that reads layers: what a new type lacks, fails here."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from alexplore.core.settings import read_value, setting_fields
from alexplore.export import export_preset
from alexplore.export.errors import ExportError
from alexplore.network.analysis import analyse
from alexplore.network.compare import compare
from alexplore.network.graph import read_network
from alexplore.network.layers import LAYER_TYPES, read_layer, write_layer
from alexplore.network.layers.base import Layer
from alexplore.presets.preset import Preset
from alexplore.presets.reader import parse_preset
from alexplore.presets.text import preset_text
from alexplore.training.errors import UsageError
from alexplore.training.model.build import build, build_layer
from alexplore.training.parallel.towers import place
from alexplore.tui.form import Form
from tests.support.exported import keras_model_with, torch_models
from tests.support.formulas import check_explained
from tests.support.layers import FIRST, FLATTEN, INPUT, TESTED, Case, Entry, layer_cases
from tests.support.memory import kept_bytes

CASES = tuple(layer_cases())
of_each_type = pytest.mark.parametrize("cls", LAYER_TYPES.values(), ids=list(LAYER_TYPES))
of_each_case = pytest.mark.parametrize("case", CASES, ids=map(str, CASES))

TOWERS = 2


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def layer_in(preset: Preset) -> Layer:
    return preset.network.layers[preset.network.index(TESTED)]


# The declarations.


@of_each_type
def test_declarations(cls: type[Layer]) -> None:
    assert cls.title and cls.__doc__
    for key, field in setting_fields(cls).items():
        kind = field.metadata["kind"]
        assert field.metadata["doc"] and kind.allowed, key
        if field.default is not MISSING:
            assert read_value(key, kind, field.default) == field.default
        else:
            assert key in cls.example or key == "inputs", f"a new {cls.type} has no {key}"


@of_each_case
def test_form(case: Case) -> None:
    values = {"inputs": list(case.layer.inputs), **case.layer.settings()}
    form = Form([case.cls], values, TESTED)
    assert [field.name for field in form.fields[1:]] == list(setting_fields(case.cls))
    typed = {name: value for name, value in form.values.items() if value is not None and name != "name"}
    assert read_layer({"name": TESTED, "type": case.cls.type, **typed}, "") == case.layer


@of_each_case
def test_preset_text(case: Case) -> None:
    text = preset_text(case.preset)
    assert layer_in(parse_preset(text, Path("example.toml"))) == case.layer
    assert read_layer(write_layer(case.layer), "") == case.layer


@of_each_case
def test_summary(case: Case) -> None:
    """Each setting that is not at its default changes the summary, unless it is declared to be left out."""
    example = Case(case.cls, {}).layer.summary()
    for key in case.settings:
        shown = setting_fields(case.cls)[key].metadata["brief"] != ""
        assert (case.layer.summary() != example) == shown


# The numbers.


@of_each_case
@pytest.mark.parametrize("towers", [1, TOWERS])
def test_formulas_give_the_numbers(case: Case, towers: int) -> None:
    network = case.network.with_towers(towers)
    for row in analyse(network).rows:
        assert row.output is not None, row.error
        check_explained(row, network)


@of_each_case
def test_shapes_and_parameters_are_pytorchs(case: Case) -> None:
    row, model = case.row, build(case.network, seed=1).eval()
    seen: list[Tensor] = []
    module = model.get_submodule(TESTED)
    module.register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    with torch.no_grad():
        model(torch.randn(2, *case.network.input))
    assert row.output == tuple(seen[0].shape[1:])
    named = dict(module.named_parameters())
    assert row.params == sum(parameter.numel() for parameter in named.values())
    assert row.parameters.biases == sum(value.numel() for name, value in named.items() if name.endswith("bias"))
    assert row.trainable_params == sum(value.numel() for value in named.values() if value.requires_grad)
    state = [value for value in module.state_dict().values() if value.is_floating_point()]
    assert row.params + row.parameters.buffers == sum(value.numel() for value in state)


@of_each_case
@pytest.mark.parametrize("bits", [32, 16])
def test_memory_is_what_autograd_keeps_for_an_image(case: Case, bits: int) -> None:
    """To the byte. Copies of weights in 16 bits, and whatever else is kept once for a batch, cancel out."""
    analysis, model = analyse(case.network), build(case.network, seed=1).train()
    precision = torch.bfloat16 if bits == 16 else torch.float32
    two, three = (kept_bytes(model, torch.randn(count, *INPUT), precision) for count in (2, 3))
    assert analysis.memory(3, bits=bits).activations - analysis.memory(2, bits=bits).activations == three - two


@of_each_case
def test_an_output_depends_on_its_receptive_field_alone(case: Case) -> None:
    """By the gradient of one output in the middle, over all channels of random maps."""
    row = case.row
    if len(row.inputs[0]) == 1 or row.output is None or len(row.output) == 1:
        return
    module = build_layer(case.layer, row.inputs).double().eval()
    inputs = [torch.randn(4, *shape, dtype=torch.float64, requires_grad=True) for shape in row.inputs]
    position = [size // 2 for size in row.output[1:]]
    module(*inputs)[:, :, position[0], position[1]].square().sum().backward()
    for values in inputs:
        assert values.grad is not None
        reached = values.grad.abs().sum((0, 1))
        for axis, sums in enumerate((reached.sum(1), reached.sum(0))):
            first, last = int(sums.nonzero()[0]), int(sums.nonzero()[-1])
            window = row.windows[axis] if row.windows else None
            if window is None:
                assert (first, last) == (position[axis], position[axis])
            elif window.kernel < len(sums):
                start = position[axis] * window.stride - window.before
                assert case.layer.fixes_size or start <= first <= last < start + window.extent
                assert last - first < window.extent


# What is broken.


def wrong_inputs(cls: type[Layer]) -> Iterator[list[Entry]]:
    """Yield layers that end in one of a type that reads a map, a vector, or both at once."""
    case = Case(cls, {})
    yield case.ending([FIRST])
    yield case.ending([FIRST, FLATTEN])
    if cls.fewest_inputs > 1:
        *before, layer = case.ending([FIRST])
        yield [*before, FLATTEN, {**layer, "inputs": [layer["inputs"][0], FLATTEN["name"]]}]


@of_each_type
def test_a_wrong_rank_is_refused_with_fixes(cls: type[Layer]) -> None:
    for layers in wrong_inputs(cls):
        network = read_network({"input": INPUT, "layers": layers})
        broken = analyse(network).broken
        if broken is None:
            continue
        assert broken.layer.name == TESTED
        assert broken.fixes, broken.error
        for fix in broken.fixes:
            fixed = analyse(fix.network)
            assert TESTED in [row.layer.name for row in fixed.computed], fix.text


# Comparison.


@of_each_case
def test_compared_with_itself(case: Case) -> None:
    assert {pair.kind for pair in compare(case.network, case.network).pairs} == {"same"}
    other = compare(case.network, Case(case.cls, {}).network)
    changed = [pair for pair in other.pairs if pair.a is not None and pair.a.layer.name == TESTED]
    assert changed[0].settings.keys() == set(case.settings)


@of_each_type
def test_compared_with_every_type(cls: type[Layer]) -> None:
    """Two layers of one role are compared with each other; others are not."""
    one = Case(cls, {})
    for other_cls in LAYER_TYPES.values():
        other = Case(other_cls, {})
        pairs = compare(one.network, other.network).pairs
        together = [pair for pair in pairs if pair.a and pair.b and {pair.a.layer.name, pair.b.layer.name} == {TESTED}]
        if (cls.role or cls.type) != (other_cls.role or other_cls.type):
            assert not together
        elif cls is not other_cls:
            assert [pair.kind for pair in together] == ["changed"]


# PyTorch and Keras.


@of_each_case
def test_exported_pytorch_code_has_the_outputs_and_gradients_of_the_model(case: Case) -> None:
    theirs, ours = (model.double().train() for model in torch_models(case.preset))
    assert [(name, value.shape) for name, value in theirs.state_dict().items()] == [
        (name, value.shape) for name, value in ours.state_dict().items()
    ]
    assert [value.requires_grad for value in theirs.parameters()] == [
        value.requires_grad for value in ours.parameters()
    ]
    torch.testing.assert_close(gradients(theirs), gradients(ours))


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Return the outputs and all gradients of a model for the same images and random numbers."""
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(3, *INPUT, generator=generator, dtype=torch.float64).requires_grad_()
    torch.manual_seed(3)
    output: Tensor = model(images)
    torch.autograd.backward(output, torch.randn(output.shape, generator=generator, dtype=torch.float64))
    found = {"output": output, "gradient of the images": images.grad}
    found |= {f"gradient of {name}": value.grad for name, value in model.named_parameters()}
    return {name: value.detach() for name, value in found.items() if value is not None}


@of_each_case
@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="needs keras: pip install keras")
def test_exported_keras_code_has_the_outputs_of_the_model_or_is_refused(case: Case) -> None:
    ours = build(case.network, seed=1).eval()
    try:
        model = keras_model_with(case.preset, dict(ours.state_dict()))
    except ExportError as refused:
        reason = str(refused).removeprefix("example can't be exported to Keras: ")
        assert reason.startswith(TESTED) and len(reason) > len(f"{TESTED}: ")
        return
    totals = analyse(case.network).totals
    assert model.count_params() == totals.params + totals.buffers
    assert sum(weight.numpy().size for weight in model.trainable_weights) == totals.trainable_params
    images = torch.randn(2, *INPUT, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected, found = ours(images), model(images.permute(0, 2, 3, 1)).detach().cpu()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@of_each_type
def test_initial_weights_of_keras_are_pytorchs(cls: type[Layer]) -> None:
    """Where they are not drawn: scales, shifts and slopes."""
    case = Case(cls, {})
    ours = build(case.network).get_submodule(TESTED)
    if case.layer.neurons or not list(ours.parameters()):
        return
    fresh = keras_model_with(case.preset, {}).get_layer(TESTED)
    trained = [value.detach().flatten() for value in ours.parameters()]
    for value, variable in zip(trained, fresh.trainable_weights, strict=True):
        torch.testing.assert_close(torch.from_numpy(variable.numpy()).flatten(), value)


# Other forms.


@of_each_case
def test_mermaid(case: Case) -> None:
    assert f"<b>{TESTED}</b> {case.cls.type}" in export_preset(case.preset, "mermaid")


@of_each_case
def test_json(case: Case) -> None:
    values = json.loads(export_preset(case.preset, "json"))
    (entry,) = [layer for layer in values["layers"] if layer["name"] == TESTED]
    assert read_layer(entry, "") == case.layer
    (row,) = [row for row in values["analysis"]["layers"] if row["name"] == TESTED]
    assert (row["type"], row["output"], row["error"]) == (case.cls.type, list(case.row.output or ()), None)


# Towers.


@of_each_case
def test_towers_hold_shares_with_the_same_outputs_and_gradients_or_are_refused(case: Case) -> None:
    network = case.network.with_towers(TOWERS)
    try:
        places = place(network)
    except UsageError as refused:
        assert str(refused).partition(" can't be split: ")[2], refused
        return
    placed = places[network.index(TESTED)]
    assert placed.split
    whole = build_layer(case.layer, case.row.inputs).double().eval()
    values = torch.randn(2, *case.row.inputs[0], dtype=torch.float64, requires_grad=True)
    output = whole(values)
    toward = torch.randn_like(output)
    output.backward(toward)
    gradient = torch.zeros_like(values)
    for tower in range(TOWERS):
        own = values.detach() if placed.reads == "all" else values.detach().chunk(TOWERS, 1)[tower]
        own.requires_grad_()
        share = build_layer(placed.layer, (tuple(own.shape[1:]),)).double().eval()
        share.load_state_dict({name: part(value, tower) for name, value in whole.state_dict().items()})
        found = share(own)
        torch.testing.assert_close(found, part_of_channels(output, tower))
        found.backward(part_of_channels(toward, tower))
        assert own.grad is not None
        (gradient if placed.reads == "all" else part_of_channels(gradient, tower)).add_(own.grad)
        for ours, theirs in zip(share.parameters(), whole.parameters(), strict=True):
            if theirs.grad is not None and ours.grad is not None:
                torch.testing.assert_close(ours.grad, part(theirs.grad, tower))
    assert values.grad is not None
    torch.testing.assert_close(gradient, values.grad)


def part(value: Tensor, tower: int) -> Tensor:
    """Return a tower's share of a weight."""
    return value.chunk(TOWERS)[tower] if value.dim() else value


def part_of_channels(values: Tensor, tower: int) -> Tensor:
    return values.chunk(TOWERS, 1)[tower]
