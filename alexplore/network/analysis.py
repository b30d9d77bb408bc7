"""A network's numbers: a row for every layer and the totals, by arithmetic alone.

A layer that can't read its input does not end the table: its row holds the reason and the changes that would mend it,
and the rows after it are empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from alexplore.network.graph import Network, first_weighted, reads
from alexplore.network.layers import NO_PARAMETERS, Conv2d, Flatten, Layer, Linear, Parameters, Pool2d, Windows
from alexplore.network.memory import FP32_BYTES, TrainingMemory, training_memory
from alexplore.network.shapes import Shape, ShapeError, elements
from alexplore.network.windows import Window

if TYPE_CHECKING:
    from alexplore.network.fixes import Proposal


class Axis(NamedTuple):
    """What one output sees of one axis of the input, in input pixels.

    `size` pixels, `jump` pixels between neighbouring outputs, the first output's window beginning at pixel `start`
    (negative inside the padding). Source: Araujo, Norris & Sim, "Computing Receptive Fields of Convolutional Neural
    Networks", Distill 2019, equations 1 to 3, with dilation.
    """

    size: int = 1
    jump: int = 1
    start: int = 0

    def through(self, window: Window) -> Axis:
        """After one more window."""
        return Axis(
            self.size + (window.extent - 1) * self.jump,
            self.jump * window.stride,
            self.start - window.before * self.jump,
        )

    def before(self, window: Window) -> Axis:
        """The inverse of `through`."""
        jump = self.jump // window.stride
        return Axis(self.size - (window.extent - 1) * jump, jump, self.start + window.before * jump)


@dataclass(frozen=True, slots=True)
class Row:
    """One layer's numbers for one sample; `output` is None where they could not be computed.

    `windows` are what one output reads of the layer's input, along height and width, None where it reads one position;
    `height` and `width` are what it sees of the network's input.
    """

    index: int
    layer: Layer
    input: Shape | None = None
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
    proposals: tuple[Proposal, ...] = ()

    @property
    def params(self) -> int:
        """Parameters, weights and biases together."""
        return self.parameters.count

    @property
    def trainable_params(self) -> int:
        """Parameters that the optimizer may change."""
        return self.parameters.count if self.layer.trains else 0

    @property
    def activation_bytes(self) -> int:
        """Bytes of the output of one sample in fp32."""
        return 0 if self.output is None else FP32_BYTES * elements(self.output)


class Totals(NamedTuple):
    """Sums over the layers that could be computed, for one sample and fp32."""

    params: int
    trainable_params: int
    buffers: int
    macs: int
    neurons: int
    connections: int
    weight_bytes: int
    activation_bytes: int
    exchange_bytes: int

    @property
    def flops(self) -> int:
        """Floating-point operations of a forward pass: a multiplication and an addition for every MAC."""
        return 2 * self.macs


@dataclass(frozen=True)
class Analysis:
    """All numbers of a network."""

    network: Network
    rows: tuple[Row, ...]

    @cached_property
    def totals(self) -> Totals:
        """Sums over the rows."""
        params = trainable = buffers = macs = neurons = connections = activations = exchanged = 0
        for row in self.rows:  # one pass: this runs at every keystroke of an edit
            count = row.parameters.count
            params += count
            trainable += count if row.layer.trains else 0
            buffers += row.parameters.buffers
            macs += row.macs
            neurons += row.neurons
            connections += row.connections
            activations += row.activation_bytes
            exchanged += row.exchange_bytes
        return Totals(
            params=params,
            trainable_params=trainable,
            buffers=buffers,
            macs=macs,
            neurons=neurons,
            connections=connections,
            weight_bytes=FP32_BYTES * params,
            activation_bytes=activations,
            exchange_bytes=exchanged,
        )

    @property
    def broken(self) -> Row | None:
        """The row with an error, if there is one."""
        return next((row for row in self.rows if row.error), None)

    def memory(self, batch: int = 1, optimizer: str = "sgd", momentum: float = 0.9, bits: int = 32) -> TrainingMemory:
        """What training takes on the device; see `training_memory`."""
        return training_memory(self.network, self.computed, batch, optimizer, momentum, bits)

    def smallest_input(self) -> tuple[int, int, int] | None:
        """The smallest square input with as many channels that every layer can read, None without one up to 512."""
        channels = self.network.input[0]
        if not self.network.layers:
            return channels, 1, 1
        last = self.network.layers[-1].name
        sizes = ((channels, side, side) for side in range(1, 513))
        return next((size for size in sizes if reads(self.network.with_input(*size), last)), None)

    @property
    def computed(self) -> tuple[Row, ...]:
        """The rows that have numbers."""
        return tuple(row for row in self.rows if row.output is not None)


class Incoming(NamedTuple):
    """What reaches a layer from those before it.

    `flattened` are the windows of a whole map that was made a vector: whatever reads the vector reads the whole map.
    """

    shape: Shape | None
    height: Axis = Axis()
    width: Axis = Axis()
    flattened: Windows | None = None

    def after(self, row: Row) -> Incoming:
        """What reaches the layer behind `row`."""
        flattened = self.flattened
        if isinstance(row.layer, Linear):
            flattened = None
        elif isinstance(row.layer, Flatten) and self.shape is not None and len(self.shape) == 3:
            flattened = (Window(self.shape[1], 1), Window(self.shape[2], 1))
        return Incoming(row.output, row.height, row.width, flattened)


def analyse(network: Network, before: Analysis | None = None) -> Analysis:
    """Every number of every layer; rows of an earlier analysis are kept where all that they follow from is the same."""
    return Analysis(network, tuple(_rows(network, before)))


def _rows(network: Network, before: Analysis | None) -> Iterator[Row]:
    first = first_weighted(network)
    comparable = before and before.network.towers == network.towers and first_weighted(before.network) == first
    known = before.rows if before and comparable else ()
    incoming = Incoming(network.input)
    incoming_before = Incoming(before.network.input) if before else incoming
    for position, layer in enumerate(network.layers):
        row_before = known[position] if position < len(known) else None
        if row_before and row_before.layer is layer and row_before.output and incoming == incoming_before:
            yield row_before
            incoming = incoming_before = incoming.after(row_before)
            continue
        row = _row(network, position, incoming, exchanges=position != first)
        yield row
        incoming = incoming.after(row)
        if row_before:
            incoming_before = incoming_before.after(row_before)


def _row(network: Network, position: int, incoming: Incoming, *, exchanges: bool) -> Row:
    layer, shape = network.layers[position], incoming.shape
    if shape is None:
        return Row(position + 1, layer)
    try:
        output = layer.output_shape(shape)
    except ShapeError as error:
        from alexplore.network.fixes import proposals, proposals_text

        mends = proposals(network, position, shape)
        return Row(position + 1, layer, shape, error=f"{error}: {proposals_text(mends)}", proposals=mends)
    windows = incoming.flattened if isinstance(layer, Linear) else layer.windows(shape)
    height, width, unread = incoming.height, incoming.width, (0, 0)
    if windows is not None:
        height, width = height.through(windows[0]), width.through(windows[1])
        if isinstance(layer, Conv2d | Pool2d):
            unread = (windows[0].unread(shape[1]), windows[1].unread(shape[2]))
    parameters = layer.parameters(shape)
    positions = elements(output[1:]) if layer.neurons else 0  # how often each kernel is applied
    return Row(
        index=position + 1,
        layer=layer,
        input=shape,
        output=output,
        windows=windows,
        parameters=parameters,
        macs=parameters.weights * positions,
        connections=parameters.count * positions,
        neurons=output[0] * positions,
        height=height,
        width=width,
        unread=unread,
        exchange_bytes=exchange_bytes(network, layer, shape) if positions and exchanges else 0,
    )


def exchange_bytes(network: Network, layer: Layer, shape: Shape) -> int:
    """Bytes that cross between towers for one image in fp32 so that `layer` can read all of its input.

    Every tower sends its share to each of the others: 4 × input elements × (towers − 1). Layers in groups read their
    own tower alone, and so does everything without weights (paper, figure 2).
    """
    if getattr(layer, "groups", 1) > 1:
        return 0
    return FP32_BYTES * elements(shape) * (network.towers - 1)
