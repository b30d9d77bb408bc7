"""The formula of each number of a row and of the totals, with the numbers filled in."""

from __future__ import annotations

from collections.abc import Iterator

from alexplore.network.analysis import Analysis
from alexplore.network.formula import Formula, by_axis, join_notes, number_text, product_text, sum_text
from alexplore.network.graph import Network
from alexplore.network.layers.base import FP32_BYTES
from alexplore.network.layers.sliding import extent_text
from alexplore.network.memory import MOMENTUM, OptimizerState
from alexplore.network.receptive_field import Axis
from alexplore.network.row import Row
from alexplore.network.shapes import Shape
from alexplore.network.windows import Window


def explain(row: Row, network: Network) -> tuple[Formula, ...]:
    """Return the formulas of all numbers of a layer; none if it, or a layer it depends on, can't read its input."""
    if row.output is None:
        return ()
    return (
        *row.layer.output_formulas(row.inputs, row.output),
        row.layer.parameter_formula(row.inputs),
        *_cost(row, row.output),
        *_receptive_field(row),
        _activation(row, row.output),
        *_unread(row),
        _exchange(row, network),
    )


def _cost(row: Row, output: Shape) -> Iterator[Formula]:
    """Yield the formulas of MACs, connections and neurons."""
    layer = row.layer
    if not layer.neurons:
        counted = "recorded" if layer.recorded else "counted for layers with neurons: conv2d and linear"
        yield Formula("MACs", number_text(row.macs), row.macs, counted)
        yield Formula("connections", "0", 0)
        yield Formula("neurons", "0", 0)
        return
    kernel, kernels = layer.kernel_text(row.inputs)
    positions = f" · {product_text(output[1:])}" if output[1:] else ""
    rule = "kernels" + (" · positions" if positions else "")
    macs = f"{kernel} · {kernels}{positions}"
    note = "multiplications by weights, without biases"
    yield Formula("MACs", macs, row.macs, note, f"values that a kernel reads · {rule}")
    if row.parameters.biases:
        connections = f"({kernel} + 1) · {kernels}{positions}"
        yield Formula("connections", connections, row.connections, "", f"(values that a kernel reads + 1) · {rule}")
    else:
        yield Formula("connections", macs, row.connections, "", f"values that a kernel reads · {rule}")
    rule = "channels·height·width" if positions else "out_features"
    yield Formula("neurons", product_text(output), row.neurons, "", rule)


def _receptive_field(row: Row) -> Iterator[Formula]:
    axes = (row.height, row.width)
    if row.windows is None:
        same = "as what it reads" if len(row.sources) == 1 else "all that its inputs see together"
        if row.layer.uses_statistics:
            same += ", besides the statistics, which are of the whole map"
        if row.layer.recorded:
            same += ", as if the operator moved no value"
        yield from by_axis("receptive field", *(_value(axis.size, same) for axis in axes))
        yield from by_axis("jump", *(_value(axis.jump, same) for axis in axes))
        yield from by_axis("start", *(_value(axis.start, same) for axis in axes))
        return
    seen = [(axis, axis.before(window), window) for axis, window in zip(axes, row.windows, strict=True)]
    yield from by_axis("receptive field", *(_field(*axis) for axis in seen))
    yield from by_axis("jump", *(_jump(*axis) for axis in seen))
    yield from by_axis("start", *(_start(*axis) for axis in seen))


def _value(value: int, note: str) -> Formula:
    return Formula("", number_text(value), value, note)


def _field(axis: Axis, read: Axis, window: Window) -> Formula:
    expression = f"{number_text(read.size)} + ({extent_text(window)} − 1)·{number_text(read.jump)}"
    return Formula("", expression, axis.size, "input pixels", "field of its input + (kernel − 1)·jump of its input")


def _jump(axis: Axis, read: Axis, window: Window) -> Formula:
    expression = f"{number_text(read.jump)}·{number_text(window.stride)}"
    return Formula("", expression, axis.jump, "input pixels between neighbouring outputs", "jump of its input·stride")


def _start(axis: Axis, read: Axis, window: Window) -> Formula:
    expression = f"{number_text(read.start)} − {number_text(window.before)}·{number_text(read.jump)}"
    note = "the first input pixel that the first output sees; negative in the padding"
    return Formula("", expression, axis.start, note, "start of its input − padding before·jump of its input")


def _activation(row: Row, output: Shape) -> Formula:
    note = "the output of one image in fp32"
    expression = f"{FP32_BYTES} · {product_text(output)}"
    return Formula("activation bytes", expression, row.activation_bytes, note, "4 · values")


def _unread(row: Row) -> Iterator[Formula]:
    if row.windows is None or not row.layer.slides:
        yield Formula("unread border", "0", 0, "it reads every value")
        return
    yield from by_axis("unread border", *map(_unread_pixels, row.windows, row.inputs[0][1:]))


def _unread_pixels(window: Window, size: int) -> Formula:
    positions = window.starting_inside(size)
    covered = f"(({number_text(positions)} − 1)·{number_text(window.stride)} + {extent_text(window)})"
    before = f"{number_text(window.before)} + " if window.before else ""
    notes = ["pixels at the far border that no window covers"]
    if positions < window.outputs(size):
        notes.append(f"{number_text(window.outputs(size) - positions)} of the windows lie in the padding behind it")
    if window.stride > window.extent:
        notes.append(f"{number_text(window.stride - window.extent)} more between each window and the next")
    rule = "max(0, padding before + in − ((out − 1)·stride + kernel))"
    expression = f"max(0, {before}{number_text(size)} − {covered})"
    return Formula("", expression, window.unread(size), join_notes(*notes), rule)


def _exchange(row: Row, network: Network) -> Formula:
    if row.exchange_bytes:
        expression = f"{FP32_BYTES} · {product_text(row.inputs[0])} · ({network.towers} − 1)"
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
    analysis: Analysis, batch: int = 1, state: OptimizerState = MOMENTUM, bits: int = 32
) -> tuple[Formula, ...]:
    """Return the formulas of all totals and of the training memory, for a batch, an optimizer and `bits` bits."""
    rows, totals = analysis.computed, analysis.totals
    unweighted = "pooling, normalisation and activations count 0"
    return (
        Formula("params", sum_text(row.params for row in rows), totals.params),
        Formula("trainable params", sum_text(row.trainable_params for row in rows), totals.trainable_params),
        Formula("MACs", sum_text(row.macs for row in rows), totals.macs, unweighted),
        Formula("FLOPs", f"2·{number_text(totals.macs)}", totals.flops, "a multiplication and an addition", "2·MACs"),
        Formula("neurons", sum_text(row.neurons for row in rows), totals.neurons),
        Formula("connections", sum_text(row.connections for row in rows), totals.connections),
        Formula("exchange bytes", sum_text(row.exchange_bytes for row in rows), totals.exchange_bytes, "for one image"),
        Formula(
            "weight bytes", f"{FP32_BYTES}·{number_text(totals.params)}", totals.weight_bytes, "in fp32", "4·params"
        ),
        Formula(
            "activation bytes", sum_text(row.activation_bytes for row in rows), totals.activation_bytes, "for one image"
        ),
        *_training(analysis, batch, state, bits),
    )


def _training(analysis: Analysis, batch: int, state: OptimizerState, bits: int) -> Iterator[Formula]:
    totals, memory = analysis.totals, analysis.memory(batch, state, bits)
    weights = f"{FP32_BYTES}·({number_text(totals.params)} + {number_text(totals.buffers)})"
    copied = (memory.weights - FP32_BYTES * (totals.params + totals.buffers)) // (bits // 8)
    note = "parameters and running statistics in fp32"
    if copied:
        weights, note = (
            f"{weights} + {bits // 8}·{number_text(copied)}",
            f"{note}, and a {bits}-bit copy of the weights",
        )
    yield Formula("training weights", weights, memory.weights, note)

    gradients = f"{FP32_BYTES}·{number_text(totals.trainable_params)}"
    yield Formula("training gradients", gradients, memory.gradients, "one for each trainable parameter")

    yield Formula("training optimizer", f"{gradients}·{state.tensors}", memory.optimizer, state.note)

    for_each_image = [kept for kept in memory.kept if not kept.per_batch]
    values = {
        size: sum(kept.values for kept in for_each_image if kept.value_bytes == size)
        for size in sorted({kept.value_bytes for kept in for_each_image})
    }
    image = " + ".join(f"{size}·{number_text(count)}" for size, count in values.items()) or "0"
    once = sum(kept.bytes() for kept in memory.kept if kept.per_batch)
    expression = f"{number_text(batch)}·({image})" + (f" + {number_text(once)}" if once else "")
    yield Formula("training activations", expression, memory.activations, "what the backward pass reads again")

    parts = (memory.weights, memory.gradients, memory.optimizer, memory.activations)
    note = f"at batch {number_text(batch)}, with {state.optimizer}"
    yield Formula("training bytes", sum_text(parts), memory.total, note)
