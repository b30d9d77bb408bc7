"""Checks of everything that uses layers, for a layer in a small network: they fail for a type that is incomplete.

A test of a family of types runs them with settings that `layer_cases` does not generate:

    @pytest.mark.parametrize("check", LAYER_CHECKS)
    def test_one_slope_for_each_channel(check: LayerCheck) -> None:
        check(Case(PReLU, {"num_parameters": 8}))
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from alexplore.core.errors import AlexploreError
from alexplore.core.settings import setting_fields
from alexplore.export import export_preset
from alexplore.export.errors import ExportError
from alexplore.network.analysis import analyse
from alexplore.network.compare import compare
from alexplore.network.layers import read_layer, write_layer
from alexplore.presets.reader import parse_preset
from alexplore.presets.text import preset_text
from alexplore.training.errors import UsageError
from alexplore.training.model.build import build, build_layer
from alexplore.training.parallel.towers import place
from alexplore.tui.form import Form
from tests.support.exported import keras_model_with, torch_models
from tests.support.formulas import check_explained
from tests.support.layers import INPUT, TESTED, Case
from tests.support.memory import kept_bytes

TOWERS = 2

LayerCheck = Callable[[Case], None]


def is_refused(case: Case) -> bool:
    """Return whether the layer's numbers were recorded; check then that it is refused, with the reason, as a module."""
    if not case.cls.recorded:
        return False
    reason = getattr(case.layer, "reason", "")
    for attempt in (
        lambda: build(case.network),
        lambda: export_preset(case.preset, "pytorch"),
        lambda: export_preset(case.preset, "keras"),
    ):
        with pytest.raises(AlexploreError, match=rf"{TESTED} is opaque: .*{reason}"):
            attempt()
    return True


def check_form(case: Case) -> None:
    """Check that a form has a field for each setting, and returns the values that it was filled with."""
    values = {"inputs": list(case.layer.inputs), **case.layer.settings()}
    form = Form([case.cls], values, TESTED)
    assert [field.name for field in form.fields[1:]] == list(setting_fields(case.cls))
    typed = {name: value for name, value in form.values.items() if value is not None and name != "name"}
    assert read_layer({"name": TESTED, "type": case.cls.type, **typed}, "") == case.layer


def check_preset_text(case: Case) -> None:
    """Check that the text of a preset is read back."""
    assert parse_preset(preset_text(case.preset), Path("example.toml")).network == case.network
    assert read_layer(write_layer(case.layer), "") == case.layer


def check_summary(case: Case) -> None:
    """Check that each setting not at its default is in the summary, unless it is declared to be left out."""
    example = Case(case.cls, vector=case.vector).layer.summary()
    for key in case.settings:
        shown = setting_fields(case.cls)[key].metadata["brief"] != ""
        assert (case.layer.summary() != example) == shown


def check_formulas(case: Case) -> None:
    """Check that the arithmetic written out gives the numbers, with and without towers."""
    for network in (case.network, case.network.with_towers(TOWERS)):
        for row in analyse(network).rows:
            assert row.output is not None, row.error
            check_explained(row, network)


def check_shapes_and_parameters(case: Case) -> None:
    """Check the row against PyTorch's module, whose maps have their channels last in memory, as those it reads."""
    if is_refused(case):
        return
    row, model = case.row, build(case.network, seed=1).eval()
    seen: list[Tensor] = []
    module = model.get_submodule(TESTED)
    module.register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    with torch.no_grad():
        model(torch.randn(2, *case.network.input))
    assert row.output == tuple(seen[0].shape[1:])
    assert seen[0].dim() == 2 or seen[0].is_contiguous(memory_format=torch.channels_last)
    named = dict(module.named_parameters())
    assert row.params == sum(parameter.numel() for parameter in named.values())
    assert row.parameters.biases == sum(value.numel() for name, value in named.items() if name.endswith("bias"))
    assert row.trainable_params == sum(value.numel() for value in named.values() if value.requires_grad)
    state = [value for value in module.state_dict().values() if value.is_floating_point()]
    assert row.params + row.parameters.buffers == sum(value.numel() for value in state)


def check_memory(case: Case) -> None:
    """Check the bytes that are kept for an image, exactly, in fp32 and bf16.

    Copies of weights in 16 bits, and other tensors that are kept once for a batch, cancel out.
    """
    if is_refused(case):
        return
    analysis, model = analyse(case.network), build(case.network, seed=1).train()
    for bits, precision in ((32, torch.float32), (16, torch.bfloat16)):
        two, three = (kept_bytes(model, torch.randn(count, *INPUT), precision) for count in (2, 3))
        ours = analysis.memory(3, bits=bits).activations - analysis.memory(2, bits=bits).activations
        assert ours == three - two, f"{bits} bits: {analysis.memory(1, bits=bits).kept}"


def check_random(case: Case) -> None:
    """Check that a layer's outputs in training differ between calls only if its type declares `random`."""
    if is_refused(case):
        return
    module = build_layer(case.layer, case.row.inputs).train()
    inputs = [torch.randn(4, *shape) for shape in case.row.inputs]
    one, other = (module(*(values.clone() for values in inputs)) for _ in range(2))
    if not torch.equal(one, other):
        assert case.layer.random
    elif case.layer.random:
        assert case.settings  # such as a dropout of no values


def check_receptive_field(case: Case) -> None:
    """Check which pixels one output in the middle of a map depends on, by its gradient over all channels.

    Statistics of the whole map, which receptive fields leave out, have to be declared.
    """
    if is_refused(case):
        return
    row = case.row
    if row.output is None or len(row.inputs[0]) == 1 or len(row.output) == 1:
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
            if case.layer.uses_statistics:
                assert (first, last) == (0, len(sums) - 1)
                continue
            if window is None:
                place = position[axis] if len(sums) > 1 else 0  # an axis of size 1 is broadcast
                assert (first, last) == (place, place)
                continue
            assert last - first < window.extent
            if case.layer.slides:
                start = position[axis] * window.stride - window.before
                assert start <= first <= last < start + window.extent


def check_comparison(case: Case) -> None:
    """Check that a network is the same as itself, and differs from the example in these settings."""
    assert {pair.kind for pair in compare(case.network, case.network).pairs} == {"same"}
    example = Case(case.cls, vector=case.vector)
    own, examples = case.layer.compared_settings(), example.layer.compared_settings()
    (changed,) = [
        pair
        for pair in compare(case.network, example.network).pairs
        if pair.a is not None and pair.a.layer.name == TESTED
    ]
    assert changed.settings == {
        key: (own.get(key), examples.get(key)) for key in {**own, **examples} if own.get(key) != examples.get(key)
    }
    assert changed.settings or case.row.output == example.row.output


def check_pytorch_export(case: Case) -> None:
    """Check that exported code has the state_dict, the outputs and the gradients of the model that is trained."""
    if is_refused(case):
        return
    theirs, ours = (model.double().train() for model in torch_models(case.preset))
    assert [(name, value.shape) for name, value in theirs.state_dict().items()] == [
        (name, value.shape) for name, value in ours.state_dict().items()
    ]
    assert [value.requires_grad for value in theirs.parameters()] == [
        value.requires_grad for value in ours.parameters()
    ]
    torch.testing.assert_close(_outputs_and_gradients(theirs), _outputs_and_gradients(ours))


def _outputs_and_gradients(model: nn.Module) -> dict[str, Tensor]:
    """Return the output and all gradients of a model, for the same images and random numbers every time."""
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(3, *INPUT, generator=generator, dtype=torch.float64).requires_grad_()
    torch.manual_seed(3)
    output: Tensor = model(images)
    torch.autograd.backward(output, torch.randn(output.shape, generator=generator, dtype=torch.float64))
    found = {"output": output, "gradient of the images": images.grad}
    found |= {f"gradient of {name}": value.grad for name, value in model.named_parameters()}
    return {name: value.detach() for name, value in found.items() if value is not None}


def check_keras_export(case: Case) -> None:
    """Check that exported Keras code has the outputs of the model, or is refused with a reason."""
    if is_refused(case):
        return
    ours = build(case.network, seed=1).double().eval()
    try:
        model = keras_model_with(case.preset, dict(ours.state_dict()))
    except ExportError as refused:
        reason = str(refused).removeprefix("example can't be exported to Keras: ")
        assert reason.startswith(TESTED) and len(reason) > len(f"{TESTED}: ")
        return
    totals = analyse(case.network).totals
    assert model.count_params() == totals.params + totals.buffers
    assert sum(weight.numpy().size for weight in model.trainable_weights) == totals.trainable_params
    images = torch.randn(2, *INPUT, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.no_grad():
        expected, found = ours(images), model(images.permute(0, 2, 3, 1)).detach().cpu()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def check_order_of_features(case: Case) -> None:
    """Check that reordering the features of a vector reorders the outputs alike, if `features_in_any_order` is set.

    Its parameters are reordered too.
    """
    (features, *size), *others = case.row.inputs
    if size or others or case.layer.neurons:
        return
    if len(case.row.output or ()) != 1:
        assert not case.layer.features_in_any_order
        return
    module = build_layer(case.layer, case.row.inputs).double().eval()
    values = torch.randn(3, features, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    order = torch.randperm(features, generator=torch.Generator().manual_seed(3))
    expected = module(values)[:, order]
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.shape == (features,):
                value.copy_(value[order])
    assert not case.layer.features_in_any_order or torch.allclose(module(values[:, order]), expected)


def check_keras_initial_weights(case: Case) -> None:
    """Check that weights that are not drawn, such as scales and shifts, begin in Keras as in PyTorch."""
    if is_refused(case):
        return
    ours = list(build(case.network).get_submodule(TESTED).parameters())
    if case.layer.neurons or not ours:
        return
    try:
        fresh = keras_model_with(case.preset, {}).get_layer(TESTED)
    except ExportError:
        return
    trained = [weight for weight in fresh.weights if "moving" not in weight.name]
    for value, variable in zip(ours, trained, strict=True):
        torch.testing.assert_close(torch.from_numpy(variable.numpy()).flatten(), value.detach().double().flatten())


def check_mermaid(case: Case) -> None:
    """Check that the layer is in the diagram."""
    assert f"<b>{TESTED}</b> {case.cls.type}" in export_preset(case.preset, "mermaid")


def check_json(case: Case) -> None:
    """Check that the layer is in the JSON, its entry and its numbers."""
    values = json.loads(export_preset(case.preset, "json"))
    (entry,) = [layer for layer in values["layers"] if layer["name"] == TESTED]
    assert read_layer(entry, "") == case.layer
    (row,) = [row for row in values["analysis"]["layers"] if row["name"] == TESTED]
    assert (row["type"], row["output"], row["error"]) == (case.cls.type, list(case.row.output or ()), None)


def check_towers(case: Case) -> None:
    """Check that the shares of two towers have the outputs and gradients of the whole, or are refused with a reason."""
    network = case.network.with_towers(TOWERS)
    try:
        placed = place(network)[network.index(TESTED)]
    except UsageError as refused:
        assert str(refused).partition(" can't be split: ")[2], refused
        return
    assert placed.split
    whole = build_layer(case.layer, case.row.inputs).double().eval()
    values = torch.randn(2, *case.row.inputs[0], dtype=torch.float64, requires_grad=True)
    output = whole(values)
    toward = torch.randn_like(output)
    output.backward(toward)
    gradient = torch.zeros_like(values)
    for tower in range(TOWERS):
        own = values.detach() if placed.reads == "all" else _channels_of(values.detach(), tower)
        own.requires_grad_()
        share = build_layer(placed.layer, (tuple(own.shape[1:]),)).double().eval()
        share.load_state_dict({name: _share_of(value, tower) for name, value in whole.state_dict().items()})
        found = share(own)
        torch.testing.assert_close(found, _channels_of(output, tower))
        found.backward(_channels_of(toward, tower))
        assert own.grad is not None
        (gradient if placed.reads == "all" else _channels_of(gradient, tower)).add_(own.grad)
        for part, one in zip(share.parameters(), whole.parameters(), strict=True):
            if one.grad is not None and part.grad is not None:
                torch.testing.assert_close(part.grad, _share_of(one.grad, tower))
    assert values.grad is not None
    torch.testing.assert_close(gradient, values.grad)


def _share_of(weight: Tensor, tower: int) -> Tensor:
    """Return a tower's share of a weight."""
    return weight.chunk(TOWERS)[tower] if weight.dim() else weight


def _channels_of(values: Tensor, tower: int) -> Tensor:
    """Return a tower's share of the channels or features."""
    return values.chunk(TOWERS, 1)[tower]


LAYER_CHECKS: tuple[LayerCheck, ...] = (
    check_form,
    check_preset_text,
    check_summary,
    check_formulas,
    check_shapes_and_parameters,
    check_memory,
    check_random,
    check_receptive_field,
    check_comparison,
    check_pytorch_export,
    check_keras_export,
    check_order_of_features,
    check_keras_initial_weights,
    check_mermaid,
    check_json,
    check_towers,
)
