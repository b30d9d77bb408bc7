"""The values of the padding: PyTorch's `padding_mode`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from alexplore.network.shapes import ShapeError
from alexplore.network.windows import Windows

ZEROS = "zeros"


class PaddingMode(NamedTuple):
    """PyTorch's module of a padding mode, and its limit in pixels: the map's size + `beyond_size`; None for no limit.

    Source: what PyTorch's `F.pad` refuses. `reflect` does not repeat the border; `circular` repeats the map once.
    """

    torch_pad: str
    beyond_size: int | None = None


PADDING_MODES: Mapping[str, PaddingMode] = {
    ZEROS: PaddingMode("nn.ZeroPad2d"),
    "reflect": PaddingMode("nn.ReflectionPad2d", -1),
    "replicate": PaddingMode("nn.ReplicationPad2d"),
    "circular": PaddingMode("nn.CircularPad2d", 0),
}


def check_padding(name: str, mode: str, windows: Windows, height: int, width: int) -> None:
    """Check that a padding mode can pad a map for its windows.

    Raises:
        ShapeError: the map is too small; `name` is the layer.
    """
    beyond = PADDING_MODES[mode].beyond_size
    if beyond is None:
        return
    for axis, window, size in zip(("height", "width"), windows, (height, width), strict=True):
        padding, most = max(window.before, window.after), size + beyond
        if padding > most:
            raise ShapeError(
                f"{name}: {mode} padding {padding} is more than the {most} that the input's {axis} {size} allows"
            )


PAD_WITH_MAP = '''
@keras.saving.register_keras_serializable()
class PadWithMap(layers.Layer):
    """Padding ((top, bottom), (left, right)) by PyTorch's reflect, replicate or circular."""

    def __init__(self, sides, mode, **kwargs):
        super().__init__(**kwargs)
        self.sides, self.mode = sides, mode

    def call(self, maps):
        for axis, (before, after) in enumerate(self.sides, start=1):
            size = maps.shape[axis]
            places = [self.place(i, size) for i in range(-before, size + after)]
            maps = ops.take(maps, places, axis=axis)
        return maps

    def place(self, i, size):
        if self.mode == "circular":
            return i % size
        if self.mode == "reflect":
            return size - 1 - abs(size - 1 - abs(i))
        return min(max(i, 0), size - 1)

    def get_config(self):
        return {**super().get_config(), "sides": self.sides, "mode": self.mode}

'''
