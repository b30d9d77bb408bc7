"""Where each number of a row and of the totals comes from: its formula, with the numbers filled in.

An expression is arithmetic as people write it (`·`, `−`, `/`, `⌊ ⌋`, `⌈ ⌉`, `max( )`) and comes to its value exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from alexplore.network.analysis import Analysis, Axis, Row
from alexplore.network.graph import Network
from alexplore.network.layers import AdaptiveAvgPool2d, BatchNorm, Conv2d, Flatten, Linear, Pool2d, pair
from alexplore.network.memory import FP32_BYTES, optimizer_copies
from alexplore.network.shapes import Shape, elements, shape_text
from alexplore.network.windows import Window


@dataclass(frozen=True)
class Formula:
    """One number: what it is, the arithmetic that gives it, what that comes to, what to know about it, and the rule
    that the arithmetic follows, in words.
    """

    quantity: str
    expression: str
    value: int
    note: str = ""
    rule: str = ""

    @property
    def value_text(self) -> str:
        """34,944."""
        return _number(self.value)

    @property
    def text(self) -> str:
        """(11·11·3 + 1)·96 = 34,944, or the value alone where there is nothing to reckon."""
        return self.value_text if self.expression == self.value_text else f"{self.expression} = {self.value_text}"

    def to_dict(self) -> dict[str, str | int]:
        """For JSON."""
        return {
            "quantity": self.quantity,
            "rule": self.rule,
            "expression": self.expression,
            "value": self.value,
            "note": self.note,
        }


def explain(row: Row, network: Network) -> tuple[Formula, ...]:
    """Every number of a layer; nothing where the layer, or one before it, can't read its input."""
    if row.input is None or row.output is None:
        return ()
    return (
        *_output(row, row.input, row.output),
        _params(row, row.input),
        *_cost(row, row.input, row.output),
        *_receptive_field(row),
        _activation(row, row.output),
        *_unread(row, row.input),
        _exchange(row, row.input, network),
    )


def _output(row: Row, shape: Shape, output: Shape) -> Iterator[Formula]:
    layer = row.layer
    match layer:
        case Conv2d() | Pool2d() if row.windows:
            height, width = (_outputs(layer, window, size) for window, size in zip(row.windows, shape[1:], strict=True))
            yield from _axes("output", height, width)
        case AdaptiveAvgPool2d():
            height, width = (
                Formula("", _number(size), size, "whatever the input", "output_size") for size in output[1:]
            )
            yield from _axes("output", height, width)
        case Flatten():
            note = "every value of the input, channel after channel"
            yield Formula("output", _product(shape), output[0], note, "channels·height·width")
        case Linear():
            yield Formula("output", _number(output[0]), output[0], "", "out_features")
        case _:
            yield Formula("output", _product(output), elements(output), f"{shape_text(output)}, as it reads")


def _outputs(layer: Conv2d | Pool2d, window: Window, size: int) -> Formula:
    """How many positions a window takes along one axis."""
    outputs, stride = window.outputs(size), _number(window.stride)
    if layer.padding == "same":
        padding = window.before + window.after
        reckoned = f"max(0, ({_number(outputs)} − 1)·{stride} + {_extent(window)} − {_number(size)})"
        note = f"padding {reckoned} = {padding}: {window.before} before, {window.after} after"
        return Formula("", f"⌈{_number(size)} / {stride}⌉", outputs, note, "⌈in / stride⌉")
    room = f"{_number(size)}{_padding(layer, window)} − {_extent(window)}"
    kernel = "kernel" if window.dilation == 1 else "(dilation·(kernel − 1) + 1)"
    rule = f"(in + padding before and after − {kernel}) / stride"
    if not window.ceil_mode:
        return Formula("", f"⌊({room}) / {stride}⌋ + 1", outputs, "", f"⌊{rule}⌋ + 1")
    if window._replace(ceil_mode=False).outputs(size) == outputs and (outputs - 1) * window.stride != (
        size + window.before + window.after - window.extent
    ):
        note = "the last window would start in the padding after the input, so it does not count"
        return Formula("", f"⌈({room}) / {stride}⌉ + 1 − 1", outputs, note, f"⌈{rule}⌉ + 1")
    return Formula("", f"⌈({room}) / {stride}⌉ + 1", outputs, "rounded up: a partial window counts", f"⌈{rule}⌉ + 1")


def _padding(layer: Conv2d | Pool2d, window: Window) -> str:
    if layer.padding == "valid":
        return ""
    if window.before == window.after:
        return f" + 2·{_number(window.before)}"
    return f" + {_number(window.before)} + {_number(window.after)}"


def _extent(window: Window) -> str:
    """The pixels from a window's first tap to its last."""
    if window.dilation == 1:
        return _number(window.kernel)
    return f"({_number(window.dilation)}·({_number(window.kernel)} − 1) + 1)"


def _params(row: Row, shape: Shape) -> Formula:
    layer = row.layer
    frozen = "" if layer.trains else "frozen: the optimizer leaves them as they are"
    match layer:
        case Conv2d() | Linear():
            kernel, kernels = _kernels(layer, shape)
            groups = getattr(layer, "groups", 1)
            grouped = f"each kernel reads {_number(shape[0])} / {groups} channels" if groups > 1 else ""
            expression = f"({kernel} + 1) · {kernels}" if layer.bias else f"{kernel} · {kernels}"
            rule = (
                "(values that a kernel reads + 1) · kernels" if layer.bias else "values that a kernel reads · kernels"
            )
            return Formula("params", expression, row.params, _join(grouped, frozen), rule)
        case BatchNorm():
            note = f"and 2·{_number(shape[0])} running statistics, which are not learned"
            if not layer.affine:
                return Formula("params", "0", 0, note)
            return Formula(
                "params", f"2·{_number(shape[0])}", row.params, _join(note, frozen), "(scale + shift)·channels"
            )
        case _:
            return Formula("params", "0", 0, "it learns nothing")


def _cost(row: Row, shape: Shape, output: Shape) -> Iterator[Formula]:
    layer = row.layer
    if not isinstance(layer, Conv2d | Linear):
        yield Formula("MACs", "0", 0, "counted for conv2d and linear alone")
        yield Formula("connections", "0", 0)
        yield Formula("neurons", "0", 0)
        return
    kernel, kernels = _kernels(layer, shape)
    positions = f" · {_product(output[1:])}" if output[1:] else ""
    rule = "kernels" + (" · positions" if positions else "")
    macs = f"{kernel} · {kernels}{positions}"
    yield Formula(
        "MACs", macs, row.macs, "multiplications by weights; biases apart", f"values that a kernel reads · {rule}"
    )
    if layer.bias:
        connections = f"({kernel} + 1) · {kernels}{positions}"
        yield Formula("connections", connections, row.connections, "", f"(values that a kernel reads + 1) · {rule}")
    else:
        yield Formula("connections", macs, row.connections, "", f"values that a kernel reads · {rule}")
    yield Formula(
        "neurons", _product(output), row.neurons, "", "channels·height·width" if positions else "out_features"
    )


def _kernels(layer: Conv2d | Linear, shape: Shape) -> tuple[str, str]:
    """What one kernel reads, height·width·channels, and how many kernels there are."""
    if isinstance(layer, Linear):
        return _number(shape[0]), _number(layer.out_features)
    return _product((*pair(layer.kernel_size), shape[0] // layer.groups)), _number(layer.out_channels)


def _receptive_field(row: Row) -> Iterator[Formula]:
    axes = (row.height, row.width)
    if row.windows is None:
        same = "as what it reads"
        yield from _axes("receptive field", *(Formula("", _number(axis.size), axis.size, same) for axis in axes))
        yield from _axes("jump", *(Formula("", _number(axis.jump), axis.jump, same) for axis in axes))
        yield from _axes("start", *(Formula("", _number(axis.start), axis.start, same) for axis in axes))
        return
    seen = [(axis, axis.before(window), window) for axis, window in zip(axes, row.windows, strict=True)]
    yield from _axes("receptive field", *(_field(*axis) for axis in seen))
    yield from _axes("jump", *(_jump(*axis) for axis in seen))
    yield from _axes("start", *(_start(*axis) for axis in seen))


def _field(axis: Axis, read: Axis, window: Window) -> Formula:
    expression = f"{_number(read.size)} + ({_extent(window)} − 1)·{_number(read.jump)}"
    return Formula("", expression, axis.size, "input pixels", "field of its input + (kernel − 1)·jump of its input")


def _jump(axis: Axis, read: Axis, window: Window) -> Formula:
    expression = f"{_number(read.jump)}·{_number(window.stride)}"
    return Formula("", expression, axis.jump, "input pixels between neighbouring outputs", "jump of its input·stride")


def _start(axis: Axis, read: Axis, window: Window) -> Formula:
    expression = f"{_number(read.start)} − {_number(window.before)}·{_number(read.jump)}"
    note = "the first input pixel that the first output sees; negative in the padding"
    return Formula("", expression, axis.start, note, "start of its input − padding before·jump of its input")


def _activation(row: Row, output: Shape) -> Formula:
    note = "the output of one image in fp32"
    return Formula("activation bytes", f"{FP32_BYTES} · {_product(output)}", row.activation_bytes, note, "4 · values")


def _unread(row: Row, shape: Shape) -> Iterator[Formula]:
    if row.windows is None or not isinstance(row.layer, Conv2d | Pool2d):
        yield Formula("unread border", "0", 0, "it reads every value")
        return
    yield from _axes(
        "unread border", *(_left(window, size) for window, size in zip(row.windows, shape[1:], strict=True))
    )


def _left(window: Window, size: int) -> Formula:
    positions = window.reaching(size)
    reached = f"(({_number(positions)} − 1)·{_number(window.stride)} + {_extent(window)})"
    before = f"{_number(window.before)} + " if window.before else ""
    notes = ["pixels at the far border that no window spans"]
    if positions < window.outputs(size):
        notes.append(f"{_number(window.outputs(size) - positions)} of the windows lie in the padding behind it")
    if window.stride > window.extent:
        notes.append(f"{_number(window.stride - window.extent)} more between each window and the next")
    rule = "max(0, padding before + in − ((out − 1)·stride + kernel))"
    return Formula("", f"max(0, {before}{_number(size)} − {reached})", window.unread(size), _join(*notes), rule)


def _exchange(row: Row, shape: Shape, network: Network) -> Formula:
    if row.exchange_bytes:
        expression = f"{FP32_BYTES} · {_product(shape)} · ({network.towers} − 1)"
        note = f"each of the {network.towers} towers needs what the others hold; one image in fp32"
        return Formula("exchange bytes", expression, row.exchange_bytes, note, "4 · values read · (towers − 1)")
    if network.towers == 1:
        note = "there is one tower"
    elif not row.layer.neurons:
        note = "each tower keeps to its own"
    elif getattr(row.layer, "groups", 1) > 1:
        note = "each kernel reads its own tower alone"
    else:
        note = "every tower has the image"
    return Formula("exchange bytes", "0", 0, note)


def explain_totals(
    analysis: Analysis, batch: int = 1, optimizer: str = "sgd", momentum: float = 0.9, bits: int = 32
) -> tuple[Formula, ...]:
    """Every total, then the training memory for a batch, an optimizer and a precision."""
    rows, totals = analysis.computed, analysis.totals
    return (
        Formula("params", _sum(row.params for row in rows), totals.params),
        Formula("trainable params", _sum(row.trainable_params for row in rows), totals.trainable_params),
        Formula("MACs", _sum(row.macs for row in rows), totals.macs, "pooling, normalisation and activations count 0"),
        Formula("FLOPs", f"2·{_number(totals.macs)}", totals.flops, "a multiplication and an addition", "2·MACs"),
        Formula("neurons", _sum(row.neurons for row in rows), totals.neurons),
        Formula("connections", _sum(row.connections for row in rows), totals.connections),
        Formula("exchange bytes", _sum(row.exchange_bytes for row in rows), totals.exchange_bytes, "for one image"),
        Formula("weight bytes", f"{FP32_BYTES}·{_number(totals.params)}", totals.weight_bytes, "in fp32", "4·params"),
        Formula(
            "activation bytes", _sum(row.activation_bytes for row in rows), totals.activation_bytes, "for one image"
        ),
        *_training(analysis, batch, optimizer, momentum, bits),
    )


def _training(analysis: Analysis, batch: int, optimizer: str, momentum: float, bits: int) -> Iterator[Formula]:
    totals, memory = analysis.totals, analysis.memory(batch, optimizer, momentum, bits)
    state = f"{FP32_BYTES}·({_number(totals.params)} + {_number(totals.buffers)})"
    copied = (memory.weights - FP32_BYTES * (totals.params + totals.buffers)) // (bits // 8)
    note = "parameters and running statistics in fp32"
    if copied:
        state, note = f"{state} + {bits // 8}·{_number(copied)}", f"{note}, and a {bits}-bit copy of the weights"
    yield Formula("training weights", state, memory.weights, note)

    gradients = f"{FP32_BYTES}·{_number(totals.trainable_params)}"
    yield Formula("training gradients", gradients, memory.gradients, "one for each trainable parameter")

    copies = optimizer_copies(optimizer, momentum)
    note = ("sgd without momentum remembers nothing", "the momentum", "running means of gradients and their squares")[
        copies
    ]
    yield Formula("training optimizer", f"{gradients}·{copies}", memory.optimizer, note)

    sizes = sorted({kept.value_bytes for kept in memory.kept if not kept.once})
    values = {
        size: sum(kept.values for kept in memory.kept if kept.value_bytes == size and not kept.once) for size in sizes
    }
    image = " + ".join(f"{size}·{_number(count)}" for size, count in values.items()) or "0"
    once = sum(kept.bytes() for kept in memory.kept if kept.once)
    expression = f"{_number(batch)}·({image})" + (f" + {_number(once)}" if once else "")
    yield Formula("training activations", expression, memory.activations, "what the backward pass reads again")

    parts = (memory.weights, memory.gradients, memory.optimizer, memory.activations)
    yield Formula("training bytes", _sum(parts), memory.total, f"at batch {_number(batch)}, with {optimizer}")


def _axes(quantity: str, height: Formula, width: Formula) -> Iterator[Formula]:
    """One formula where height and width come out alike, else one for each."""
    if height == width:
        yield replace(height, quantity=quantity)
    else:
        yield replace(height, quantity=f"{quantity}, height")
        yield replace(width, quantity=f"{quantity}, width")


def _number(value: int) -> str:
    return f"−{-value:,}" if value < 0 else f"{value:,}"


def _product(shape: Iterable[int]) -> str:
    return "·".join(map(_number, shape))


def _sum(terms: Iterable[int]) -> str:
    return " + ".join(_number(term) for term in terms if term) or "0"


def _join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
