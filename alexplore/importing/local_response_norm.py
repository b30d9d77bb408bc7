"""Local response normalisation: PyTorch calculates it with a dozen operators, which are recognised by their pattern.

    x / (k + alpha · mean of x² over the neighbours)^beta

The patterns are that of `F.local_response_norm`, and those of modules that were written before PyTorch had it: a mean
by `AvgPool3d` over channels, or by `AvgPool2d` within each channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch.fx import Node

from alexplore.importing.operations import RESHAPES, arguments, operator_name
from alexplore.importing.tracing import Trace

NAME = "local_response_norm"


@dataclass(frozen=True)
class Norm:
    """A normalisation of `source`, whose result is the node `output`; `inside` are all nodes between them."""

    source: Node
    output: Node
    inside: frozenset[Node]
    settings: dict[str, Any]


def find_norms(trace: Trace) -> Iterator[Norm]:
    """Yield the normalisations of a program."""
    for node in trace.program.graph.nodes:
        if node.op == "call_function" and operator_name(node) == "div":
            norm = _norm(node)
            if norm is not None:
                yield norm


class _NoNorm(Exception):
    """The operators are not those of a normalisation."""


def _norm(output: Node) -> Norm | None:
    try:
        return _match(output)
    except (_NoNorm, ValueError, IndexError, TypeError):
        return None


def _match(output: Node) -> Norm:
    """Return the normalisation that ends in a division.

    Raises:
        _NoNorm: it is another division.
    """
    inside: list[Node] = []

    def step(node: Any, *names: str) -> Node:
        """Return a node that calls one of some operators, and add it to the nodes inside the normalisation."""
        if not isinstance(node, Node) or node.op != "call_function" or operator_name(node) not in names:
            raise _NoNorm
        inside.append(node)
        return node

    def number(node: Node) -> tuple[Any, float]:
        """Return the node and the number that an operator reads."""
        first, second = arguments(node)[:2]
        if isinstance(first, Node) and isinstance(second, int | float):
            return first, float(second)
        if isinstance(second, Node) and isinstance(first, int | float):
            return second, float(first)
        raise _NoNorm

    source, denominator = arguments(output)[:2]
    power, beta = number(step(denominator, "pow"))
    scaled, k = number(step(power, "add"))
    mean, alpha = number(step(scaled, "mul"))
    while operator_name(mean) in RESHAPES:
        mean = arguments(step(mean, *RESHAPES))[0]
    pool = step(mean, "avg_pool3d", "avg_pool2d")
    region, size, before, after = _window(pool)
    squares = arguments(pool)[0]
    while operator_name(squares) in (*RESHAPES, "pad"):
        step(squares, *RESHAPES, "pad")
        if operator_name(squares) == "pad":
            sides = list(arguments(squares)[1])
            if any(arguments(squares)[2:]) and arguments(squares)[2] != "constant":
                raise _NoNorm
            sides += [0] * (6 - len(sides))
            own = sides[4:6] if region == "across_channels" else sides[0:2]
            others = sides[:4] if region == "across_channels" else sides[4:]
            if any(others) if region == "across_channels" else sides[0:2] != sides[2:4]:
                raise _NoNorm
            before, after = before + own[0], after + own[1]
        squares = arguments(squares)[0]
    square = step(squares, "mul", "pow", "square")
    squared: dict[str, tuple[Any, ...]] = {"mul": (source, source), "pow": (source, 2), "square": (source,)}
    if arguments(square) != squared[operator_name(square)]:
        raise _NoNorm
    if (before, after) != (size // 2, (size - 1) // 2):
        raise _NoNorm
    nodes = frozenset(inside)
    if any(user not in nodes and user is not output for node in nodes for user in node.users):
        raise _NoNorm
    settings = {"size": size, "alpha": alpha, "beta": beta, "k": k, "region": region}
    return Norm(source, output, nodes, settings)


def _window(pool: Node) -> tuple[str, int, int, int]:
    """Return the region of a mean, its size, and the padding that the pool itself does before and after."""
    kernel, stride, *rest = (list(one) if isinstance(one, list | tuple) else one for one in arguments(pool)[1:])
    padding = list(rest[0]) if rest and isinstance(rest[0], list) else [0] * len(kernel)
    if len(rest) > 1 or any(step != 1 for step in stride) or len(padding) != len(kernel):
        raise _NoNorm
    if len(kernel) == 3:
        if kernel[1:] != [1, 1] or padding[1:] != [0, 0]:
            raise _NoNorm
        return "across_channels", kernel[0], padding[0], padding[0]
    if kernel[0] != kernel[1] or padding[0] != padding[1]:
        raise _NoNorm
    return "within_channel", kernel[0], padding[0], padding[0]
