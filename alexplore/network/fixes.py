"""Find small changes that let a broken layer read its input; each is tried before it is proposed.

A layer type proposes changes that may help (`Layer.fixes`); this module applies, tries and describes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, pairwise
from typing import NamedTuple

from alexplore.core.settings import SettingError, toml_text
from alexplore.network.changes import Change, Insert, MoveBefore, Produce, Resize, Set
from alexplore.network.effort import Effort
from alexplore.network.graph import IMAGE, Network, channels_first
from alexplore.network.layers import read_layer
from alexplore.network.layers.base import Layer
from alexplore.network.layers.sliding import Sliding
from alexplore.network.row import Fix
from alexplore.network.shape_inference import known_shapes
from alexplore.network.shapes import Shape, ShapeError, Shapes, shape_text
from alexplore.network.windows import Window, Windows

MOST_CHANGES = 4
"""The most changes that a fix combines: position, channels, groups and window of a layer can be wrong at once."""

LARGEST_INPUT = 1 << 14
"""The most pixels by which the search enlarges the input."""


class _State(NamedTuple):
    """A network after the changes in `texts`; the layer `name`, at `position`, is the one to be fixed.

    `shapes` are those of the network's input and of the layers above that one, as `known_shapes` returns them.
    `unknown` are the layers above it, in other branches, without an output shape: they are broken, or depend on a
    broken layer.
    """

    network: Network
    name: str
    position: int
    shapes: list[Shape | None]
    unknown: frozenset[str]
    texts: tuple[str, ...] = ()

    @property
    def layer(self) -> Layer:
        """The layer to be fixed."""
        return self.network.layers[self.position]

    @property
    def inputs(self) -> Shapes:
        """The shapes that the layer reads."""
        read = (self.shapes[source - IMAGE] for source in self.network.sources[self.position])
        return tuple(shape for shape in read if shape is not None)

    @property
    def reason(self) -> str | None:
        """Why the layer can't read its input, None if it can."""
        try:
            self.layer.output_shape(self.inputs)
        except ShapeError as error:
            return str(error)
        return None

    def after(self, change: Change) -> _State | None:
        """Return the state after one more change; None if it can't be made, or breaks a layer above this one."""
        try:
            text, network = _apply(self, change)
        except (SettingError, _NoSuchChange):
            return None
        position = network.index(self.name)
        shapes = self.shapes[: self._same_until(network, position) + 1]
        shapes = known_shapes(network, position, shapes)
        if not _unknown(network, shapes) <= self.unknown:
            return None
        return self._replace(network=network, position=position, shapes=shapes, texts=(*self.texts, text))

    def _same_until(self, network: Network, position: int) -> int:
        """Return how many layers up to `position` are unchanged: all or 0, or `IMAGE` if the input changed as well."""
        if network.input != self.network.input:
            return IMAGE
        most, old = min(position, self.position), self.network
        same = network.layers[:most] == old.layers[:most] and network.sources[:most] == old.sources[:most]
        return most if same else 0


class _NoSuchChange(Exception):
    """A change that can't be made in this network."""


def find_fixes(
    network: Network, position: int, shapes: list[Shape | None], effort: Effort | None = None
) -> tuple[Fix, ...]:
    """Return changes that let the layer at `position` read its inputs, the nearest to that layer first.

    `shapes` are those of the network's input and of the layers above, as `known_shapes` returns them.

    Fixes have as few changes as possible: if no single change is enough, the layer's next error after a change is fixed
    too. All fixes together have at most `MOST_CHANGES` changes, so that they can be read in one line. If there is no
    fix, the layer's removal is proposed, provided that the rest is a valid network. The search ends when the effort is
    used up.
    """
    effort = effort or Effort()
    if not effort.spend(len(network.layers)):
        return ()
    unknown = _unknown(network, shapes)
    broken = _State(network, network.layers[position].name, position, shapes, unknown)
    turned = tuple(_with_channels_first(broken))
    for count in range(1, MOST_CHANGES + 1):
        fixed = tuple(islice(_fixed(broken, count, effort), MOST_CHANGES // count))
        if fixed or turned:
            return (*turned, *(Fix(_together(state.texts), state.network) for state in fixed))[:MOST_CHANGES]
    if not effort.spend(len(network.layers)):
        return ()
    try:
        return (Fix(f"remove {broken.name}", network.remove(position)),)
    except SettingError:
        return ()


def _with_channels_first(broken: _State) -> Iterator[Fix]:
    """Yield the input with its channels first, if they seem to have been typed last and the layer can then read it."""
    input = channels_first(broken.network.input)
    if input is None:
        return
    network = broken.network.with_input(*input)
    if known_shapes(network, broken.position + 1)[-1] is not None:
        yield Fix(f"set input to {shape_text(input)}, channels first", network)


def _unknown(network: Network, shapes: list[Shape | None]) -> frozenset[str]:
    """Return the names of the layers whose output has no shape; `shapes` are those of `known_shapes`."""
    return frozenset(layer.name for layer, shape in zip(network.layers, shapes[1:], strict=False) if shape is None)


def fixes_text(fixes: tuple[Fix, ...]) -> str:
    """Return the fixes in one line: `set in_features to 6400, or input to 3×227×227`."""
    texts = [fix.text for fix in fixes]
    return ", or ".join([*texts[:1], *(text.removeprefix("set ") for text in texts[1:])])


def _fixed(broken: _State, count: int, effort: Effort) -> Iterator[_State]:
    """Yield the states after `count` more changes in which the layer can read its input; each fixes one error."""
    for change in broken.layer.fixes(broken.inputs):
        if not effort.spend(len(broken.network.layers)):
            return
        after = broken.after(change)
        if after is None:
            continue
        if count == 1 and after.reason is None:
            yield after
        elif count > 1 and after.reason not in (None, broken.reason):
            yield from _fixed(after, count - 1, effort)


def _together(texts: tuple[str, ...]) -> str:
    """Return several changes in one line: `insert flatten before fc6 and set in_features to 9216`."""
    *most, last = [texts[0], *(_without_set(before, text) for before, text in pairwise(texts))]
    return f"{', '.join(most)} and {last}" if most else last


def _without_set(before: str, text: str) -> str:
    """Return a change without the word `set` if the change before it begins with that word."""
    return text.removeprefix("set ") if before.startswith("set ") else text


def _apply(state: _State, change: Change) -> tuple[str, Network]:
    """Return the description of a change, and the network after it.

    Raises:
        SettingError, _NoSuchChange: the change can't be made.
    """
    network, position, name = state.network, state.position, state.name
    match change:
        case Set(key, value):
            return f"set {key} to {toml_text(value)}", network.change(position, {key: value})
        case Insert(entry, input):
            layer = read_layer(entry, str(entry["type"]))
            settings = "".join(f" {key} {toml_text(value)}" for key, value in layer.settings(defaults=False).items())
            where = f"before {name}" if len(state.inputs) == 1 else f"between {_input_name(state, input)} and {name}"
            text = f"insert {layer.type}{settings} {where}"
            return text, network.insert_between(position, input, layer)
        case MoveBefore(type_):
            target = next((i for i in range(position) if network.layers[i].type == type_), None)
            if target is None:
                raise _NoSuchChange
            return f"move {name} before {network.layers[target].name}", network.move(position, target)
        case Produce(channels, input):
            return _produce(state, network.sources[position][input], channels)
        case Resize(measure, wanted):
            return _resize(network, position, measure, wanted)


def _input_name(state: _State, input: int) -> str:
    return state.network.source_names(state.position)[input]


def _produce(state: _State, source: int, wanted: int) -> tuple[str, Network]:
    """Return the change that gives the output of `source` `wanted` channels or features, and the network after it."""
    network = state.network
    while source != IMAGE and network.layers[source].produces is None:
        layer = network.layers[source]
        if layer.type == "flatten":
            flattened = state.shapes[network.sources[source][0] - IMAGE]
            if flattened is None:
                raise _NoSuchChange
            return _resize(network, source, partial(_values, flattened[0]), wanted)
        if len(network.sources[source]) > 1:
            raise _NoSuchChange
        (source,) = network.sources[source]
    if source == IMAGE:
        return _with_input(network, (wanted, *network.input[1:]))
    layer = network.layers[source]
    key = str(layer.produces)
    return f"set {layer.name}'s {key} to {wanted}", network.change(source, {key: wanted})


def _values(channels: int, height: int, width: int) -> int:
    return channels * height * width


def _with_input(network: Network, size: tuple[int, int, int]) -> tuple[str, Network]:
    return f"set input to {shape_text(size)}", network.with_input(*size)


def _resize(network: Network, position: int, measure: Callable[[int, int], int], wanted: int) -> tuple[str, Network]:
    """Return the change to the nearest input size for which `measure` of the map that the layer at `position` reads is
    `wanted`, and the network after it. Height and width change by the same number of pixels.

    A window never has fewer positions on a larger map, so `measure` does not decrease when the input grows. The search
    doubles its step until it passes the wanted size, and then bisects.
    """
    channels, height, width = network.input
    windows = list(_windows_above(network, position))

    def measured(change: int) -> int:
        size = _through(windows, height + change, width + change)
        return 0 if size is None else measure(*size)

    def first(at_least: int) -> int:
        """Return the smallest enlargement, in pixels, for which the measure is not less than `at_least`."""
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
        raise _NoSuchChange
    return _with_input(network, (channels, height + change, width + change))


def _windows_above(network: Network, position: int) -> Iterator[Windows]:
    """Yield the windows between the network's input and the layer at `position` that may change a map's size.

    Of a layer with several inputs the first is followed: the others have the same height and width.
    """
    path = []
    source = network.sources[position][0]
    while source != IMAGE:
        path.append(network.layers[source])
        source = network.sources[source][0]
    for layer in reversed(path):
        if layer.fixes_size:
            raise _NoSuchChange  # the map has one size whatever the input
        if isinstance(layer, Sliding):
            windows = _resizing_windows(layer)
            if not all(window.keeps_size for window in windows):
                yield windows


def _resizing_windows(layer: Sliding) -> Windows:
    """Return a layer's windows; for "same" padding, windows of one tap, which have as many positions."""
    if layer.padding != "same":
        return layer.windows(((1, 1, 1),))
    strides = (window.stride for window in layer.windows(((1, 1, 1),)))
    height, width = (Window(1, stride) for stride in strides)
    return height, width


def _through(windows: Iterable[Windows], height: int, width: int) -> tuple[int, int] | None:
    """Return the size (height, width) of a map after these windows, None if one does not fit."""
    for rows, columns in windows:
        if height < 1 or width < 1:
            break
        height, width = rows.outputs(height), columns.outputs(width)
    return (height, width) if height >= 1 and width >= 1 else None
