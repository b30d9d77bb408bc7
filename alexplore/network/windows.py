"""The one-dimensional arithmetic of a sliding window, and windows along height and width together."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from alexplore.core.settings import Padding
from alexplore.network.shapes import Shape

Pair = tuple[int, int]


class Window(NamedTuple):
    """A window of `kernel` taps that slides along one axis, in pixels; `before` and `after` are the padding.

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
        """Whether the window has as many positions as the axis has pixels, for every size of the axis."""
        return self.stride == 1 and self.before + self.after == self.extent - 1

    def outputs(self, size: int) -> int:
        """Return the number of positions on an axis of `size` pixels; below 1 where the window does not fit."""
        room = size + self.before + self.after - self.extent
        if not self.ceil_mode:
            return room // self.stride + 1
        positions = -(-room // self.stride) + 1
        return positions - 1 if (positions - 1) * self.stride >= size + self.before else positions

    def starting_inside(self, size: int) -> int:
        """Return the number of positions that start before the far border; the others are in the padding after it."""
        return min(self.outputs(size), (self.before + size - 1) // self.stride + 1)

    def unread(self, size: int) -> int:
        """Return the number of pixels at the far border of the axis that no position covers."""
        covered = (self.starting_inside(size) - 1) * self.stride + self.extent
        return max(0, self.before + size - covered)

    def needed_padding(self, size: int) -> Pair:
        """Return the padding (before, after) that positions really cover; partial windows may need more after."""
        end = (self.outputs(size) - 1) * self.stride + self.extent
        return self.before, max(0, end - self.before - size)


Windows = tuple[Window, Window]
"""The windows along height and width."""


def pair(size: int | Pair) -> Pair:
    """Return a size as (height, width)."""
    return (size, size) if isinstance(size, int) else size


def size_text(size: int | Pair) -> str:
    """Return a size as text: 11×11."""
    height, width = pair(size)
    return f"{height}×{width}"


def short_size_text(size: int | Pair) -> str:
    """Return a size in its shortest form: 2, or 2×1."""
    height, width = pair(size)
    return str(height) if height == width else f"{height}×{width}"


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Return the padding before and after an axis under TensorFlow's "same": ⌈size / stride⌉ outputs.

    An odd pixel goes after. Source: TensorFlow, `tf.nn.convolution`, "notes on padding".
    """
    outputs = -(-size // stride)
    total = max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2


@lru_cache(4096)  # an analysis needs each layer's windows several times, and the next analysis needs them again
def make_windows(
    kernel_size: int | Pair,
    stride: int | Pair,
    padding: Padding,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    map_size: Shape | None = None,
) -> Windows:
    """Return the windows along height and width; `map_size` (height, width) is needed only for "same" padding."""
    kernels, strides, dilations = pair(kernel_size), pair(stride), pair(dilation)
    rows, columns = (0, 0), (0, 0)  # "valid"
    match padding:
        case "same":
            rows, columns = map(same_padding, map_size or (), kernels, strides, dilations)
        case int():
            rows = columns = (padding, padding)
        case (height, width):
            rows, columns = (height, height), (width, width)
        case (left, right, top, bottom):
            rows, columns = (top, bottom), (left, right)
    return (
        Window(kernels[0], strides[0], dilations[0], *rows, ceil_mode),
        Window(kernels[1], strides[1], dilations[1], *columns, ceil_mode),
    )


def adaptive_window(size: int, outputs: int) -> Window:
    """Return the largest window and step of an adaptive pool along one axis.

    Output i reads inputs ⌊i·size/outputs⌋ to ⌈(i+1)·size/outputs⌉ − 1 (PyTorch, `AdaptiveAvgPool2d`).
    """
    whole, rest = divmod(size, outputs)
    # A window of whole pixels, one more where size/outputs begins or ends inside a pixel, two more where both do.
    partial = 0 if rest == 0 else 1 if outputs % rest == 0 else 2
    return Window(whole + partial, -(-size // outputs))
