"""ONNX files: read where the package onnx is installed, else one message that says how to install it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from alexplore.importing.command import read_source
from alexplore.importing.errors import SourceError
from alexplore.importing.mapping import import_trace
from alexplore.importing.weights import layer_tensors
from alexplore.network.analysis import analyse
from alexplore.training.model.build import build

SHAPES = {
    "w1": (6, 3, 5, 5), "b1": (6,), "scale": (6,), "shift": (6,), "mean": (6,), "var": (6,), "w2": (6, 6, 1, 1),
    "w3": (384, 20), "b3": (20,), "w4": (10, 20), "b4": (10,),
}  # fmt: skip


def weights() -> dict[str, np.ndarray[Any, Any]]:
    generator = np.random.default_rng(1)
    return {name: generator.random(shape, dtype=np.float32) * 0.2 + 0.05 for name, shape in SHAPES.items()}


def write(path: Path, *more: Any) -> None:
    """Write a small network with a branch, as exporters do: for one image, with the batch in a shape."""
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", kernel_shape=[5, 5], pads=[2, 1, 2, 2]),
        node("BatchNormalization", ["c1", "scale", "shift", "mean", "var"], ["n1"], "/bn/1", epsilon=1e-3),
        node("Relu", ["n1"], ["r1"]),
        node("GlobalAveragePool", ["r1"], ["g"]),
        node("Conv", ["g", "w2"], ["gate"], "gate"),
        node("Mul", ["r1", "gate"], ["scaled"], "scaled"),
        node("LRN", ["scaled"], ["lrn"], "lrn", size=5, alpha=0.1),
        node("MaxPool", ["lrn"], ["p1"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", ["p1"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"], axis=0),
        node("Concat", ["batch", "rest"], ["sizes"], axis=0),
        node("Reshape", ["p1", "sizes"], ["flat"], "flat"),
        node("Gemm", ["flat", "w3", "b3"], ["f1"], "fc1"),
        node("Clip", ["f1", "low", "high"], ["k1"], "clip"),
        node("Gemm", ["k1", "w4", "b4"], ["y"], "fc2", transB=1),
        *more,
    ]
    constants = {
        **weights(), "zero": np.array([0]), "rest": np.array([-1]), "low": np.float32(0), "high": np.float32(6),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", float32, [1, 3, 16, 17])],
        [helper.make_tensor_value_info("y", float32, [1, 10])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(path))


def expected(images: Tensor) -> Tensor:
    """Return the same network's output, computed with PyTorch's functions."""
    w = {name: torch.from_numpy(value) for name, value in weights().items()}
    x = F.conv2d(F.pad(images, (1, 2, 2, 2)), w["w1"], w["b1"])
    x = F.relu(F.batch_norm(x, w["mean"], w["var"], w["scale"], w["shift"], eps=1e-3))
    x = x * F.conv2d(x.mean((2, 3), keepdim=True), w["w2"])
    x = F.max_pool2d(F.local_response_norm(x, 5, alpha=0.1), 2).flatten(1)
    return F.linear((x @ w["w3"] + w["b3"]).clamp(0, 6), w["w4"], w["b4"])


def test_numbers_and_outputs(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    write(path)
    trace = read_source(str(path), None, with_weights=True)
    found = import_trace(trace, "net.onnx")
    assert found.warnings == () and found.network.input == (3, 16, 17)
    assert [layer.name for layer in found.network.layers] == [
        "conv1", "bn_1", "Relu_2", "GlobalAveragePool_3", "gate", "scaled", "lrn", "pool1", "flat", "fc1", "clip",
        "fc2",
    ]  # fmt: skip
    learned = sum(value.size for name, value in weights().items() if name not in ("mean", "var"))
    assert analyse(found.network).totals.params == learned
    model = build(found.network).eval()
    model.load_state_dict(layer_tensors(found, trace.state))
    images = torch.rand(2, 3, 16, 17, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(model(images), expected(images), rtol=1e-5, atol=1e-5)


def test_unknown_operators_are_named(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "net.onnx"
    write(path, onnx.helper.make_node("Erf", ["f1"], ["e"]))
    with pytest.raises(SourceError, match="the operators Erf can't be imported"):
        read_source(str(path), None, with_weights=False)


def test_damaged_file(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "net.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(SourceError, match="onnx can't read it"):
        read_source(str(path), None, with_weights=False)


def test_without_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SourceError, match=r"pip install 'alexplore\[onnx\]'"):
        read_source(str(tmp_path / "net.onnx"), None, with_weights=False)
