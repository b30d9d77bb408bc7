"""Every quantity of a layer and of a network, declared once.

Tables, the app, JSON, CSV, Markdown, comparisons and published numbers are made from these declarations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from alexplore.core.formatting import bytes_text
from alexplore.network.analysis import Analysis
from alexplore.network.layers.conv2d import Conv2d
from alexplore.network.row import Row
from alexplore.network.windows import pair

Value = int | float | tuple[int | float, ...] | None
"""A number, a shape, or None if it is unknown."""

NOTHING = "–"


class Quantity(NamedTuple):
    """One quantity: its key in files, the title of its column, its unit, and what it is.

    `of_layer` and `of_network` calculate it. Narrow tables leave out the columns with the highest `rank` first, never
    those with rank 0; a quantity with rank None is in no table. `reported` quantities are in JSON and CSV; `compared`
    ones are compared for the layers of two networks. `scales`: a batch of N images has N times as much.
    """

    key: str
    title: str
    doc: str
    of_layer: Callable[[Row], Value] | None = None
    of_network: Callable[[Analysis], Value] | None = None
    unit: str = ""
    rank: int | None = None
    reported: bool = True
    scales: bool = False
    compared: bool = False

    @property
    def is_total(self) -> bool:
        """Whether the network has it as a number among its totals."""
        return self.reported and self.of_network is not None

    def text(self, value: Value) -> str:
        """Return a value as text for a table; a dash for None and for 0."""
        if not value:
            return NOTHING
        if isinstance(value, tuple):
            return "×".join(map(str, value))
        return bytes_text(int(value)) if self.unit == "bytes" else f"{value:,}"


def both(height: int, width: int) -> int | tuple[int, int]:
    """Return (height, width), or one number if they are equal."""
    return height if height == width else (height, width)


def _kernel(row: Row) -> Value:
    if not isinstance(row.layer, Conv2d) or row.input is None:
        return None
    return (*pair(row.layer.kernel_size), row.input[0] // row.layer.groups)


QUANTITIES: tuple[Quantity, ...] = (
    Quantity(
        "output", "output", "shape of the output, without the batch", lambda row: row.output, rank=0, compared=True
    ),
    Quantity(
        "params",
        "params",
        "weights and biases that the layer has",
        lambda row: row.params,
        lambda analysis: analysis.totals.params,
        rank=0,
        compared=True,
    ),
    Quantity(
        "trainable_params",
        "trainable",
        "parameters that the optimizer may change",
        lambda row: row.trainable_params,
        lambda analysis: analysis.totals.trainable_params,
    ),
    Quantity(
        "macs",
        "MACs",
        "multiplications by weights for one image; biases, pooling, normalisation and activations count 0",
        lambda row: row.macs,
        lambda analysis: analysis.totals.macs,
        rank=1,
        compared=True,
    ),
    Quantity(
        "connections",
        "connections",
        "parameters that are applied, at every position of every neuron",
        lambda row: row.connections,
        lambda analysis: analysis.totals.connections,
    ),
    Quantity(
        "neurons",
        "neurons",
        "outputs of layers with weights",
        lambda row: row.neurons,
        lambda analysis: analysis.totals.neurons,
    ),
    Quantity(
        "weight_bytes",
        "weight bytes",
        "parameters in fp32",
        of_network=lambda analysis: analysis.totals.weight_bytes,
        unit="bytes",
    ),
    Quantity(
        "activation_bytes",
        "memory",
        "the output in fp32",
        lambda row: row.activation_bytes,
        lambda analysis: analysis.totals.activation_bytes,
        unit="bytes",
        rank=6,
        scales=True,
    ),
    Quantity(
        "receptive_field",
        "RF",
        "input pixels that one output sees",
        lambda row: both(row.height.size, row.width.size),
        unit="pixels",
        rank=3,
        compared=True,
    ),
    Quantity(
        "jump",
        "jump",
        "input pixels between two neighbouring outputs",
        lambda row: both(row.height.jump, row.width.jump),
        unit="pixels",
    ),
    Quantity(
        "exchange_bytes",
        "exchange",
        "bytes that cross between towers in a forward pass of one image in fp32",
        lambda row: row.exchange_bytes,
        lambda analysis: analysis.totals.exchange_bytes,
        unit="bytes",
        rank=4,
    ),
    Quantity(
        "unread_border",
        "unread",
        "pixels at the far border of the input that no window covers",
        lambda row: both(*row.unread),
        unit="pixels",
        reported=False,
    ),
    # Further quantities that sources of presets state.
    Quantity(
        "input",
        "input",
        "shape of the input, without the batch",
        lambda row: row.input,
        lambda analysis: analysis.network.input,
        reported=False,
    ),
    Quantity(
        "flops",
        "FLOPs",
        "floating-point operations for one image: two for every MAC",
        lambda row: 2 * row.macs,
        lambda analysis: analysis.totals.flops,
        reported=False,
    ),
    Quantity("kernel", "kernel", "height, width and input channels of a kernel", _kernel, reported=False),
    Quantity(
        "init_std",
        "init std",
        "standard deviation of the initial weights",
        lambda row: getattr(row.layer.initial_weights, "std", None),
        reported=False,
    ),
    Quantity(
        "smallest_input",
        "smallest input",
        "the smallest square input that every layer can read",
        of_network=lambda analysis: analysis.smallest_input(),
        reported=False,
    ),
)

BY_KEY = {quantity.key: quantity for quantity in QUANTITIES}
LAYER_KEYS = tuple(quantity.key for quantity in QUANTITIES if quantity.of_layer)
NETWORK_KEYS = tuple(quantity.key for quantity in QUANTITIES if quantity.of_network)
"""The keys of the quantities that a layer, and a network, has."""
OF_LAYERS = tuple(quantity for quantity in QUANTITIES if quantity.reported and quantity.of_layer)

COMPARED = tuple(quantity for quantity in OF_LAYERS if quantity.compared)
"""The quantities in a comparison of two networks."""
TOTALS = tuple(quantity for quantity in QUANTITIES if quantity.is_total)
COLUMNS = tuple(sorted((one for one in OF_LAYERS if one.rank is not None), key=lambda one: one.rank or 0))
"""The quantities of tables, the most important ones first."""


def columns(analysis: Analysis) -> list[Quantity]:
    """Return the quantities of a network's table; the exchange between towers only if there are several."""
    return [one for one in COLUMNS if one.key != "exchange_bytes" or analysis.network.towers > 1]


def layer_value(quantity: Quantity, row: Row, batch: int = 1) -> Value:
    """Return a quantity of a layer, None if the row could not be computed or layers have no such quantity."""
    if row.output is None or quantity.of_layer is None:
        return None
    return _scaled(quantity, quantity.of_layer(row), batch)


def total_value(quantity: Quantity, analysis: Analysis, batch: int = 1) -> Value:
    """Return a quantity of the whole network, None if networks have no such quantity."""
    return None if quantity.of_network is None else _scaled(quantity, quantity.of_network(analysis), batch)


def total(quantity: Quantity, analysis: Analysis) -> int:
    """Return one of `TOTALS`, an exact integer."""
    value = total_value(quantity, analysis)
    assert isinstance(value, int)
    return value


def _scaled(quantity: Quantity, value: Value, batch: int) -> Value:
    return value * batch if quantity.scales and isinstance(value, int) else value
