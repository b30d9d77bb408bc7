"""Exported Keras code, run on Keras's torch backend with our weights."""

from __future__ import annotations

import importlib
import importlib.util
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given

from alexplore.export import export_preset
from alexplore.export.errors import ExportError
from alexplore.network.analysis import analyse
from alexplore.network.graph import read_network
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.training.model.build import build
from tests.support.examples import examples
from tests.support.exported import check_keras_outputs, keras_model, keras_model_with
from tests.support.networks import called_like_the_code, networks, presets_to_run, quick_to_run

needs_keras = pytest.mark.skipif(
    importlib.util.find_spec("keras") is None, reason="running exported Keras code needs keras: pip install keras"
)


def check(preset: Preset) -> None:
    """Compare numbers of parameters and outputs with our model, in fp64."""
    ours = build(preset.network, seed=1).double().eval()
    model = keras_model_with(preset, dict(ours.state_dict()))
    totals = analyse(preset.network).totals
    assert model.count_params() == totals.params + totals.buffers
    assert sum(weight.numpy().size for weight in model.trainable_weights) == totals.trainable_params
    images = torch.rand(2, *preset.network.input, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    check_keras_outputs(model, ours, images)


@needs_keras
@pytest.mark.parametrize("name", presets_to_run())
def test_presets(name: str) -> None:
    """With hidden linear layers of 32 outputs where there are thousands, which Keras takes seconds to fill."""
    preset = quick_to_run(load_preset(name))
    network = preset.network
    for index, layer in enumerate(network.layers):
        if layer.settings().get("out_features", 0) >= 4096:
            network = network.change(index, {"out_features": 32})
    check(replace(preset, network=network))


@needs_keras
@examples(25)
@given(network=networks(working=True))
def test_any_network(network: Any) -> None:
    try:
        check(Preset("any", network))
    except ExportError as refused:
        assert "has a stride and a dilation over 1" in str(refused)


@needs_keras
def test_initial_weights() -> None:
    model = keras_model(load_preset("cifar10-relu"))
    kernel, bias = model.get_layer("conv2").get_weights()
    assert kernel.std() == pytest.approx(0.01, rel=0.1)
    assert not bias.any()


def like_additions() -> Preset:
    """Layers that are called as what the export adds would be: the input and the paddings."""
    layers = [
        {"name": "images", "type": "conv2d", "out_channels": 2, "kernel_size": 3, "padding": 1, "stride": 2},
        {"name": "images_pad", "type": "max_pool2d", "kernel_size": 3, "padding": 1, "stride": 2},
        {"name": "input_layer", "type": "relu"},
        {"name": "images_pad_pad", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 2},
    ]
    return Preset("any", read_network({"input": [1, 8, 8], "layers": layers}))


def test_names_are_used_once() -> None:
    """Of five layers, two paddings, the input and the model."""
    names = re.findall(r'name="(\w+)"', export_preset(like_additions(), "keras"))
    assert len(names) == len(set(names)) == 9


@needs_keras
def test_layers_called_like_additions() -> None:
    importlib.import_module("keras").utils.clear_session()  # it numbers the names that it gives
    check(like_additions())


FLATTENED: dict[str, list[dict[str, Any]]] = {
    "the output": [],
    "sum with a vector that was none": [
        {"name": "fc", "type": "linear", "out_features": 36},
        {"name": "sum", "type": "add", "inputs": ["flat", "fc"]},
        {"name": "last", "type": "linear", "out_features": 2},
    ],
    "product of two maps of other sizes": [
        {"name": "pool", "type": "adaptive_avg_pool2d", "inputs": ["conv"], "output_size": [2, 3]},
        {"name": "more", "type": "conv2d", "out_channels": 6, "kernel_size": 1},
        {"name": "flat2", "type": "flatten"},
        {"name": "product", "type": "mul", "inputs": ["flat2", "flat"]},
        {"name": "last", "type": "linear", "out_features": 2},
    ],
    "concatenation": [
        {"name": "fc", "type": "linear", "out_features": 3},
        {"name": "both", "type": "concat", "inputs": ["fc", "flat"]},
        {"name": "last", "type": "linear", "out_features": 2},
    ],
    "norm of groups": [
        {"name": "norm", "type": "group_norm", "num_groups": 4},
        {"name": "last", "type": "linear", "out_features": 2},
    ],
    "softmax": [{"name": "last", "type": "softmax"}],
    "one slope for each feature, and a linear layer": [
        {"name": "slopes", "type": "prelu", "num_parameters": 36},
        {"name": "norm", "type": "batch_norm"},
        {"name": "last", "type": "linear", "out_features": 2},
    ],
}


def flattened(layers: list[dict[str, Any]]) -> Preset:
    """A map of 4×3×3, flattened, and layers that read it."""
    first = [
        {"name": "conv", "type": "conv2d", "out_channels": 4, "kernel_size": 3},
        {"name": "flat", "type": "flatten"},
    ]
    return Preset("any", read_network({"input": [2, 5, 5], "layers": [*first, *layers]}))


@needs_keras
@pytest.mark.parametrize("name", FLATTENED)
def test_order_of_flattened_maps(name: str) -> None:
    check(flattened(FLATTENED[name]))


def test_a_flattened_map_stays_in_the_order_of_keras_for_linear_layers() -> None:
    plain = "one slope for each feature, and a linear layer"
    assert [name for name in FLATTENED if "Permute" not in export_preset(flattened(FLATTENED[name]), "keras")] == [
        plain
    ]


@needs_keras
def test_layers_called_like_what_the_code_uses() -> None:
    check(called_like_the_code())


def test_what_keras_has_no_words_for_is_refused() -> None:
    layer = {"name": "conv1", "type": "conv2d", "out_channels": 2, "kernel_size": 3, "stride": 2, "dilation": 2}
    network = read_network({"input": [1, 9, 9], "layers": [layer]})
    with pytest.raises(ExportError, match="any can't be exported to Keras: conv1 has a stride and a dilation over 1"):
        export_preset(Preset("any", network), "keras")


def test_code() -> None:
    """What can be told without Keras: names, padding in words, PyTorch's momentum turned round."""
    text = export_preset(load_preset("keras-bn"), "keras")
    compile(text, "exported.py", "exec")
    assert 'layers.Conv2D(96, 11, strides=4, name="conv1")' in text
    assert 'layers.BatchNormalization(momentum=0.99, epsilon=0.001, name="bn1")' in text
    assert "class" not in text
    paper = export_preset(load_preset("paper"), "keras")
    assert "class ResponseNorm(layers.Layer):" in paper
    assert "class NormWithinMap" not in paper
