"""What training a network takes on the device: weights, gradients, optimizer state, activations kept for backward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from alexplore.network.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    Windows,
)
from alexplore.network.shapes import Shape, elements

if TYPE_CHECKING:
    from alexplore.network.analysis import Row
    from alexplore.network.graph import Network

FP32_BYTES = 4
INDEX_BYTES = 8  # PyTorch's indices are int64
MOST_GROUPS_APART = 4  # of a convolution; each is convolved by itself, from a copy of its channels
OPTIMIZER_COPIES = {"adam": 2, "adamw": 2}  # running means of the gradients and of their squares

READS = (Conv2d, Linear, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, LocalResponseNorm, BatchNorm)
WRITES = (ReLU, Tanh, Sigmoid, Softmax)


class Kept(NamedTuple):
    """A tensor that is kept from the forward pass for the backward pass: `values` of `value_bytes` for each image."""

    layer: str
    what: str
    values: int
    value_bytes: int
    once: bool = False  # for the whole batch, not for each image

    def bytes(self, batch: int = 1) -> int:
        """Its size for a batch."""
        return self.values * self.value_bytes * (1 if self.once else batch)


class TrainingMemory(NamedTuple):
    """Bytes on the device while training, by what they hold."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    kept: tuple[Kept, ...] = ()

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations


def training_memory(
    network: Network, rows: Sequence[Row], batch: int, optimizer: str, momentum: float, bits: int
) -> TrainingMemory:
    """Bytes for training on a batch, with activations of `bits` bits.

    Parameters, gradients and optimizer state are fp32; under 16 bits there is a 16-bit copy of the weights that
    multiply, as PyTorch's autocast makes it.
    """
    trainable = sum(row.trainable_params for row in rows)
    params = sum(row.params + row.parameters.buffers for row in rows)
    copied = sum(row.parameters.weights for row in rows if row.layer.neurons) if bits < 32 else 0
    kept = tuple(kept_tensors(network, rows, bits // 8))
    return TrainingMemory(
        weights=FP32_BYTES * params + bits // 8 * copied,
        gradients=FP32_BYTES * trainable,
        optimizer=FP32_BYTES * trainable * optimizer_copies(optimizer, momentum),
        activations=sum(tensor.bytes(batch) for tensor in kept),
        kept=kept,
    )


def optimizer_copies(optimizer: str, momentum: float) -> int:
    """How many numbers an optimizer remembers for each parameter."""
    return OPTIMIZER_COPIES.get(optimizer, 1 if momentum else 0)


def kept_tensors(network: Network, rows: Sequence[Row], value_bytes: int) -> Iterator[Kept]:
    """The tensors that autograd keeps, each once: what one layer writes and the next reads is one tensor.

    Source: the saved values of PyTorch's derivatives.yaml, for layers as `alexplore.training` builds them, with maps
    channels last; the tests compare with `torch.autograd.graph.saved_tensors_hooks`.
    """
    written: Kept | None = Kept("input", "the images", elements(network.input), value_bytes)  # None once it is kept
    trained = False  # whether gradients flow back through here
    for row in rows:
        layer = row.layer
        assert row.input is not None and row.output is not None
        trained = trained or row.trainable_params > 0
        if trained and _reads_again(layer, row.output):
            copied = _copied(layer, row.windows, row.input)
            if copied:
                yield Kept(layer.name, "a copy of its input", copied, value_bytes)
            elif written:
                yield written
                written = None
        if not _is_view(layer, row.input):
            written = Kept(layer.name, "its output", elements(row.output), value_bytes)
        if trained:
            if isinstance(layer, WRITES) and written:
                yield written
                written = None
            yield from _more(layer, row.input, elements(row.output), value_bytes)


def _reads_again(layer: Layer, output: Shape) -> bool:
    """Whether the backward pass of a layer reads its input."""
    if isinstance(layer, AdaptiveAvgPool2d):
        return elements(output) > output[0]  # PyTorch takes a plain mean where the output is 1×1
    return isinstance(layer, READS)


def _is_view(layer: Layer, shape: Shape) -> bool:
    """Flattening a map whose channels lie next to each other copies it, unless it has one position or one channel."""
    return isinstance(layer, Flatten) and (elements(shape) == shape[0] or shape[0] == 1)


def _copied(layer: Layer, windows: Windows | None, shape: Shape) -> int:
    """Values of the copy that a layer makes of its input before it reads it, 0 where it makes none.

    It does so for padding that PyTorch's layers can't do themselves, and, on a CPU, to convolve a few groups apart.
    """
    if windows is None or not isinstance(layer, Conv2d | MaxPool2d | AvgPool2d):
        return 0
    height, width = windows
    if height.before != height.after or width.before != width.after:
        return shape[0] * (shape[1] + height.before + height.after) * (shape[2] + width.before + width.after)
    return elements(shape) if 1 < getattr(layer, "groups", 1) <= MOST_GROUPS_APART else 0


def _more(layer: Layer, shape: Shape, values: int, value_bytes: int) -> Iterator[Kept]:
    """What a layer that reads `shape` and writes `values` keeps besides its input or output."""
    match layer:
        case MaxPool2d():
            yield Kept(layer.name, "where each maximum was", values, INDEX_BYTES)
        case Dropout(p=p) if 0 < p < 1:
            yield Kept(layer.name, "its mask", values, value_bytes)
        case BatchNorm():
            yield Kept(layer.name, "the batch's statistics", 2 * shape[0], FP32_BYTES, once=True)
        case LocalResponseNorm(region="within_channel", size=size):
            squares = shape[0] * (shape[1] + size - 1) * (shape[2] + size - 1)
            yield Kept(layer.name, "the squares, padded", squares, FP32_BYTES)
            yield Kept(layer.name, "the sums of squares", values, FP32_BYTES)
            yield Kept(layer.name, "the factors", values, value_bytes)
            if value_bytes < FP32_BYTES:
                yield Kept(layer.name, "its input in fp32", values, FP32_BYTES)
        case LocalResponseNorm():
            yield Kept(layer.name, "the sums of squares", values, value_bytes)
