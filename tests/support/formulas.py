"""Evaluates the arithmetic of formulas, and compares it with the numbers that it explains."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable
from fractions import Fraction

from alexplore.network.formula import Formula
from alexplore.network.formulas import explain
from alexplore.network.graph import Network
from alexplore.network.row import Row

QUANTITIES = {
    "output", "params", "MACs", "connections", "neurons", "receptive field", "jump", "start", "activation bytes",
    "unread border", "exchange bytes",
}  # fmt: skip
"""The quantities that are explained for every layer."""

MEANINGS = {"·": "*", "−": "-", "⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")"}
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
FUNCTIONS: dict[str, Callable[..., Fraction | int]] = {"floor": math.floor, "ceil": math.ceil, "max": max}


def evaluate(expression: str) -> Fraction:
    """Return the value of an expression as people write it: `⌊(224 + 2·2 − 11) / 4⌋ + 1`."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", expression)
    for written, meant in MEANINGS.items():
        text = text.replace(written, meant)
    return _value(ast.parse(text, mode="eval").body)


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int(value)):
            return Fraction(value)
        case ast.BinOp(left=left, op=op, right=right):
            return Fraction(OPERATORS[type(op)](_value(left), _value(right)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return Fraction(FUNCTIONS[name](*map(_value, arguments)))
    raise AssertionError(ast.dump(node))


def check_formulas(formulas: Iterable[Formula]) -> None:
    """Check that each expression has the value beside it."""
    for formula in formulas:
        assert evaluate(formula.expression) == formula.value, formula


def check_explained(row: Row, network: Network) -> None:
    """Check that every number of a row is explained, by arithmetic that gives this number."""
    formulas = explain(row, network)
    if row.output is None:
        assert formulas == ()
        return
    check_formulas(formulas)
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
        assert _by_axis(values, quantity) == pair
    if row.layer.slides or row.layer.fixes_size:
        assert _by_axis(values, "output") == row.output[1:]
    else:
        assert values["output"] == math.prod(row.output)


def _by_axis(values: dict[str, int], quantity: str) -> tuple[int | None, int | None]:
    """Return the values for height and width, which may have one formula."""
    both = values.get(quantity)
    return values.get(f"{quantity}, height", both), values.get(f"{quantity}, width", both)
