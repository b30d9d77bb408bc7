"""The base class of layers whose window slides over a map: convolutions and pools.

Output sizes: PyTorch's documentation of `Conv2d` and `MaxPool2d`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from alexplore.core.settings import Padding
from alexplore.network.changes import Change, Resize, Set
from alexplore.network.formula import Formula, by_axis, number_text
from alexplore.network.layers.base import Layer, Unsupported
from alexplore.network.shapes import Shape, ShapeError, Shapes
from alexplore.network.windows import Pair, Window, Windows, same_padding, short_size_text, size_text

Sides = tuple[int, int, int, int]
"""Padding left, right, top and bottom: the order of PyTorch's `F.pad`."""

KerasSides = tuple[Pair, Pair]
"""Padding (top, bottom), (left, right): the order of Keras's `ZeroPadding2D`."""

NO_SIDES: KerasSides = ((0, 0), (0, 0))


class Sliding(Layer):
    """A layer whose window slides over a map. Its types declare these settings, in their own order."""

    pad_value: ClassVar[float] = 0.0
    """The value of the padding."""

    slides = True
    overwritable = True
    if TYPE_CHECKING:  # not fields of this class, because those would come before the fields of the types
        kernel_size: int | Pair
        padding: Padding

    def windows(self, inputs: Shapes) -> Windows:
        raise NotImplementedError

    def positions(self, inputs: Shapes) -> Pair:
        """Return the number of positions of the window along height and width.

        Raises:
            ShapeError: the window does not fit.
        """
        (shape,) = inputs
        windows = self.windows(inputs)
        height, width = windows[0].outputs(shape[1]), windows[1].outputs(shape[2])
        if height < 1 or width < 1:
            axis, window, size = ("height", windows[0], shape[1]) if height < 1 else ("width", windows[1], shape[2])
            padded = size + window.before + window.after
            with_padding = f" ({size} with padding {window.before}+{window.after})" if padded != size else ""
            raise ShapeError(
                f"{self.name}: the window's {axis} {window.extent} is larger than the input's {padded}{with_padding}"
            )
        return height, width

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        height, width = map(self._outputs_formula, self.windows(inputs), inputs[0][1:])
        yield from by_axis("output", height, width)

    def _outputs_formula(self, window: Window, size: int) -> Formula:
        """Return the formula of the number of positions along one axis."""
        outputs, stride = window.outputs(size), number_text(window.stride)
        if self.padding == "same":
            padding = window.before + window.after
            needed = f"max(0, ({number_text(outputs)} − 1)·{stride} + {extent_text(window)} − {number_text(size)})"
            note = f"padding {needed} = {padding}: {window.before} before, {window.after} after"
            return Formula("", f"⌈{number_text(size)} / {stride}⌉", outputs, note, "⌈in / stride⌉")
        room = f"{number_text(size)}{self._padding_text(window)} − {extent_text(window)}"
        kernel = "kernel" if window.dilation == 1 else "(dilation·(kernel − 1) + 1)"
        rule = f"(in + padding before and after − {kernel}) / stride"
        if not window.ceil_mode:
            return Formula("", f"⌊({room}) / {stride}⌋ + 1", outputs, "", f"⌊{rule}⌋ + 1")
        rounded, rule = f"⌈({room}) / {stride}⌉ + 1", f"⌈{rule}⌉ + 1"
        exact = (outputs - 1) * window.stride == size + window.before + window.after - window.extent
        if window._replace(ceil_mode=False).outputs(size) == outputs and not exact:
            note = "the last window would start in the padding after the input, so it does not count"
            return Formula("", f"{rounded} − 1", outputs, note, rule)
        return Formula("", rounded, outputs, "rounded up: a partial window counts", rule)

    def _padding_text(self, window: Window) -> str:
        if self.padding == "valid":
            return ""
        if window.before == window.after:
            return f" + 2·{number_text(window.before)}"
        return f" + {number_text(window.before)} + {number_text(window.after)}"

    def window_fixes(self, inputs: Shapes, *own: Change) -> Iterator[Change]:
        """Yield changes that may fix a window larger than its input; `own` are those that only this type has."""
        windows, sizes = self.windows(inputs), inputs[0][1:]
        if self.padding != "same":
            yield Set("padding", shortest_sides(*map(_enough_padding, windows, sizes)))
        yield Set("kernel_size", both(*map(_largest_kernel, windows, sizes)))
        yield from own
        yield Resize(self._fits, 1)

    def _fits(self, height: int, width: int) -> int:
        """Return 1 if the window fits on a map of that size, else 0."""
        windows = self.windows(((1, height, width),))
        return int(windows[0].outputs(height) >= 1 and windows[1].outputs(width) >= 1)

    def compared_settings(self) -> dict[str, object]:
        settings = self.settings()
        if settings.get("padding") == "valid":
            settings["padding"] = 0
        return settings

    def setting_text(self, key: str, value: Any) -> str:
        match key:
            case "kernel_size":
                return size_text(value) + self.stride_text()
            case "stride":
                return ""
            case "dilation":
                return f"dilation {short_size_text(value)}"
            case "padding":
                sides = value if isinstance(value, tuple) else (value,)
                return value if isinstance(value, str) else "pad " + ",".join(map(str, sides))
            case _:
                return super().setting_text(key, value)

    def stride_text(self) -> str:
        """Return ` / 2` for a stride that is not the default, else an empty text."""
        raise NotImplementedError

    def copied_values(self, inputs: Shapes) -> int:
        """Return the number of values of the padded copy of the input for one image, 0 if PyTorch's own layer pads."""
        sides, (channels, height, width) = self.padded_sides(inputs), inputs[0]
        if sides is None:
            return 0
        left, right, top, bottom = sides
        return channels * (height + top + bottom) * (width + left + right)

    def same_comment(self, inputs: Shapes) -> str:
        """Return the comment in exported code on padding that is right only for this input's size; else ""."""
        return f'"same" for maps of {inputs[0][1]}×{inputs[0][2]}' if self.padding == "same" else ""

    @classmethod
    def padded_settings(cls, settings: dict[str, Any], sides: Sequence[int], mode: str, value: float) -> dict[str, Any]:
        """Return settings with the padding of an operator before the layer: `torch_padding` reversed.

        `sides`, `mode` and `value` are those of PyTorch's `F.pad`.

        Raises:
            Unsupported: the layer pads in another way.
        """
        if any(map(bool, _listed(settings.get("padding", 0)))):
            raise Unsupported("it pads what is padded already")
        if mode != "constant" or value != cls.pad_value or min(sides) < 0:
            raise Unsupported(f"{cls.type} does not pad by {mode} {value:g}")
        return {**settings, "padding": list(sides)}

    def padded_sides(self, inputs: Shapes) -> Sides | None:
        """Return the padding that training does before PyTorch's layer; None if that layer pads."""
        return self.torch_sides(inputs)

    def torch_sides(self, inputs: Shapes) -> Sides | None:
        """Return the padding to be done before PyTorch's layer, None if that layer can pad by itself."""
        windows = self.windows(inputs)
        if all(map(self.pads_in_pytorch, windows)):
            return None
        height, width = map(_padding_reached, windows, inputs[0][1:])
        return (*width, *height)

    def pads_in_pytorch(self, window: Window) -> bool:
        """Return whether PyTorch's layer pads an axis like this itself."""
        return window.before == window.after

    def torch_padding_setting(self, inputs: Shapes) -> int | Pair | None:
        """Return the `padding` of PyTorch's own layer; None for no padding."""
        if self.torch_sides(inputs) is not None:
            return None
        height, width = (window.before for window in self.windows(inputs))
        return (height if height == width else (height, width)) or None

    def keras_padding(self, inputs: Shapes) -> tuple[bool, KerasSides]:
        """Return whether Keras's "same" gives this layer's padding, and the padding that its windows cover."""
        axes = list(zip(self.windows(inputs), inputs[0][1:], strict=True))
        rows, columns = (window.needed_padding(size) for window, size in axes)
        same = all(
            window.outputs(size) == -(-size // window.stride)
            and same_padding(size, window.kernel, window.stride, window.dilation) == side
            for (window, size), side in zip(axes, (rows, columns), strict=True)
        )
        return same and (rows, columns) != NO_SIDES, (rows, columns)


def extent_text(window: Window) -> str:
    """Return the arithmetic of a window's extent: the pixels from its first tap to its last, both included."""
    if window.dilation == 1:
        return number_text(window.kernel)
    return f"({number_text(window.dilation)}·({number_text(window.kernel)} − 1) + 1)"


def both(height: int, width: int) -> int | list[int]:
    """Return [height, width], or one number if they are equal."""
    return height if height == width else [height, width]


def shortest_sides(rows: Pair, columns: Pair) -> int | list[int]:
    """Return padding of rows (top, bottom) and columns (left, right) in the shortest form that a preset takes."""
    if rows[0] == rows[1] and columns[0] == columns[1]:
        return both(rows[0], columns[0])
    return [*columns, *rows]


def largest_dilation(window: Window, size: int) -> int:
    """Return the largest dilation up to the window's with which it fits."""
    room = size + window.before + window.after
    return window.dilation if window.kernel == 1 else max(1, min(window.dilation, (room - 1) // (window.kernel - 1)))


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _enough_padding(window: Window, size: int) -> Pair:
    """Return the padding with which the window takes one position, spread over both sides."""
    short = max(0, window.extent - size - window.before - window.after)
    return window.before + -(-short // 2), window.after + -(-short // 2)


def _largest_kernel(window: Window, size: int) -> int:
    room = size + window.before + window.after
    return max(1, min(window.kernel, (room - 1) // window.dilation + 1))


def _padding_reached(window: Window, size: int) -> Pair:
    """Return the padding (before, after) that windows reach: with more, a pool that rounds up would add a window."""
    reached = (window.outputs(size) - 1) * window.stride + window.extent - window.before - size
    return window.before, min(window.after, reached) if window.ceil_mode else window.after
