"""Runs exported code: PyTorch's and, on its torch backend, Keras's."""

from __future__ import annotations

import os
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from alexplore.export import export_preset
from alexplore.export.python_code import class_name
from alexplore.network.analysis import analyse
from alexplore.network.layers.base import Layer
from alexplore.network.shapes import Shape
from alexplore.presets.preset import Preset
from alexplore.training.model.build import Model, build


def torch_class(preset: Preset) -> type[nn.Module]:
    """Return the class that exported PyTorch code defines."""
    found = _run(preset, "pytorch")[class_name(preset)]
    assert isinstance(found, type) and issubclass(found, nn.Module)
    return found


def torch_models(preset: Preset) -> tuple[nn.Module, Model]:
    """Return the exported module and ours, with the same weights."""
    ours = build(preset.network, seed=1)
    with torch.device("meta"):
        theirs = torch_class(preset)()
    theirs.load_state_dict({name: tensor.clone() for name, tensor in ours.state_dict().items()}, assign=True)
    return theirs, ours


def keras_model(preset: Preset) -> Any:
    """Return the model that exported Keras code builds."""
    with patch.dict(os.environ, KERAS_BACKEND="torch"):
        names = _run(preset, "keras")
        return next(value for name, value in names.items() if name.startswith("build_"))()


def keras_model_with(preset: Preset, weights: dict[str, Tensor]) -> Any:
    """Return the exported Keras model with weights of a model of ours."""
    model = keras_model(preset)
    flattened: Shape | None = None
    for row in analyse(preset.network).rows:
        name = row.layer.name
        own = {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
        own.pop("num_batches_tracked", None)
        if own:
            layer = model.get_layer(name)
            shapes = [tuple(variable.shape) for variable in layer.weights]
            values = [_in_keras_order(row.layer, value, flattened) for value in own.values()]
            layer.set_weights([value.reshape(shape).numpy() for value, shape in zip(values, shapes, strict=True)])
        if row.layer.neurons:
            flattened = None
        elif row.input is not None and row.output is not None and len(row.input) > len(row.output):
            flattened = row.input
    return model


def _in_keras_order(layer: Layer, value: Tensor, flattened: Shape | None) -> Tensor:
    """Return a weight with its axes in Keras's order: channels last, kernels (height, width, in, out).

    `flattened` is the shape of the map that was made the vector that the layer reads: Keras's has its channels last.
    """
    match value.dim():
        case 4:
            return value.permute(2, 3, 1, 0).contiguous()
        case 3:
            return value.permute(1, 2, 0).contiguous()
        case 2:
            inputs = value.reshape(-1, *flattened).permute(0, 2, 3, 1).flatten(1) if flattened else value
            return inputs.T.contiguous()
        case 1 if flattened and not layer.neurons and value.numel() > 1:
            return value.reshape(flattened).permute(1, 2, 0).flatten()
    return value


def _run(preset: Preset, to: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(export_preset(preset, to), "exported.py", "exec"), names)
    return names
