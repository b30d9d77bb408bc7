"""Runs exported code: PyTorch's and, on its torch backend, Keras's."""

from __future__ import annotations

import importlib
import os
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from alexplore.export import export_preset
from alexplore.network.analysis import analyse
from alexplore.network.graph import IMAGE
from alexplore.network.layers.base import Layer
from alexplore.network.row import Row
from alexplore.presets.preset import Preset
from alexplore.training.model.build import Model, build


def torch_class(preset: Preset) -> type[nn.Module]:
    """Return the class that exported PyTorch code defines."""
    *_, found = (value for value in _run(preset, "pytorch").values() if isinstance(value, type))
    assert issubclass(found, nn.Module)
    return found


def torch_models(preset: Preset) -> tuple[nn.Module, Model]:
    """Return the exported module and ours, with the same weights."""
    ours = build(preset.network, seed=1)
    with torch.device("meta"):
        theirs = torch_class(preset)()
    theirs.load_state_dict({name: tensor.clone() for name, tensor in ours.state_dict().items()}, assign=True)
    return theirs, ours


def keras_model(preset: Preset) -> Any:
    """Return the model that exported Keras code builds, in fp64."""
    with patch.dict(os.environ, KERAS_BACKEND="torch"):
        config = importlib.import_module("keras").config
        config.set_floatx("float64")
        config.set_dtype_policy("float64")
        names = _run(preset, "keras")
        return next(value for name, value in names.items() if name.startswith("build_"))()


def keras_model_with(preset: Preset, weights: dict[str, Tensor]) -> Any:
    """Return the exported Keras model with the weights of our model, by their names in its state_dict."""
    model = keras_model(preset)
    orders: dict[int, Tensor | None] = {IMAGE: None}
    for row in analyse(preset.network).rows:
        name, read = row.layer.name, [orders[source] for source in row.sources]
        own = {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
        own.pop("num_batches_tracked", None)
        if own:
            layer = model.get_layer(name)
            shapes = [tuple(variable.shape) for variable in layer.weights]
            values = [_in_keras_order(row.layer, value, read[0]) for value in own.values()]
            layer.set_weights([value.reshape(shape).numpy() for value, shape in zip(values, shapes, strict=True)])
        orders[row.index - 1] = _order_of_features(row, read, {one.name for one in model.layers})
    return model


def _order_of_features(row: Row, read: list[Tensor | None], names: set[str]) -> Tensor | None:
    """Return the index of our feature for each feature of Keras's output; None if both are in the same order.

    Keras flattens maps with their channels last, so the order differs unless a map has one channel or one pixel. `read`
    are the orders of the layer's inputs, `names` the names of all layers.
    """
    assert row.output is not None
    if row.layer.neurons or len(row.output) > 1:
        return None
    if len(row.inputs[0]) == 3:
        ours = torch.arange(row.output[0])
        order = ours.reshape(row.inputs[0]).permute(1, 2, 0).flatten()
        return None if f"{row.layer.name}_channels_first" in names or torch.equal(order, ours) else order
    if len(read) > 1:
        assert read == [None] * len(read), "joined vectors are in PyTorch's order"
        return None
    return read[0]


def _in_keras_order(layer: Layer, value: Tensor, order: Tensor | None) -> Tensor:
    """Return a weight with its axes in Keras's order: channels last, kernels (height, width, in, out).

    `order` has the index of our feature for each feature that Keras's layer reads; None if they are the same.
    """
    match value.dim():
        case 4:
            return value.permute(2, 3, 1, 0).contiguous()
        case 3:
            return value.permute(1, 2, 0).contiguous()
        case 2:
            return (value if order is None else value[:, order]).T.contiguous()
        case 1 if order is not None and not layer.neurons and value.numel() == order.numel():
            return value[order]
    return value


def _run(preset: Preset, to: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(export_preset(preset, to), "exported.py", "exec"), names)
    return names


FP32_NORMS = (nn.LayerNorm, nn.GroupNorm)
"""Norms that Keras computes in fp32, whatever the model's precision."""


def check_keras_outputs(model: Any, ours: nn.Module, images: Tensor) -> None:
    """Check the outputs of a Keras model against ours in fp64, for images (N, C, H, W) in fp64.

    Keras's norms in fp32 calculate the variance as the difference of two means, E[x²] − E[x]², which has few correct
    digits if the values are almost equal. So networks with such norms are compared to two digits; `check_keras_export`
    in `layer_checks.py` compares these layers closely by themselves.

    With PyTorch as its backend Keras multiplies matrices in fp32, fp64 ones too: sums of hundreds of products have six
    digits.
    """
    with torch.no_grad():
        expected, found = ours(images), model(images.permute(0, 2, 3, 1)).detach().cpu().double()
    found = found.permute(0, 3, 1, 2) if found.dim() == 4 else found
    largest = expected.abs().max().item()
    in_fp32 = any(isinstance(layer, FP32_NORMS) for layer in ours.modules())
    products = 1e-5 if any(isinstance(layer, nn.Linear) for layer in ours.modules()) else 1e-6
    tolerance = 1e-2 * max(largest, 1.0) if in_fp32 else products * max(largest, 0.1)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
