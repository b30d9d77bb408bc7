"""An operator of an imported model that no layer type describes, with its numbers as they were recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from alexplore.core.settings import Kind, flag, integer, layer_names, list_schema, setting, text
from alexplore.network.calls import Call
from alexplore.network.formula import Formula, join_notes, number_text
from alexplore.network.layers.base import Layer, Parameters, Unsupported
from alexplore.network.layers.weighted import FROZEN_NOTE
from alexplore.network.shapes import Shape, ShapeError, Shapes, shape_text

MOST = 2**63 - 1  # the largest integer of TOML
RECORDED = "recorded when the model was imported"


def _shape() -> Kind[Shape]:
    """Return the kind of shapes: a list of sizes without the batch."""
    integers = integer(1)

    def parse(value: Any) -> Shape:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError
        return tuple(map(integers.parse, value))

    return Kind("a list of integers ≥ 1", parse, list_schema(integers.schema, 1))


def _shapes() -> Kind[Shapes]:
    """Return the kind of lists of shapes."""
    shapes = _shape()

    def parse(value: Any) -> Shapes:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError
        return tuple(map(shapes.parse, value))

    return Kind("a list of shapes, each a list of integers ≥ 1", parse, list_schema(shapes.schema, 1))


class Opaque(Layer):
    """An operator of an imported model that no layer type describes.

    Its numbers are those that were recorded, for one image. It can't be edited, trained or exported as code, and it can
    read only inputs of the recorded shapes.
    """

    type = "opaque"
    title = "an operator that was imported"
    recorded = True
    name_stem = "opaque"
    most_inputs = None
    reads_whole_vector = True
    example = {  # noqa: RUF012 (a ClassVar of the base class)
        "operator": "permute",
        "recorded_inputs": [[8, 12, 10]],
        "recorded_output": [12, 10, 8],
    }
    inputs: tuple[str, ...] = setting(layer_names(0), (), "the layers that it reads")
    operator: str = setting(text(), doc="PyTorch's name of the operator", brief="{}")
    recorded_inputs: Shapes = setting(_shapes(), doc="shapes of its inputs, without the batch", brief="")
    recorded_output: Shape = setting(_shape(), doc="shape of its output, without the batch", brief="")
    recorded_params: int = setting(integer(0, MOST), 0, "parameters", brief="")
    recorded_buffers: int = setting(integer(0, MOST), 0, "numbers that it keeps and does not learn", brief="")
    recorded_macs: int = setting(integer(0, MOST), 0, "multiplications by weights for one image", brief="")
    reason: str = setting(text(), "no layer type describes it", "why it is opaque", brief="")
    trainable: bool = setting(flag(), True, "whether its parameters were trainable", brief="frozen")

    def output_shape(self, inputs: Shapes) -> Shape:
        if inputs != self.recorded_inputs:
            recorded, found = (", ".join(map(shape_text, shapes)) for shapes in (self.recorded_inputs, inputs))
            raise ShapeError(
                f"{self.name} is opaque ({self.operator}) and was recorded for inputs of {recorded}, gets {found}; "
                "import the model again with --input"
            )
        return self.recorded_output

    def parameters(self, inputs: Shapes) -> Parameters:
        return Parameters(self.recorded_params, buffers=self.recorded_buffers)

    def macs(self, inputs: Shapes, output: Shape, parameters: Parameters) -> int:
        return self.recorded_macs

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        for formula in super().output_formulas(inputs, output):
            yield formula._replace(note=f"{shape_text(output)}, {RECORDED}")

    def parameter_formula(self, inputs: Shapes) -> Formula:
        if not self.recorded_params:
            return super().parameter_formula(inputs)
        note = join_notes(RECORDED, "" if self.trainable else FROZEN_NOTE)
        return Formula("params", number_text(self.recorded_params), self.recorded_params, note)

    def refuse(self) -> NoReturn:
        """Refuse to convert the layer.

        Raises:
            Unsupported: always; the message gives the reason why there is no equivalent.
        """
        raise Unsupported(
            f"{self.name} is opaque: {self.operator} of an imported model ({self.reason}); it can be shown and counted "
            "but not edited, trained or exported as code"
        )

    def tower_share(self, towers: int) -> Layer:
        self.refuse()

    def torch_call(self, inputs: Shapes) -> Call:
        self.refuse()

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        self.refuse()
