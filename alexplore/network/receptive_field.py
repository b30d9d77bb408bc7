"""Receptive fields: the pixels of the network's input that one output depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from alexplore.network.windows import Window


class Axis(NamedTuple):
    """The receptive field of an output along one axis of the network's input, in pixels.

    It sees `size` pixels; neighbouring outputs are `jump` pixels apart, 0 if all see the same; the first output's
    window starts at pixel `start` (negative inside the padding). Source: Araujo, Norris & Sim, "Computing Receptive
    Fields of Convolutional Neural Networks", Distill 2019, equations 1 to 3, with dilation.
    """

    size: int = 1
    jump: int = 1
    start: int = 0

    def first(self, position: int) -> int:
        """Return the first pixel that the output at a position sees; negative inside the padding."""
        return self.start + position * self.jump

    def through(self, window: Window) -> Axis:
        """Return the axis after one more window."""
        return Axis(
            self.size + (window.extent - 1) * self.jump,
            self.jump * window.stride,
            self.start - window.before * self.jump,
        )

    def before(self, window: Window) -> Axis:
        """Return the axis before a window: the inverse of `through`."""
        jump = self.jump // window.stride
        return Axis(self.size - (window.extent - 1) * jump, jump, self.start + window.before * jump)


def union(axes: Sequence[Axis], moving: Sequence[Axis] = ()) -> Axis:
    """Return the axis that covers all of `axes`: what is seen through several paths.

    `moving` are the axes along which outputs see different pixels; all if left out. A value that is broadcast over a
    map sees the same pixels everywhere. Paths whose jumps differ are not aligned; the largest jump is given. Source:
    Araujo et al. 2019, "Arbitrary computation graphs".
    """
    start = min(axis.start for axis in axes)
    end = max(axis.start + axis.size for axis in axes)
    return Axis(end - start, max(axis.jump for axis in moving or axes), start)
