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
from alexplore.importing.onnx_operators import FUNCTIONS, PLAIN, SETTINGS, Attributes, NotDescribed, operand
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
            if first and self.kind in PLAIN:
                return PLAIN[self.kind](*(value if self.kind == "Reshape" else operand(value) for value in values))
            if first and self.kind in FUNCTIONS:
                return FUNCTIONS[self.kind](self.attributes, list(self._with_tensors(values)))
        output, tensors = infer(), [value for value in values if isinstance(value, Tensor)]
        return operator_without_kernel(self.kind)(tensors, list(output.shape), output.dtype)

    def _with_tensors(self, values: list[Any]) -> Iterator[Any]:
        """Yield the inputs, with weights that the graph calculates from constants as tensors."""
        for number, value in enumerate(values):
            is_weight = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim
            yield torch.from_numpy(value) if is_weight and number not in SETTINGS.get(self.kind, ()) else value


class OnnxModule(nn.Module):
    """The nodes of a graph in order; `forward` gives its output for images."""

    def __init__(self, model: Any, images: str, source: str) -> None:
        super().__init__()
        from onnx import helper, numpy_helper

        graph = model.graph
        self.model, self.source = model, source
        self.images, self.result = images, graph.output[0].name
        self.constants = {one.name: np.array(numpy_helper.to_array(one)) for one in graph.initializer}
        self.opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
        self.steps: list[tuple[Any, str | None]] = []
        made: dict[tuple[int, bool], Tensor] = {}
        dependent = {images}
        for node in graph.node:
            attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
            if node.op_type == "Identity" and node.input[0] in self.constants:  # exporters share weights like this
                self.constants[node.output[0]] = self.constants[node.input[0]]
            if node.op_type == "Shape" or not dependent.intersection(node.input):
                self.steps.append((node, None))
                continue
            dependent.update(node.output)
            kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
            weights = [self._weight(kind, number, one, attributes, made) for number, one in enumerate(node.input)]
            if kind in ("Softmax", "LogSoftmax") and self.opset < 13:  # then over the axis and all that follow it
                attributes = {"axis": 1, **attributes, "to_end": True}
            name = self._free_name(node)
            self.add_module(name, OnnxNode(kind, attributes, weights))
            self.steps.append((node, name))

    def _weight(
        self, kind: str, number: int, name: str, attributes: Attributes, made: dict[tuple[int, bool], Tensor]
    ) -> Tensor | None:
        """Return an initializer as a parameter or buffer; None for other inputs, for numbers, and for settings."""
        value = self.constants.get(name)
        if value is None or value.dtype.kind != "f" or not value.ndim or number in SETTINGS.get(kind, ()):
            return None
        product = kind == "MatMul" or (kind == "Gemm" and not attributes.get("transB", 0))
        transposed = product and number == 1 and value.ndim == 2
        if (id(value), transposed) not in made:
            tensor = torch.from_numpy(np.ascontiguousarray(value.T if transposed else value))
            buffer = kind == "BatchNormalization" and number in (3, 4)
            made[id(value), transposed] = tensor if buffer else nn.Parameter(tensor)
        return made[id(value), transposed]

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
            if node.op_type == "Shape":
                values[node.output[0]] = np.array(inputs[0].shape, dtype=np.int64)
            elif name is None or not any(isinstance(one, Tensor) for one in inputs):
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
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        values = {one: value for one, value in zip(node.input, inputs, strict=True) if one}
        evaluator: Any = ReferenceEvaluator(model)
        return list(evaluator.run(None, values))
