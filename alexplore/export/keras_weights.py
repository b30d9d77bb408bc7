"""Weights of a network in Keras's order, for the code that `alexplore.export.keras` writes.

Keras has the channels of maps last: kernels are (height, width, in, out), the weights of linear layers (in, out). Where
a map is flattened, its features stand in another order, and so do the weights of what reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexplore.export.keras import flattens, in_any_order
from alexplore.export.python_code import quoted
from alexplore.network.analysis import Analysis
from alexplore.network.graph import IMAGE
from alexplore.network.layers.base import Layer

Array = NDArray[Any]

KINDS = ("weight", "bias", "running_mean", "running_var")
"""Tensors of a layer in Keras's order. Keras's batch norm has no counterpart of `num_batches_tracked`."""


def keras_arrays(analysis: Analysis, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return the weights of Keras's layers by `LAYER.NUMBER`, in the order of their `weights`.

    `weights` are those of the network by PyTorch's names.
    """
    arrays: dict[str, Array] = {}
    orders: dict[int, Array | None] = {IMAGE: None}  # which of our features each of Keras's is; None for all the same
    for row in analysis.rows:
        read = orders[row.sources[0]]
        kinds = [kind for kind in KINDS if f"{row.layer.name}.{kind}" in weights]
        for number, kind in enumerate(kinds):
            arrays[f"{row.layer.name}.{number}"] = _in_keras_order(row.layer, weights[f"{row.layer.name}.{kind}"], read)
        if flattens(row):
            any_order = in_any_order(analysis.network, row.index - 1)
            positions = np.arange(np.prod(row.inputs[0])).reshape(row.inputs[0])
            orders[row.index - 1] = positions.transpose(1, 2, 0).ravel() if any_order else None
        else:
            orders[row.index - 1] = None if row.layer.neurons or len(row.sources) > 1 else read
    return arrays


def _in_keras_order(layer: Layer, value: Array, order: Array | None) -> Array:
    """Return a weight with its axes, and the features that it belongs to, in Keras's order."""
    match value.ndim:
        case 4:
            return value.transpose(2, 3, 1, 0)
        case 3:
            return value.transpose(1, 2, 0)
        case 2:
            return (value if order is None else value[:, order]).T
        case 1 if order is not None and not layer.neurons and value.size == order.size:
            return value[order]
    return value


LOADER = '''\
def load_weights(model, file=Path(__file__).with_name({file})):
    """Give a model its trained weights, which are in a file beside this one, and return it."""
    with numpy.load(file) as arrays:
        for layer in model.layers:
            values = (arrays[f"{{layer.name}}.{{number}}"] for number in range(len(layer.weights)))
            layer.set_weights([value.reshape(own.shape) for value, own in zip(values, layer.weights)])
    return model


'''


def with_loader(code: str, file: str) -> str:
    """Return exported Keras code with a function that loads weights from a file of this name beside it."""
    code = code.replace("\nimport keras\n", "\nfrom pathlib import Path\n\nimport keras\nimport numpy\n", 1)
    before, main, call = code.rpartition('if __name__ == "__main__":\n    ')
    build, _, _ = call.partition("()")
    return f"{before}{LOADER.format(file=quoted(file))}{main}load_weights({build}()).summary()\n"
