"""The calls of an exported program, each with its inputs, its weights and its other arguments."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_aggregate
from torch.utils.flop_counter import FlopCounterMode

from alexplore.importing.tracing import Trace
from alexplore.network.shapes import Shape, elements

COUNTED = "aten"
"""The namespace of PyTorch's own operators, the only ones whose floating-point operations PyTorch counts."""

ALIASES = frozenset(["alias", "clone", "contiguous", "detach", "lift_fresh_copy", "to", "_to_copy", "positive"])
"""Operators whose output has the values of their input."""

ALIASES_OF_ONE = ("cat", "pad", "expand", "expand_as")
"""Operators that return their input unchanged if their output has the shape of their one input."""

EXPANSIONS = ("expand", "expand_as")
"""Operators that repeat values along axes of size 1."""

RESHAPES = frozenset(["view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten", "_unsafe_view"])
"""Operators that keep the order of the values if they keep their number."""


@dataclass(frozen=True)
class Operation:
    """A call of an operator.

    `call` is the node of the call; `node` is that of its output, another one only if the operator has several. Of its
    arguments, `inputs` depend on the images; `weights` are parameters and buffers, by the names of the arguments;
    `derived` were calculated without the images; `arguments` are all others that differ from their defaults.
    """

    trace: Trace
    node: Node
    call: Node
    name: str
    inputs: tuple[Node, ...]
    weights: Mapping[str, Node]
    derived: tuple[Node, ...]
    arguments: Mapping[str, Any]

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters that it reads, also through calculations that don't depend on the images."""
        return self._read(self.trace.parameters)

    @cached_property
    def buffers(self) -> tuple[str, ...]:
        """The names of all buffers that it reads."""
        return self._read(self.trace.buffers)

    @cached_property
    def before(self) -> tuple[Node, ...]:
        """All nodes that it reads and that don't depend on the images: parameters, buffers, calculations from them."""
        found: dict[Node, None] = {}
        stack = [*self.weights.values(), *self.derived]
        while stack:
            node = stack.pop(0)
            if node not in found:
                found[node] = None
                stack += node.all_input_nodes
        return tuple(found)

    def _read(self, names: Mapping[Node, str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names[node] for node in self.before if node in names))

    @property
    def module(self) -> tuple[str, str]:
        """The path of the innermost module that calls it, and the name of its class; empty for the model itself."""
        stack = self.call.meta.get("nn_module_stack") or {}
        path, cls = list(stack.values())[-1] if stack else ("", "")
        return str(path), cls if isinstance(cls, str) else f"{cls.__module__}.{cls.__qualname__}"

    def macs(self) -> int | None:
        """Return the multiplications by weights for one image, as PyTorch counts them; None if it can't."""
        if not self.parameters:
            return 0
        if getattr(self.call.target, "namespace", COUNTED) != COUNTED:
            return None
        flops = count_flops(self.call)
        return None if flops is None else flops // 2 // self.trace.batch


def read_operations(trace: Trace) -> Iterator[Operation]:
    """Yield the operations that the output depends on and that depend on the image, in the order in which they run."""
    needed, dependent = _needed(trace.output), _dependent(trace)
    for node in trace.program.graph.nodes:
        if node not in needed or node not in dependent or node.op == "placeholder":
            continue
        if node.target is operator.getitem:
            whole = node.args[0]
            if whole in dependent:
                yield _operation(trace, node, whole, dependent)
        elif isinstance(node.meta.get("val"), Tensor):
            yield _operation(trace, node, node, dependent)


def _operation(trace: Trace, node: Node, call: Node, dependent: set[Node]) -> Operation:
    """Return the operation of the node `call`, with the output `node`."""
    inputs: list[Node] = []
    weights: dict[str, Node] = {}
    derived: list[Node] = []
    arguments: dict[str, Any] = {}
    for key, value, default in _named_arguments(call):
        if isinstance(value, Node) and (value in trace.parameters or value in trace.buffers):
            weights[key] = value
            continue
        nodes = [one for one in (value if isinstance(value, list | tuple) else [value]) if isinstance(one, Node)]
        inputs += [one for one in nodes if one in dependent]
        derived += [one for one in nodes if one not in dependent]
        if not nodes and value != default:
            arguments[key] = value
    return Operation(trace, node, call, operator_name(call), tuple(inputs), weights, tuple(derived), arguments)


def count_flops(node: Node) -> int | None:
    """Return the floating-point operations of a call, as PyTorch counts them; None if it can't be called by itself."""

    def empty(value: Any) -> Any:
        if isinstance(value, Node):
            return map_aggregate(value.meta.get("val"), empty)
        if isinstance(value, Tensor):
            return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        return value

    arguments: Any = map_aggregate(node.args, empty)
    keywords: Any = map_aggregate(node.kwargs, empty)
    target: Any = node.target
    try:
        with FlopCounterMode(display=False) as counter:
            target(*arguments, **keywords)
    except Exception:  # an operator may raise anything on tensors without values
        return None
    return int(counter.get_total_flops())


def operator_name(node: Node) -> str:
    """Return an operator's name without its overload, and without the final `_` of in-place operators."""
    name = str(getattr(node.target, "__name__", node.target))
    return name.partition(".")[0].removesuffix("_") or name


def arguments(node: Node) -> tuple[Any, ...]:
    """Return the arguments of a call that have no keywords."""
    return tuple(node.args)


def sizes(node: Node) -> Shape:
    """Return the shape of a node's tensor, with the batch."""
    return tuple(int(size) for size in node.meta["val"].shape)


def image_shape(shape: Shape, batch: int) -> Shape:
    """Return the shape of the values of one image: never empty, and unchanged if they can't be divided by the batch.

    The batch is taken out of the first axis whose size is a multiple of it.
    """
    if elements(shape) % batch:
        return shape or (1,)
    axis = next((axis for axis, size in enumerate(shape) if size % batch == 0), None)
    if axis is None:
        return shape
    rest = shape[axis] // batch
    return (*shape[:axis], *([rest] if rest > 1 else []), *shape[axis + 1 :]) or (1,)


def _needed(output: Node) -> set[Node]:
    """Return the nodes that an output depends on, including itself."""
    found, stack = {output}, [output]
    while stack:
        for node in stack.pop().all_input_nodes:
            if node not in found:
                found.add(node)
                stack.append(node)
    return found


def _dependent(trace: Trace) -> set[Node]:
    """Return the nodes that depend on the images, including the images."""
    found = {trace.image}
    for node in trace.program.graph.nodes:
        if any(one in found for one in node.all_input_nodes):
            found.add(node)
    return found


def _named_arguments(node: Node) -> Iterator[tuple[str, Any, Any]]:
    """Yield the arguments of a call by their names, each with its default."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        yield from ((str(number), value, None) for number, value in enumerate(node.args))
        yield from ((key, value, None) for key, value in node.kwargs.items())
        return
    for number, argument in enumerate(schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        if number < len(node.args):
            yield argument.name, node.args[number], default
        elif argument.name in node.kwargs:
            yield argument.name, node.kwargs[argument.name], default
