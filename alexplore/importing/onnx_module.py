"""An ONNX graph as an nn.Module: each node is a child that calls PyTorch's function for the operator.

The module is traced like any other. Shapes and other constants that the graph calculates are calculated by ONNX's own
reference implementation. An operator that is not known here is traced as an operator without a kernel, whose output has
the shape that ONNX infers, and becomes an opaque layer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alexplore.importing.errors import SourceError, reason_text
from alexplore.importing.onnx_operators import (
    FUNCTIONS,
    OF_SIZES,
    PLAIN,
    SETTINGS,
    WEIGHTED,
    Attributes,
    NotDescribed,
    operand,
    rounded,
)
from alexplore.importing.tracing import Input
from alexplore.network.shapes import Shape

INSTALL = "pip install 'alexplore[onnx]'"
INSTEAD = "export the PyTorch model with torch.export.save as .pt2"


def load_onnx(path: Path, source: str) -> tuple[nn.Module, Input | None, int]:
    """Return the module of an ONNX file in evaluation mode, its image size (channels, height, width), and its batch.

    The size is None, and the batch 1, if the file does not fix them.

    Raises:
        SourceError: onnx is not installed, the file can't be read, or it has operators that contain graphs.
    """
    try:
        import onnx
    except ImportError:
        raise SourceError(f"{source}: reading ONNX files needs the package onnx: {INSTALL}") from None
    if not path.is_file():
        raise SourceError(f"{source}: no such file")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:
        raise SourceError(f"{source}: onnx can't read it: {reason_text(error)}") from error
    graph = model.graph
    nested = sorted({node.op_type for node in graph.node if any(one.HasField("g") for one in node.attribute)})
    if nested:
        raise SourceError(
            f"{source}: {', '.join(nested)} can't be imported: the network decides what to do as it runs; {INSTEAD}"
        )
    values = {one.name for one in graph.initializer}
    images = [one for one in graph.input if one.name not in values]
    if len(images) != 1 or len(graph.output) != 1:
        raise SourceError(
            f"{source}: it has {len(images)} inputs and {len(graph.output)} outputs; a network here has one of each"
        )
    batch, *sizes = [one.dim_value for one in images[0].type.tensor_type.shape.dim] or [0]
    size = (sizes[0], sizes[1], sizes[2]) if len(sizes) == 3 and all(sizes) else None
    return OnnxModule(model, images[0].name, source).eval(), size, batch or 1


@dataclass(frozen=True)
class Output:
    """The shape and type of an operator's output."""

    shape: Shape
    dtype: torch.dtype


OPERATORS = "onnx"
"""The namespace of operators that have no kernel."""


@cache
def operator_without_kernel(kind: str) -> Callable[[list[Tensor], list[int], torch.dtype], Tensor]:
    """Return an operator that can be traced but not run: its output has the shape and dtype that it is called with."""
    name = re.sub(r"\W", "_", kind)
    torch.library.define(f"{OPERATORS}::{name}", "(Tensor[] inputs, SymInt[] shape, ScalarType dtype) -> Tensor")

    def empty(inputs: list[Tensor], shape: list[int], dtype: torch.dtype) -> Tensor:
        return inputs[0].new_empty(shape, dtype=dtype)

    torch.library.register_fake(f"{OPERATORS}::{name}", empty)
    operator: Callable[[list[Tensor], list[int], torch.dtype], Tensor] = getattr(getattr(torch.ops, OPERATORS), name)
    return operator


def infer_output(node: Any, inputs: list[Any], output: str, opsets: Any) -> Output | None:
    """Return the shape and type that ONNX infers for an output of a node, given its inputs; None if it can't.

    An input is a tensor, of which only shape and dtype are used, or a constant as a NumPy array.
    """
    from onnx import helper, numpy_helper, shape_inference

    known = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info(name, ELEMENT_TYPES.get(value.dtype, 0), list(value.shape))
            for name, value in known.items()
            if isinstance(value, Tensor)
        ],
        [helper.make_empty_tensor_value_info(output)],
        [numpy_helper.from_array(value, name) for name, value in known.items() if isinstance(value, np.ndarray)],
    )
    (found,) = shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets), data_prop=True).graph.output
    inferred = found.type.tensor_type
    sides = [one.dim_value for one in inferred.shape.dim]
    dtype = next((dtype for dtype, code in ELEMENT_TYPES.items() if code == inferred.elem_type), None)
    return Output(tuple(sides), dtype) if sides and all(sides) and dtype is not None else None


ELEMENT_TYPES: Mapping[torch.dtype, int] = {
    torch.float32: 1, torch.uint8: 2, torch.int8: 3, torch.int16: 5, torch.int32: 6, torch.int64: 7, torch.bool: 9,
    torch.float16: 10, torch.float64: 11, torch.bfloat16: 16,
}  # fmt: skip
"""ONNX's number of each dtype. Source: `TensorProto.DataType` in onnx.proto."""


OF_SHAPES = ("Shape", "Size")
"""Operators that read the shape of their input alone."""

MOVING = ("Expand", "Reshape", "Resize", "Slice", "Tile")
"""Operators that fit a weight to the number or the size of the images, such as a class token to each image."""


def can_be_weight(value: Any) -> bool:
    """Return whether a constant can be a weight: whole numbers, and a number without axes, are none."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim > 0


class OnnxNode(nn.Module):
    """One operator with its weights, each a parameter or buffer; None marks an input that `forward` is called with."""

    def __init__(self, kind: str, attributes: Attributes, weights: list[Tensor | None]) -> None:
        super().__init__()
        self.kind, self.attributes, self.count = kind, attributes, len(weights)
        for number, value in enumerate(weights):
            if isinstance(value, nn.Parameter):
                self.register_parameter(f"weight{number}", value)
            elif value is not None:
                self.register_buffer(f"weight{number}", value)

    def forward(self, *inputs: Any, infer: Callable[[], Output], first: bool) -> Any:
        """Return the operator's first output, or another one if `first` is False.

        Other outputs, and outputs that PyTorch has no function for, are tensors without values, of the shape and dtype
        that `infer` returns.
        """
        given = iter(inputs)
        names = (f"weight{number}" for number in range(self.count))
        values = [getattr(self, name) if hasattr(self, name) else next(given) for name in names]
        with suppress(NotDescribed):
            if first and self.kind in PLAIN and "axis" not in self.attributes:  # that of operators before opset 7
                return PLAIN[self.kind](*(values if self.kind in OF_SIZES else map(operand, values)))
            if first and self.kind in FUNCTIONS:
                return FUNCTIONS[self.kind](self.attributes, list(self._with_tensors(values)))
        output, tensors = infer(), [value for value in values if isinstance(value, Tensor)]
        return operator_without_kernel(self.kind)(tensors, list(output.shape), output.dtype)

    def _with_tensors(self, values: list[Any]) -> Iterator[Any]:
        """Yield the inputs, with weights that the graph calculates from constants as tensors."""
        for number, value in enumerate(values):
            tensor = can_be_weight(value) and number not in SETTINGS.get(self.kind, ())
            yield torch.from_numpy(value) if tensor else value


class OnnxModule(nn.Module):
    """The nodes of a graph in order; `forward` gives its output for images.

    What the graph calculates from constants alone is calculated once, and is a constant too.
    """

    def __init__(self, model: Any, images: str, source: str) -> None:
        super().__init__()
        from onnx import helper, numpy_helper

        graph = model.graph
        self.model, self.source = model, source
        self.images, self.result = images, graph.output[0].name
        self.opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
        self.constants = {one.name: np.array(numpy_helper.to_array(one)) for one in graph.initializer}
        self.weights = {name for name, value in self.constants.items() if can_be_weight(value)}
        self.steps: list[tuple[Any, str | None]] = []
        made: dict[tuple[int, str], Tensor] = {}
        modules = {images}  # values that modules calculate
        for node in graph.node:
            if all(one in self.constants for one in node.input if one):
                self._add_constants(node)
                continue
            of_weight = node.op_type in MOVING and node.input[0] in self.weights
            if node.op_type in OF_SHAPES or not (of_weight or modules.intersection(node.input)):
                self.steps.append((node, None))
                continue
            modules.update(node.output)
            attributes = {one.name: rounded(helper.get_attribute_value(one)) for one in node.attribute}
            kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
            weights = [self._weight(kind, number, one, attributes, made) for number, one in enumerate(node.input)]
            if kind in ("Softmax", "LogSoftmax") and self.opset < 13:  # then over the axis and all that follow it
                attributes = {"axis": 1, **attributes, "to_end": True}
            if kind == "PRelu" and weights[1] is not None:
                attributes = {"slopes": self.constants[node.input[1]].shape}
            name = self._free_name(node)
            self.add_module(name, OnnxNode(kind, attributes, weights))
            self.steps.append((node, name))

    def _add_constants(self, node: Any) -> None:
        """Calculate the outputs of a node that reads only constants, and keep which of them are weights.

        Those are literals and what is calculated from weights. A literal of a single value is a number, such as the 0.5
        in x · 0.5; and an array into which ScatterND puts values, as exporters make masks, is no weight by that.

        Raises:
            SourceError: ONNX can't calculate them.
        """
        inputs = [self.constants.get(one) for one in node.input]
        if node.op_type == "Identity":  # exporters share weights like this
            outputs = inputs
        else:
            try:
                outputs = self._constant(node, inputs)
            except Exception as error:
                raise SourceError(
                    f"{self.source}: {node.op_type} ({node.name or node.output[0]}) can't be imported: "
                    f"{reason_text(error)}; {INSTEAD}"
                ) from error
        calculated = dict(zip(node.output, outputs, strict=False))
        self.constants.update(calculated)
        sources = node.input[:1] if node.op_type == "ScatterND" else node.input
        of_weights = node.op_type == "DequantizeLinear" or not self.weights.isdisjoint(sources)
        for name, value in calculated.items():
            if can_be_weight(value) and (of_weights or (node.op_type == "Constant" and value.size > 1)):
                self.weights.add(name)

    def _weight(
        self, kind: str, number: int, name: str, attributes: Attributes, made: dict[tuple[int, str], Tensor]
    ) -> Tensor | None:
        """Return a weight as a parameter or buffer; None for other inputs, for numbers, and for settings."""
        value = self.constants.get(name)
        is_weight = name in self.weights or kind in WEIGHTED
        if value is None or not is_weight or number in SETTINGS.get(kind, ()):
            return None
        if kind == "PRelu":
            value = value.reshape(-1)
        if not can_be_weight(value):
            return None
        product = kind == "MatMul" or (kind == "Gemm" and not attributes.get("transB", 0))
        use = ""
        if product and number == 1 and value.ndim == 2:
            value, use = value.T, "transposed"
        elif kind == "PRelu":
            use = "slopes"
        elif kind == "BatchNormalization" and number in (3, 4):
            use = "statistics"
        key = id(self.constants[name]), use
        if key not in made:
            tensor = torch.from_numpy(np.ascontiguousarray(value))
            made[key] = tensor if use == "statistics" else nn.Parameter(tensor)
        return made[key]

    def _free_name(self, node: Any) -> str:
        name = re.sub(r"\W+", "_", node.name or f"{node.op_type}_{len(self.steps)}").strip("_") or node.op_type
        while hasattr(self, name):
            name += "_"
        return name

    def forward(self, images: Tensor) -> Tensor:
        """Return the output for (N, C, H, W) images."""
        values: dict[str, Any] = {**self.constants, self.images: images, "": None}
        read = {self.result, *(one for node, _ in self.steps for one in node.input)}
        for node, name in self.steps:
            inputs = [values[one] for one in node.input]
            if node.op_type in OF_SHAPES:
                inputs = [np.broadcast_to(np.float32(0), inputs[0].shape)]  # takes no memory
            if name is None:
                values.update(zip(node.output, self._constant(node, inputs), strict=False))
            else:
                child = self.get_submodule(name)
                assert isinstance(child, OnnxNode)
                given = [one for number, one in enumerate(inputs) if not hasattr(child, f"weight{number}")]
                for number, output in enumerate(node.output):
                    if output in read:
                        values[output] = child(
                            *given, infer=partial(self._output, node, inputs, output), first=number == 0
                        )
        result: Tensor = values[self.result]
        return result

    def _output(self, node: Any, inputs: list[Any], output: str) -> Output:
        """Return the shape and dtype of an output.

        Raises:
            SourceError: they are not known.
        """
        inferred = infer_output(node, inputs, output, self.model.opset_import)
        if inferred is None:
            raise SourceError(
                f"{self.source}: {node.op_type} ({node.name or output}) can't be imported: ONNX does not know the "
                f"shape of its output; {INSTEAD}"
            )
        return inferred

    def _constant(self, node: Any, inputs: list[Any]) -> list[Any]:
        """Return the outputs of a node that reads only constants."""
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        outputs = [helper.make_tensor_value_info(one, 0, None) for one in node.output]
        given = [helper.make_tensor_value_info(one, 0, None) for one in node.input if one]
        graph = helper.make_graph([node], "constant", given, outputs)
        opsets = self.model.opset_import
        if node.op_type == "DequantizeLinear":  # of which the evaluator does not have the older definitions
            opsets = [helper.make_opsetid("", max(self.opset, 19))]
        model = helper.make_model(graph, opset_imports=opsets)
        values = {one: value for one, value in zip(node.input, inputs, strict=True) if one}
        evaluator: Any = ReferenceEvaluator(model)
        found = evaluator.run(None, values)
        return [np.require(one, requirements="W") if isinstance(one, np.ndarray) else one for one in found]
