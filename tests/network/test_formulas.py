"""Every formula's text, reckoned by a reader of its own, comes to the number beside it."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alexplore.network.analysis import analyse
from alexplore.network.formula import Formula
from alexplore.network.formulas import explain, explain_totals
from alexplore.network.graph import Network
from alexplore.presets.library import load_preset, shipped_names
from tests.support.networks import networks

QUANTITIES = {
    "output", "params", "MACs", "connections", "neurons", "receptive field", "jump", "start", "activation bytes",
    "unread border", "exchange bytes",
}  # fmt: skip


def reckon(expression: str) -> Fraction:
    """The value of an expression as a person would work it out."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", expression)
    for written, meant in {"·": "*", "−": "-", "⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")"}.items():
        text = text.replace(written, meant)
    return value_of(ast.parse(text, mode="eval").body)


OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def value_of(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int(value)):
            return Fraction(value)
        case ast.BinOp(left=left, op=op, right=right):
            return Fraction(OPERATORS[type(op)](value_of(left), value_of(right)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -value_of(operand)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            functions: dict[str, Callable[..., Fraction | int]] = {"floor": math.floor, "ceil": math.ceil, "max": max}
            return Fraction(functions[name](*map(value_of, arguments)))
    raise AssertionError(ast.dump(node))


def check(formulas: tuple[Formula, ...]) -> None:
    for formula in formulas:
        assert reckon(formula.expression) == formula.value, formula


def explained(network: Network) -> None:
    analysis = analyse(network)
    for row in analysis.rows:
        formulas = explain(row, network)
        if row.output is None:
            assert formulas == ()
            continue
        check(formulas)
        assert {formula.quantity.split(",")[0] for formula in formulas} == QUANTITIES
        values = {formula.quantity: formula.value for formula in formulas}
        assert values["params"] == row.params
        assert values["MACs"] == row.macs
        assert values["connections"] == row.connections
        assert values["neurons"] == row.neurons
        assert values["activation bytes"] == row.activation_bytes
        assert values["exchange bytes"] == row.exchange_bytes
        for quantity, pair in {
            "receptive field": (row.height.size, row.width.size),
            "jump": (row.height.jump, row.width.jump),
            "start": (row.height.start, row.width.start),
            "unread border": row.unread,
        }.items():
            both = values.get(quantity)
            assert (values.get(f"{quantity}, height", both), values.get(f"{quantity}, width", both)) == pair
        if row.layer.type == "conv2d" or "pool" in row.layer.type:
            both = values.get("output")
            assert (values.get("output, height", both), values.get("output, width", both)) == row.output[1:]
        else:
            assert values["output"] == math.prod(row.output)


@pytest.mark.parametrize("name", shipped_names())
def test_presets(name: str) -> None:
    explained(load_preset(name).network)


@settings(max_examples=150, deadline=None)
@given(networks())
def test_any_network(network: Network) -> None:
    explained(network)


@settings(max_examples=60, deadline=None)
@given(
    networks(),
    st.integers(1, 2000),
    st.sampled_from(["sgd", "adam", "adamw"]),
    st.sampled_from([0.0, 0.9]),
    st.sampled_from([16, 32]),
)
def test_totals(network: Network, batch: int, optimizer: str, momentum: float, bits: int) -> None:
    analysis = analyse(network)
    formulas = explain_totals(analysis, batch, optimizer, momentum, bits)
    check(formulas)
    values = {formula.quantity: formula.value for formula in formulas}
    totals, memory = analysis.totals, analysis.memory(batch, optimizer, momentum, bits)
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
