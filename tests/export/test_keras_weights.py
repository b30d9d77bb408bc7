"""Trained weights in Keras: the exported script loads them by itself, and gives the outputs of our model."""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given

from alexplore.export import export_preset
from alexplore.export.errors import ExportError
from alexplore.export.keras_weights import keras_arrays, with_loader
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.training.model.build import build
from tests.export.test_keras import FLATTENED, flattened
from tests.support.examples import examples
from tests.support.exported import check_keras_outputs
from tests.support.networks import networks

pytestmark = pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="needs keras: pip install keras")


def run_exported(preset: Preset, weights: dict[str, Any], folder: Path) -> Any:
    """Return the model that the exported script makes and fills from the file beside it, in fp64."""
    np.savez(folder / "net.npz", allow_pickle=False, **keras_arrays(analyse(preset.network), weights))
    script = folder / "net.py"
    script.write_text(with_loader(export_preset(preset, "keras"), "net.npz"), encoding="utf-8")
    with patch.dict(os.environ, KERAS_BACKEND="torch"):
        config = importlib.import_module("keras").config
        config.set_floatx("float64")
        config.set_dtype_policy("float64")
        names: dict[str, Any] = {"__name__": "exported", "__file__": str(script)}
        exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), names)
        made = next(value for name, value in names.items() if name.startswith("build_"))()
        return names["load_weights"](made)


def check(preset: Preset, folder: Path) -> None:
    ours = build(preset.network, seed=1).double().eval()
    for name, tensor in ours.state_dict().items():
        if name.endswith(("running_mean", "running_var", "bias")):
            tensor.copy_(torch.rand_like(tensor, dtype=torch.float32) + 0.5)  # else all are alike; fp32, as in the file
    model = run_exported(preset, {name: tensor.numpy() for name, tensor in ours.state_dict().items()}, folder)
    images = torch.rand(2, *preset.network.input, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    check_keras_outputs(model, ours, images)


@pytest.mark.parametrize("name", ["lenet", "cifar10-relu", "fmnist-28"])
def test_presets(name: str, tmp_path: Path) -> None:
    check(load_preset(name), tmp_path)


@pytest.mark.parametrize("name", FLATTENED)
def test_order_of_flattened_maps(name: str, tmp_path: Path) -> None:
    check(flattened(FLATTENED[name]), tmp_path)


@examples(10)
@given(network=networks(working=True))
def test_any_network(network: Network, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        check(Preset("any", network), tmp_path_factory.mktemp("keras"))
    except ExportError as refused:
        assert "has a stride and a dilation over 1" in str(refused)
