"""The memory that training takes on the device: weights, gradients, optimizer state, activations kept for backward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from alexplore.network.graph import IMAGE, Network
from alexplore.network.layers.base import FP32_BYTES, Layer
from alexplore.network.row import Row
from alexplore.network.shapes import elements


class OptimizerState(NamedTuple):
    """The state of an optimizer: `tensors` fp32 numbers for each trainable parameter; `note` names them."""

    optimizer: str
    tensors: int
    note: str


MOMENTUM = OptimizerState("sgd", 1, "the momentum")


class Kept(NamedTuple):
    """A tensor that is kept from the forward pass for the backward pass: `values` of `value_bytes` for each image."""

    layer: str
    what: str
    values: int
    value_bytes: int
    per_batch: bool = False  # once for the whole batch, not for each image

    def bytes(self, batch: int = 1) -> int:
        """Return its size for a batch."""
        return self.values * self.value_bytes * (1 if self.per_batch else batch)


class TrainingMemory(NamedTuple):
    """Bytes on the device while training, by what they hold."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    kept: tuple[Kept, ...] = ()

    @property
    def total(self) -> int:
        """The sum of all bytes."""
        return self.weights + self.gradients + self.optimizer + self.activations


def training_memory(
    network: Network, rows: Sequence[Row], batch: int, state: OptimizerState, bits: int
) -> TrainingMemory:
    """Return the bytes for training on a batch, with activations of `bits` bits; `rows` are those with numbers.

    Parameters, gradients and optimizer state are fp32; with 16 bits, PyTorch's autocast adds a 16-bit copy of the
    weights of layers with neurons.
    """
    trainable = sum(row.trainable_params for row in rows)
    params = sum(row.params + row.parameters.buffers for row in rows)
    copied = sum(row.parameters.weights for row in rows if row.layer.neurons) if bits < 32 else 0
    kept = tuple(kept_tensors(network, rows, bits // 8))
    return TrainingMemory(
        weights=FP32_BYTES * params + bits // 8 * copied,
        gradients=FP32_BYTES * trainable,
        optimizer=FP32_BYTES * trainable * state.tensors,
        activations=sum(tensor.bytes(batch) for tensor in kept),
        kept=kept,
    )


class _Tensor:
    """The output of a layer while memory is counted: whether gradients flow through it, and whether it is kept yet."""

    __slots__ = ("as_kept", "differentiable", "is_kept")

    def __init__(self, as_kept: Kept, differentiable: bool) -> None:
        self.as_kept, self.differentiable, self.is_kept = as_kept, differentiable, False

    @property
    def value_bytes(self) -> int:
        """Bytes of a value."""
        return self.as_kept.value_bytes

    def copied(self, layer: Layer, value_bytes: int) -> Kept:
        """Return the copy in fewer bits that a layer makes to read it."""
        return Kept(layer.name, f"its input in {8 * value_bytes} bits", self.as_kept.values, value_bytes)

    def keep(self) -> Iterator[Kept]:
        """Yield the tensor the first time that a layer keeps it."""
        if not self.is_kept:
            self.is_kept = True
            yield self.as_kept


def kept_tensors(network: Network, rows: Sequence[Row], value_bytes: int) -> Iterator[Kept]:
    """Yield the tensors that autograd keeps, each once, even if several layers read it.

    Images are fp32. Under autocast, layers that lower the precision write values of `value_bytes` bytes, and make
    copies of that size of inputs of a higher precision; the others write in the highest precision of their inputs.
    Source: `Layer.saved` of each layer type, with maps channels last; the tests compare with
    `torch.autograd.graph.saved_tensors_hooks`.
    """
    tensors = {IMAGE: _Tensor(Kept("input", "the images", elements(network.input), FP32_BYTES), False)}
    for row in rows:
        layer = row.layer
        assert row.output is not None
        read = [tensors[source] for source in row.sources]
        size = value_bytes if layer.lowers_precision else max(tensor.value_bytes for tensor in read)
        differentiable = row.trainable_params > 0 or any(tensor.differentiable for tensor in read)
        if layer.is_view(row.inputs):
            written = read[0]
            written.differentiable = written.differentiable or differentiable
        else:
            written = _Tensor(Kept(layer.name, "its output", elements(row.output), size), differentiable)
        tensors[row.index - 1] = written
        if not differentiable:
            continue
        saved = layer.saved(row.inputs, row.output, size)
        if saved.copied:
            yield Kept(layer.name, "a copy of its input", saved.copied, size)
        elif saved.inputs:
            for tensor in read:
                yield from tensor.keep() if tensor.value_bytes <= size else [tensor.copied(layer, size)]
        elif saved.factors:
            yield from _factors(row, read)
        if saved.output:
            yield from written.keep()
        for extra in saved.extras:
            extra_size = size if extra.value_bytes is None else extra.value_bytes
            yield Kept(layer.name, extra.what, extra.values, extra_size, extra.per_batch)


def _factors(row: Row, read: Sequence[_Tensor]) -> Iterator[Kept]:
    """Yield the tensors kept for a product: a factor is kept if gradients flow through the other one.

    Products of several factors are computed from left to right.
    """
    left = read[0]
    for count, right in enumerate(read[1:], start=2):
        if right.differentiable:
            yield from left.keep()
        if left.differentiable:
            yield from right.keep()
        values = elements(row.layer.output_shape(row.inputs[:count]))
        size = max(left.value_bytes, right.value_bytes)
        product = Kept(row.layer.name, f"the product of its first {count} inputs", values, size)
        left = _Tensor(product, left.differentiable or right.differentiable)
