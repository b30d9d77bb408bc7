"""What would mend a layer that can't read its input: small changes, each tried before it is proposed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import islice, pairwise
from typing import Any, NamedTuple

from alexplore.core.settings import SettingError, toml_text
from alexplore.network.graph import Network
from alexplore.network.layers import (
    AdaptiveAvgPool2d,
    Conv2d,
    Flatten,
    Layer,
    Linear,
    LocalResponseNorm,
    Pool2d,
    Windows,
    pair,
)
from alexplore.network.shapes import Shape, ShapeError, shape_text
from alexplore.network.windows import Window


class Proposal(NamedTuple):
    """A change that mends a broken network, in words and as a function."""

    text: str
    apply: Callable[[Network], Network]


class _State(NamedTuple):
    """A network on the way to being mended: the layer at `position` gets `shape`, after some changes."""

    network: Network
    position: int
    shape: Shape
    changes: tuple[Proposal, ...] = ()

    @property
    def layer(self) -> Layer:
        """The layer that is to be mended."""
        return self.network.layers[self.position]

    @property
    def fault(self) -> str | None:
        """Why the layer can't read, None where it can."""
        try:
            self.layer.output_shape(self.shape)
        except ShapeError as error:
            return str(error)
        return None

    def after(self, change: Proposal) -> _State | None:
        """After one more change; None where it can't be made, or where a layer before this one can't read then."""
        try:
            changed = change.apply(self.network)
        except SettingError:  # a number larger than a setting holds
            return None
        position = changed.index(self.layer.name)
        before = changed.layers[:position]
        shape: Shape = changed.input
        if (shape, before) == (self.network.input, self.network.layers[: self.position]):
            shape, before = self.shape, ()
        try:
            for layer in before:
                shape = layer.output_shape(shape)
        except ShapeError:
            return None
        return _State(changed, position, shape, (*self.changes, change))


MOST_CHANGES = 4  # what a layer can be broken by at once: its place, channels, groups and window


def proposals(network: Network, position: int, shape: Shape) -> tuple[Proposal, ...]:
    """Changes that let the layer at `position` read, and every layer before it, the nearest to that layer first.

    `shape` is what the layer gets, and can't read. Where no change mends it, what it is broken by after one is mended
    too: the proposals are of as few changes as will do, and all together name no more than a line can be read with.
    Where none will do, the layer's removal is proposed.
    """
    broken = _State(network, position, shape)
    for count in range(1, MOST_CHANGES + 1):
        mended = tuple(islice(_mended(broken, count), MOST_CHANGES // count))
        if mended:
            return tuple(_together(state.changes) for state in mended)
    name = broken.layer.name
    return (Proposal(f"remove {name}", lambda network: network.remove(network.index(name))),)


def proposals_text(proposals: tuple[Proposal, ...]) -> str:
    """`set in_features to 6400, or input to 3×227×227`."""
    words = [proposal.text for proposal in proposals]
    return ", or ".join([*words[:1], *(text.removeprefix("set ") for text in words[1:])])


def _mended(broken: _State, count: int) -> Iterator[_State]:
    """What `count` more changes lead to where the layer can read then, each mending what it was broken by before."""
    for change in _candidates(broken):
        after = broken.after(change)
        if after is None:
            continue
        if count == 1 and after.fault is None:
            yield after
        elif count > 1 and after.fault not in (None, broken.fault):
            yield from _mended(after, count - 1)


def _together(changes: tuple[Proposal, ...]) -> Proposal:
    """Changes one after another: `insert flatten before fc6 and set in_features to 9216`."""
    *most, last = [changes[0].text, *(_text_behind(before, change) for before, change in pairwise(changes))]
    text = f"{', '.join(most)} and {last}" if most else last
    return Proposal(text, lambda network: reduce(lambda state, change: change.apply(state), changes, network))


def _text_behind(before: Proposal, change: Proposal) -> str:
    """`set` is said once for several settings."""
    return change.text.removeprefix("set ") if before.text.startswith("set ") else change.text


def _candidates(state: _State) -> Iterator[Proposal]:
    """Changes that may mend what the layer says first that it is broken by."""
    network, position, shape, layer = state.network, state.position, state.shape, state.layer
    if isinstance(layer, Linear):
        if len(shape) == 3:
            flatten = Flatten(name="flatten")
            yield Proposal(f"insert flatten before {layer.name}", lambda network: network.insert(position, flatten))
        else:
            yield from _for_features(network, position, layer, shape)
    elif len(shape) == 1:
        flattened = next(i for i, before in enumerate(network.layers) if isinstance(before, Flatten))
        where = network.layers[flattened].name
        yield Proposal(f"move {layer.name} before {where}", lambda network: network.move(position, flattened))
    elif isinstance(layer, LocalResponseNorm):
        yield _setting(position, "groups", _nearest_divisor(layer.groups, shape[0]))
    elif isinstance(layer, Conv2d) and layer.in_channels not in (None, shape[0]):
        yield from _for_channels(network, position, layer, shape[0])
    elif isinstance(layer, Conv2d) and (shape[0] % layer.groups or layer.out_channels % layer.groups):
        yield from _for_groups(position, layer, shape[0])
    elif isinstance(layer, Conv2d | Pool2d):
        yield from _for_window(network, position, layer, shape)


def _for_features(network: Network, position: int, layer: Linear, shape: Shape) -> Iterator[Proposal]:
    """A linear layer whose `in_features` is not what it gets."""
    expected = layer.in_features or shape[0]
    yield _setting(position, "in_features", shape[0])
    source = _before(network, position, Linear, Flatten)
    if source is not None and isinstance(network.layers[source], Linear):
        yield _setting(source, "out_features", expected, network.layers[source])
    elif source is not None:
        channels = _channels_at(network, source)
        resized = _resized(network, source, lambda height, width: channels * height * width, expected)
        if resized is not None:
            yield _input(resized)


def _for_channels(network: Network, position: int, layer: Conv2d, channels: int) -> Iterator[Proposal]:
    """A convolution whose `in_channels` is not what it gets."""
    yield _setting(position, "in_channels", channels)
    source = _before(network, position, Conv2d)
    if source is None:
        yield _input((layer.in_channels or channels, *network.input[1:]))
    else:
        yield _setting(source, "out_channels", layer.in_channels, network.layers[source])


def _for_groups(position: int, layer: Conv2d, channels: int) -> Iterator[Proposal]:
    """A convolution whose groups don't divide the channels."""
    yield _setting(position, "groups", _nearest_divisor(layer.groups, math.gcd(channels, layer.out_channels)))
    multiple = max(1, round(layer.out_channels / layer.groups)) * layer.groups
    yield _setting(position, "out_channels", multiple)


def _for_window(network: Network, position: int, layer: Conv2d | Pool2d, shape: Shape) -> Iterator[Proposal]:
    """A window that is larger than its input, or a pool that is padded by more than half of its window."""
    windows = layer.windows(shape)
    assert windows is not None
    sizes = (shape[1], shape[2])
    if isinstance(layer, Pool2d) and any(max(w.before, w.after) > w.kernel // 2 for w in windows):
        yield _setting(position, "padding", _sides(*map(_at_most_half, windows)))
        yield _setting(position, "kernel_size", _both([max(w.kernel, 2 * max(w.before, w.after)) for w in windows]))
        return
    if layer.padding != "same":
        yield _setting(position, "padding", _sides(*map(_enough, windows, sizes)))
    yield _setting(position, "kernel_size", _both([*map(_largest_kernel, windows, sizes)]))
    if isinstance(layer, Pool2d):
        yield _setting(position, "ceil_mode", True)
    else:
        yield _setting(position, "dilation", _both([*map(_largest_dilation, windows, sizes)]))
    resized = _resized(network, position, lambda height, width: _positions(layer, height, width), 1)
    if resized is not None:
        yield _input(resized)


def _positions(layer: Conv2d | Pool2d, height: int, width: int) -> int:
    """1 where the layer's window fits on a map of that size, else 0."""
    windows = layer.windows((1, height, width))
    return int(windows is not None and windows[0].outputs(height) >= 1 and windows[1].outputs(width) >= 1)


LARGEST_INPUT = 1 << 14


def _resized(
    network: Network, position: int, measure: Callable[[int, int], int], wanted: int
) -> tuple[int, int, int] | None:
    """The input nearest in size, height and width in equal steps, with which `measure` of the map read at `position`
    is what is wanted; None without one.

    Every window gives as many outputs, or more, on a larger map: so `measure`, which grows with both sides, grows with
    the input too, and the search can double its steps and then halve them.
    """
    channels, height, width = network.input
    if any(isinstance(layer, AdaptiveAvgPool2d) for layer in network.layers[:position]):
        return None  # the map has one size whatever the input
    windows = list(_resizing_windows(network.layers[:position]))

    def measured(change: int) -> int:
        size = _through(windows, height + change, width + change)
        return 0 if size is None else measure(*size)

    def first(at_least: int) -> int:
        """The smallest change that measures so much."""
        low, high = -1, 0
        while measured(low) >= at_least:
            low, high = 2 * low, low
        while measured(high) < at_least and high < LARGEST_INPUT:
            low, high = high, 2 * high + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if measured(middle) >= at_least else (middle, high)
        return high

    change = first(wanted) if measured(0) < wanted else first(wanted + 1) - 1
    if measured(change) != wanted:
        return None
    return channels, height + change, width + change


def _resizing_windows(layers: Iterable[Layer]) -> Iterator[Windows]:
    """The windows of the layers that may give another map size than they get."""
    for layer in layers:
        if not isinstance(layer, Conv2d | Pool2d):
            continue
        if layer.padding == "same":  # as many outputs as a window of one tap gives
            height, width = (
                Window(1, stride) for stride in pair(layer.kernel_size if layer.stride is None else layer.stride)
            )
        else:
            height, width = layer.windows((1, 1, 1))
        if not (height.keeps_size and width.keeps_size):
            yield height, width


def _through(windows: Iterable[Windows], height: int, width: int) -> tuple[int, int] | None:
    """The size of a map after these windows, None where one does not fit."""
    for rows, columns in windows:
        if height < 1 or width < 1:
            break
        height, width = rows.outputs(height), columns.outputs(width)
    return (height, width) if height >= 1 and width >= 1 else None


def _channels_at(network: Network, position: int) -> int:
    """The channels of the map that the layer at `position` reads."""
    source = _before(network, position, Conv2d)
    return network.input[0] if source is None else getattr(network.layers[source], "out_channels", 0)


def _before(network: Network, position: int, *types: type[Layer]) -> int | None:
    """The nearest layer of these types before `position`."""
    return next((i for i in reversed(range(position)) if isinstance(network.layers[i], types)), None)


def _setting(position: int, key: str, value: Any, other: Layer | None = None) -> Proposal:
    whose = f"{other.name}'s " if other else ""
    return Proposal(f"set {whose}{key} to {toml_text(value)}", lambda network: network.change(position, {key: value}))


def _input(size: tuple[int, int, int]) -> Proposal:
    return Proposal(f"set input to {shape_text(size)}", lambda network: network.with_input(*size))


def _nearest_divisor(wanted: int, count: int) -> int:
    small = [d for d in range(1, math.isqrt(count) + 1) if count % d == 0]
    return min((*small, *(count // d for d in small)), key=lambda d: (abs(d - wanted), d))


def _at_most_half(window: Window) -> tuple[int, int]:
    return min(window.before, window.kernel // 2), min(window.after, window.kernel // 2)


def _enough(window: Window, size: int) -> tuple[int, int]:
    """The padding with which the window takes one position, spread over both sides."""
    short = max(0, window.extent - size - window.before - window.after)
    return window.before + -(-short // 2), window.after + -(-short // 2)


def _largest_kernel(window: Window, size: int) -> int:
    room = size + window.before + window.after
    return max(1, min(window.kernel, (room - 1) // window.dilation + 1))


def _largest_dilation(window: Window, size: int) -> int:
    room = size + window.before + window.after
    return window.dilation if window.kernel == 1 else max(1, min(window.dilation, (room - 1) // (window.kernel - 1)))


def _both(sizes: list[int]) -> int | list[int]:
    """[height, width], or one number where they are the same."""
    return sizes[0] if sizes[0] == sizes[1] else sizes


def _sides(rows: tuple[int, int], columns: tuple[int, int]) -> int | list[int]:
    """Padding of rows (top, bottom) and columns (left, right) in the shortest form."""
    if rows[0] == rows[1] and columns[0] == columns[1]:
        return _both([rows[0], columns[0]])
    return [*columns, *rows]
