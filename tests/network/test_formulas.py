"""The arithmetic of every formula, evaluated, gives the number beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.network.analysis import analyse
from alexplore.network.formulas import explain, explain_totals
from alexplore.network.graph import Network
from alexplore.network.memory import OptimizerState
from alexplore.presets.library import load_preset, shipped_names
from tests.support.examples import examples
from tests.support.formulas import check_explained, check_formulas
from tests.support.networks import networks


def explained(network: Network) -> None:
    for row in analyse(network).rows:
        check_explained(row, network)


@pytest.mark.parametrize("name", shipped_names())
def test_presets(name: str) -> None:
    explained(load_preset(name).network)


@examples(150)
@given(networks())
def test_any_network(network: Network) -> None:
    explained(network)


@examples(60)
@given(
    networks(),
    st.integers(1, 2000),
    st.builds(OptimizerState, st.just("any"), st.integers(0, 3), st.just("")),
    st.sampled_from([16, 32]),
)
def test_totals(network: Network, batch: int, state: OptimizerState, bits: int) -> None:
    analysis = analyse(network)
    formulas = explain_totals(analysis, batch, state, bits)
    check_formulas(formulas)
    values = {formula.quantity: formula.value for formula in formulas}
    totals, memory = analysis.totals, analysis.memory(batch, state, bits)
    assert values["params"] == totals.params
    assert values["MACs"] == totals.macs
    assert values["FLOPs"] == totals.flops
    assert values["training bytes"] == memory.total
    assert memory.total == memory.weights + memory.gradients + memory.optimizer + memory.activations


@pytest.mark.parametrize(
    ("preset", "layer", "text"),
    [
        ("torchvision", "conv1", "⌊(224 + 2·2 − 11) / 4⌋ + 1 = 55"),
        ("paper", "conv1", "(11·11·3 + 1) · 96 = 34,944"),
        ("paper", "conv1", "11·11·3 · 96 · 55·55 = 105,415,200"),
        ("paper", "conv2", "(5·5·48 + 1) · 256 = 307,456"),
        ("paper", "fc6", "(9,216 + 1) · 4,096 = 37,752,832"),
        ("paper", "fc6", "4 · 9,216 · (2 − 1) = 36,864"),
        ("paper", "conv2", "19 + (5 − 1)·8 = 51"),
        ("paper-release", "conv1", "⌊(224 + 0 + 3 − 11) / 4⌋ + 1 = 55"),
        ("fmnist-valid", "conv1", "max(0, 224 − ((54 − 1)·4 + 11)) = 1"),
        ("cifar10-relu", "pool1", "⌈(32 + 2·0 − 3) / 2⌉ + 1 = 16"),
        ("keras-bn", "bn1", "2·96 = 192"),
    ],
)
def test_as_people_write_it(preset: str, layer: str, text: str) -> None:
    network = load_preset(preset).network
    row = analyse(network).rows[network.index(layer)]
    assert text in [formula.text for formula in explain(row, network)]


def test_what_ceil_mode_and_same_do_is_told() -> None:
    network = load_preset("lenet").network
    pool = network.change(2, {"kernel_size": 2, "stride": 3, "ceil_mode": True, "padding": 1})
    row = analyse(pool.with_input(1, 11, 11)).rows[2]
    output = explain(row, pool)[0]
    assert output.text == "⌈(11 + 2·1 − 2) / 3⌉ + 1 − 1 = 4"
    assert "would start in the padding" in output.note
    same = network.change(0, {"padding": "same", "stride": 3})
    output = explain(analyse(same).rows[0], same)[0]
    assert output.text == "⌈28 / 3⌉ = 10"
    assert output.note == "padding max(0, (10 − 1)·3 + 5 − 28) = 4: 2 before, 2 after"
