"""The base class of layers with neurons: convolutions and fully connected layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from alexplore.network.calls import Code
from alexplore.network.formula import Formula, join_notes, number_text
from alexplore.network.layers.base import Layer
from alexplore.network.layers.init import Init
from alexplore.network.shapes import Shapes

FROZEN_NOTE = "frozen: the optimizer does not change them"


class Weighted(Layer):
    """A layer whose outputs are weighted sums. Its types declare these settings, in their own order."""

    neurons = True
    reads_whole_vector = True
    overwritable = True
    lowers_precision = True
    if TYPE_CHECKING:  # not fields of this class, because those would come before the fields of the types
        bias: bool
        init: Init | None
        trainable: bool

    @property
    def initial_weights(self) -> Init | None:
        return self.init

    def parameter_formula(self, inputs: Shapes) -> Formula:
        kernel, kernels = self.kernel_text(inputs)
        expression = f"({kernel} + 1) · {kernels}" if self.bias else f"{kernel} · {kernels}"
        rule = "(values that a kernel reads + 1) · kernels" if self.bias else "values that a kernel reads · kernels"
        note = join_notes(self.kernel_note(inputs), "" if self.trainable else FROZEN_NOTE)
        return Formula("params", expression, self.parameters(inputs).total, note, rule)

    def kernel_note(self, inputs: Shapes) -> str:
        """Return a note about the channels that a kernel reads; empty if it reads all."""
        return ""

    def keras_init(self) -> dict[str, Any]:
        """Return the initial weights as Keras's keyword arguments."""
        init = self.init or Init()
        weights = None if init.std is None else Code(f"keras.initializers.RandomNormal(stddev={init.std!r})")
        biases = None if init.bias is None or not self.bias else Code(f"keras.initializers.Constant({init.bias!r})")
        return {"kernel_initializer": weights, "bias_initializer": biases}


def divisors(count: int) -> Iterator[int]:
    """Yield every divisor of a positive integer."""
    for divisor in range(1, int(count**0.5) + 1):
        if count % divisor == 0:
            yield divisor
            if divisor != count // divisor:
                yield count // divisor


def nearest_divisor(wanted: int, count: int) -> int:
    """Return the divisor of `count` that is nearest to `wanted`, the smaller of two equally near."""
    return min(divisors(count), key=lambda divisor: (abs(divisor - wanted), divisor))


def channels_text(channels: int, groups: int) -> str:
    """Return how many channels a kernel of a grouped convolution reads; empty for one group."""
    return f"each kernel reads {number_text(channels)} / {groups} channels" if groups > 1 else ""
