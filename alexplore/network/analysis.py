"""A network's numbers: a row for every layer and the totals, by arithmetic alone.

The row of a layer that can't read its input holds the reason and the changes that would fix it. The rows of the layers
that depend on it are empty; all others are computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from alexplore.network.effort import Effort
from alexplore.network.graph import Network
from alexplore.network.layers.base import FP32_BYTES, NO_PARAMETERS, Layer
from alexplore.network.layers.flatten import Flatten
from alexplore.network.memory import MOMENTUM, OptimizerState, TrainingMemory, training_memory
from alexplore.network.receptive_field import Axis, union
from alexplore.network.row import Row
from alexplore.network.shape_inference import reads_all
from alexplore.network.shapes import Shape, ShapeError, Shapes, elements
from alexplore.network.windows import Window, Windows


class Totals(NamedTuple):
    """Sums over the layers that could be computed, for one image in fp32; `partial` is true if some could not."""

    params: int
    trainable_params: int
    buffers: int
    macs: int
    neurons: int
    connections: int
    weight_bytes: int
    activation_bytes: int
    exchange_bytes: int
    partial: bool

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
        params = trainable = buffers = macs = neurons = connections = values = exchanged = 0
        partial = False
        for row in self.rows:  # one pass: this runs at every keystroke of an edit
            if row.output is None:
                partial = True
                continue
            values += elements(row.output)
            macs += row.macs
            if row.parameters is not NO_PARAMETERS:
                count = row.parameters.total
                params += count
                trainable += count if row.layer.trains else 0
                buffers += row.parameters.buffers
            if row.neurons:
                neurons += row.neurons
                connections += row.connections
                exchanged += row.exchange_bytes
        return Totals(
            params=params,
            trainable_params=trainable,
            buffers=buffers,
            macs=macs,
            neurons=neurons,
            connections=connections,
            weight_bytes=FP32_BYTES * params,
            activation_bytes=FP32_BYTES * values,
            exchange_bytes=exchanged,
            partial=partial,
        )

    def row(self, name: str) -> Row | None:
        """Return the row of the layer with a name, None if there is none."""
        return next((row for row in self.rows if row.layer.name == name), None)

    @property
    def output(self) -> Shape | None:
        """The shape of the network's output, None if it could not be computed."""
        return self.rows[-1].output if self.rows else self.network.input

    @property
    def broken(self) -> Row | None:
        """The first row with an error, if there is one."""
        return next((row for row in self.rows if row.error), None)

    def memory(self, batch: int = 1, state: OptimizerState = MOMENTUM, bits: int = 32) -> TrainingMemory:
        """Return the bytes that training takes, with activations of `bits` bits; see `training_memory`."""
        asked = batch, state, bits
        if asked not in self._memory:
            self._memory[asked] = training_memory(self.network, self.computed, batch, state, bits)
        return self._memory[asked]

    @cached_property
    def _memory(self) -> dict[tuple[int, OptimizerState, int], TrainingMemory]:
        """The memory that training takes, by batch size, optimizer state and bits."""
        return {}

    def smallest_input(self) -> tuple[int, int, int] | None:
        """Return the smallest square input (channels, height, width) that every layer can read.

        None if no input of up to 512×512 pixels is large enough.
        """
        channels = self.network.input[0]
        if not self.network.layers:
            return channels, 1, 1
        sizes = ((channels, side, side) for side in range(1, 513))
        return next((size for size in sizes if reads_all(self.network, size)), None)

    @property
    def computed(self) -> tuple[Row, ...]:
        """The rows that have numbers."""
        return tuple(row for row in self.rows if row.output is not None)


class Signal(NamedTuple):
    """The output of a layer, with what its readers need to know about it.

    `height` and `width` are the receptive field of one value; `whole_height` and `whole_width` are that of all values
    together. If the output is a flattened map, `flattened` are windows over that whole map, because a layer that reads
    the vector reads the whole map. `split` is true if each tower holds a part of the output.
    """

    shape: Shape | None
    height: Axis = Axis()
    width: Axis = Axis()
    whole_height: Axis = Axis()
    whole_width: Axis = Axis()
    flattened: Windows | None = None
    split: bool = False


def analyse(network: Network, before: Analysis | None = None) -> Analysis:
    """Return all numbers of a network; rows of the earlier analysis `before` are reused where nothing changed."""
    return Analysis(network, tuple(_rows(network, before)))


def _rows(network: Network, before: Analysis | None) -> Iterator[Row]:
    known = before.rows if before and before.network.towers == network.towers else ()
    sources = network.sources
    signals, signals_before = [Signal(network.input)], [Signal(before.network.input) if before else Signal(None)]
    effort = Effort()
    for position, layer in enumerate(network.layers):
        read = _read(signals, sources[position])
        row_before = known[position] if position < len(known) else None
        row = None
        if row_before:
            read_before = _read(signals_before, row_before.sources)
            signals_before.append(_signal(row_before, read_before))
            same = row_before.layer is layer and row_before.sources == sources[position]
            if same and row_before.output and read == read_before:
                row = row_before
        if row is None:
            row = _row(network, position, signals, read, effort)
            signals.append(_signal(row, read))
        else:
            signals.append(signals_before[-1])
        yield row


def _read(signals: list[Signal], sources: tuple[int, ...]) -> tuple[Signal, ...]:
    """Return the signals of the layers at `sources`; most layers read one."""
    if len(sources) == 1:
        return (signals[sources[0] + 1],)
    return tuple([signals[source + 1] for source in sources])


def _signal(row: Row, read: tuple[Signal, ...]) -> Signal:
    """Return the signal of a row's layer, which reads the signals `read`."""
    layer, output, height, width = row.layer, row.output, row.height, row.width
    if output is None:
        return Signal(None)
    split = layer.neurons or (read[0].split if len(read) == 1 else any(signal.split for signal in read))
    if len(output) == 3 or layer.reads_whole_vector:
        return Signal(output, height, width, height, width, None, split)
    if isinstance(layer, Flatten) and len(row.inputs[0]) == 3:
        _, rows, columns = row.inputs[0]
        windows = Window(rows, 1), Window(columns, 1)
        return Signal(output, height, width, height.through(windows[0]), width.through(windows[1]), windows, split)
    if len(read) == 1:
        return Signal(output, height, width, read[0].whole_height, read[0].whole_width, read[0].flattened, split)
    whole = union([signal.whole_height for signal in read]), union([signal.whole_width for signal in read])
    flattened = {signal.flattened for signal in read}
    return Signal(output, height, width, *whole, flattened.pop() if len(flattened) == 1 else None, split)


def _row(network: Network, position: int, signals: list[Signal], read: tuple[Signal, ...], effort: Effort) -> Row:
    """Return the numbers of one layer, which reads the signals `read` among the earlier `signals`."""
    layer, sources = network.layers[position], network.sources[position]
    inputs = _shapes(read)
    if inputs is None:
        return Row(position + 1, layer, sources)
    try:
        output = layer.output_shape(inputs)
    except ShapeError as error:
        return _broken_row(network, position, [signal.shape for signal in signals], inputs, error, effort)
    height, width, windows = _receptive_field(layer, inputs, output, read)
    parameters = layer.parameters(inputs)
    positions = elements(output[1:]) if layer.neurons else 0  # how often each kernel is applied
    slides = windows is not None and layer.slides
    return Row(
        index=position + 1,
        layer=layer,
        sources=sources,
        inputs=inputs,
        output=output,
        windows=windows,
        parameters=parameters,
        macs=layer.macs(inputs, output, parameters),
        connections=parameters.total * positions if positions else 0,
        neurons=output[0] * positions,
        height=height,
        width=width,
        unread=(windows[0].unread(inputs[0][1]), windows[1].unread(inputs[0][2])) if windows and slides else (0, 0),
        exchange_bytes=_exchange_bytes(network, layer, read) if layer.neurons else 0,
    )


def _shapes(read: tuple[Signal, ...]) -> Shapes | None:
    if len(read) == 1:
        shape = read[0].shape
        return None if shape is None else (shape,)
    shapes = tuple(signal.shape for signal in read if signal.shape is not None)
    return shapes if len(shapes) == len(read) else None


def _broken_row(
    network: Network, position: int, shapes: list[Shape | None], inputs: Shapes, error: ShapeError, effort: Effort
) -> Row:
    from alexplore.network.fixes import find_fixes, fixes_text  # needed only for a broken network

    fixes = find_fixes(network, position, shapes, effort)
    reason = f"{error}: {fixes_text(fixes)}" if fixes else str(error)
    return Row(position + 1, network.layers[position], network.sources[position], inputs, error=reason, fixes=fixes)


def _receptive_field(
    layer: Layer, inputs: Shapes, output: Shape, read: tuple[Signal, ...]
) -> tuple[Axis, Axis, Windows | None]:
    """Return the receptive field of one output (height, width), and the windows that it reads of the layer's input."""
    if len(read) > 1:
        heights, widths = [signal.height for signal in read], [signal.width for signal in read]
        return union(heights, _moving(heights, inputs, 1)), union(widths, _moving(widths, inputs, 2)), None
    (signal,) = read
    if len(output) > len(inputs[0]):  # a vector as a map: each of its outputs may be any feature
        return signal.whole_height._replace(jump=0), signal.whole_width._replace(jump=0), None
    reads_vector = layer.reads_whole_vector and len(inputs[0]) == 1
    windows = signal.flattened if reads_vector else layer.windows(inputs)
    if windows is not None:
        return signal.height.through(windows[0]), signal.width.through(windows[1]), windows
    if reads_vector:
        return signal.whole_height, signal.whole_width, None
    return signal.height, signal.width, None


def _moving(axes: list[Axis], inputs: Shapes, dimension: int) -> list[Axis]:
    """Return the axes of the inputs that are not broadcast along a dimension of a map."""
    return [axis for axis, shape in zip(axes, inputs, strict=True) if len(shape) == 3 and shape[dimension] > 1]


def _exchange_bytes(network: Network, layer: Layer, read: tuple[Signal, ...]) -> int:
    """Return the bytes that cross between towers for one image in fp32 so that `layer` can read all of its input.

    Every tower sends its part to each of the others: 4 × input elements × (towers − 1). Layers with groups, and layers
    without weights, read only their own tower (paper, figure 2).
    """
    if network.towers == 1 or getattr(layer, "groups", 1) > 1:
        return 0
    crossing = sum([elements(signal.shape) for signal in read if signal.split and signal.shape is not None])
    return FP32_BYTES * crossing * (network.towers - 1)


def training_flops(analysis: Analysis) -> int:
    """Return the floating-point operations of a training step for an image.

    The forward pass, the gradients of the weights and the gradients of the inputs take the same number each. Frozen
    layers need no gradient of their weights, and layers that read no trained layer, directly or through others, none of
    their input.
    """
    flops = 0
    with_gradient: set[int] = set()  # positions of layers whose output needs a gradient
    for row in analysis.rows:
        reads_gradient = not with_gradient.isdisjoint(row.sources)
        flops += 2 * row.macs * (1 + row.layer.trains + reads_gradient)
        if reads_gradient or row.trainable_params > 0:
            with_gradient.add(row.index - 1)
    return flops
