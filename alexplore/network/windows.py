"""The one-dimensional arithmetic of a sliding window."""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """A window of `kernel` taps sliding along one axis, in pixels; `before` and `after` are the padding.

    Sizes follow PyTorch (documentation of `Conv2d` and `MaxPool2d`): with `ceil_mode` a last, partial window is kept
    unless it would start in the padding after the input.
    """

    kernel: int
    stride: int
    dilation: int = 1
    before: int = 0
    after: int = 0
    ceil_mode: bool = False

    @property
    def extent(self) -> int:
        """Pixels from the window's first tap to its last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def keeps_size(self) -> bool:
        """Whether it takes as many positions as the axis has pixels, on every axis."""
        return self.stride == 1 and self.before + self.after == self.extent - 1

    def outputs(self, size: int) -> int:
        """How many positions the window takes on an axis of `size` pixels; below 1 where it does not fit."""
        room = size + self.before + self.after - self.extent
        if not self.ceil_mode:
            return room // self.stride + 1
        positions = -(-room // self.stride) + 1
        return positions - 1 if (positions - 1) * self.stride >= size + self.before else positions

    def reaching(self, size: int) -> int:
        """How many positions begin before the far border of the axis; the others lie in the padding after it."""
        return min(self.outputs(size), (self.before + size - 1) // self.stride + 1)

    def unread(self, size: int) -> int:
        """Pixels at the far border of the axis that no position spans."""
        reached = (self.reaching(size) - 1) * self.stride + self.extent
        return max(0, self.before + size - reached)


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Padding before and after an axis under TensorFlow's "same": ⌈size / stride⌉ outputs, the odd pixel after.

    Source: TensorFlow, `tf.nn.convolution`, "notes on padding".
    """
    outputs = -(-size // stride)
    total = max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2
