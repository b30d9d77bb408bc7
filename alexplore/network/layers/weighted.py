"""What layers with neurons share: convolutions and fully connected layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from alexplore.core.settings import number, optional, setting
from alexplore.network.calls import Code
from alexplore.network.formula import Formula, join_notes, number_text
from alexplore.network.layers.base import Layer
from alexplore.network.shapes import Shapes


@dataclass(frozen=True)
class Init:
    """How a layer's weights and bias are initialised: weights ~ N(0, std²), every bias the same value."""

    std: float | None = setting(optional(number(0, above=True)), None, "standard deviation of the weights")
    bias: float | None = setting(optional(number(-1e6, 1e6)), None, "value of every bias")

    @property
    def text(self) -> str:
        """The initialisation in words."""
        weights = PYTORCH_DEFAULT if self.std is None else f"weights ~ N(0, {self.std:g}²)"
        return weights + ("" if self.bias is None else f", biases {self.bias:g}")


PYTORCH_DEFAULT = "PyTorch's default"
FROZEN_NOTE = "frozen: the optimizer does not change them"


class Weighted(Layer):
    """A layer whose outputs are weighted sums. Its types declare these settings, in their own order."""

    neurons = True
    overwritable = True
    bias: bool
    init: Init | None
    trainable: bool

    def parameter_formula(self, inputs: Shapes) -> Formula:
        kernel, kernels = self.kernel_text(inputs)
        expression = f"({kernel} + 1) · {kernels}" if self.bias else f"{kernel} · {kernels}"
        rule = "(values that a kernel reads + 1) · kernels" if self.bias else "values that a kernel reads · kernels"
        note = join_notes(self.kernel_note(inputs), "" if self.trainable else FROZEN_NOTE)
        return Formula("params", expression, self.parameters(inputs).count, note, rule)

    def kernel_note(self, inputs: Shapes) -> str:
        """Return what to know about what a kernel reads."""
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
    """Return what a kernel of a grouped convolution reads."""
    return f"each kernel reads {number_text(channels)} / {groups} channels" if groups > 1 else ""
