"""One layer's numbers."""

from __future__ import annotations

from typing import NamedTuple

from alexplore.network.graph import Network
from alexplore.network.layers.base import FP32_BYTES, NO_PARAMETERS, Layer, Parameters
from alexplore.network.receptive_field import Axis
from alexplore.network.shapes import Shape, Shapes, elements
from alexplore.network.windows import Windows


class Fix(NamedTuple):
    """The description of a change with which a broken layer can read its input, and the network after it."""

    text: str
    network: Network


class Row(NamedTuple):
    """One layer's numbers for one image; `output` is None if they could not be computed.

    `sources` are the positions of the layers that it reads (see `Network.sources`) and `inputs` the shapes of their
    outputs. `windows` are the windows of one output over the layer's input (height, width), None if it reads one
    position; `height` and `width` are its receptive field. `unread` counts the border pixels (height, width) that no
    window covers. `fixes` are for a layer with an `error`. It is a named tuple because creating frozen dataclasses
    takes five times as long, which would be a third of the time of an edit.
    """

    index: int  # type: ignore[assignment]  # the number of the layer, from 1; it hides the method of tuples
    layer: Layer
    sources: tuple[int, ...] = ()
    inputs: Shapes = ()
    output: Shape | None = None
    windows: Windows | None = None
    parameters: Parameters = NO_PARAMETERS
    macs: int = 0
    connections: int = 0
    neurons: int = 0
    height: Axis = Axis()
    width: Axis = Axis()
    unread: tuple[int, int] = (0, 0)
    exchange_bytes: int = 0
    error: str | None = None
    fixes: tuple[Fix, ...] = ()

    @property
    def input(self) -> Shape | None:
        """The shape of the first input, None if it could not be computed."""
        return self.inputs[0] if self.inputs else None

    @property
    def params(self) -> int:
        """Parameters, weights and biases together."""
        return self.parameters.total

    @property
    def trainable_params(self) -> int:
        """Parameters that the optimizer may change."""
        return self.parameters.total if self.layer.trains else 0

    @property
    def activation_bytes(self) -> int:
        """Bytes of the output for one image in fp32."""
        return 0 if self.output is None else FP32_BYTES * elements(self.output)
