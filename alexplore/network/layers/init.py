"""Initial weights."""

from __future__ import annotations

from alexplore.core.declared import Declared
from alexplore.core.settings import number, optional, setting

PYTORCH_DEFAULT = "PyTorch's default"


class Init(Declared):
    """How a layer's weights and bias are initialised: weights ~ N(0, std²), every bias the same value."""

    std: float | None = setting(optional(number(0, above=True)), None, "standard deviation of the weights")
    bias: float | None = setting(optional(number(-1e6, 1e6)), None, "value of every bias")

    @property
    def text(self) -> str:
        """The initialisation as text."""
        weights = PYTORCH_DEFAULT if self.std is None else f"weights ~ N(0, {self.std:g}²)"
        return weights + ("" if self.bias is None else f", biases {self.bias:g}")
