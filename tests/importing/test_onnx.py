"""ONNX files: read where the package onnx is installed, else one message that says how to install it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
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
from alexplore.importing.onnx_module import load_onnx
from alexplore.importing.weights import layer_tensors
from alexplore.network.analysis import analyse
from alexplore.training.model.build import build

SHAPES = {
    "w1": (6, 3, 5, 5), "b1": (6,), "scale": (6,), "shift": (6,), "mean": (6,), "var": (6,), "w2": (6, 6, 1, 1),
    "w3": (384, 20), "b3": (20,), "w4": (10, 20), "b4": (10,),
}  # fmt: skip

Constants = Mapping[str, np.ndarray[Any, Any] | np.generic]


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


@pytest.mark.parametrize("batch", [1, 2, 29, 64])
def test_a_graph_for_a_fixed_number_of_images(tmp_path: Path, batch: int) -> None:
    """As `torch.onnx.export` writes `x.view(x.size(0), -1)`: the number of images is in the graph."""
    onnx = pytest.importorskip("onnx")
    helper, float32, path = onnx.helper, onnx.TensorProto.FLOAT, tmp_path / "net.onnx"
    matrix = np.random.default_rng(1).random((3 * 4 * 4, 10), dtype=np.float32)
    constants = {"sizes": np.array([batch, 3 * 4 * 4]), "w": matrix}
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["x"], ["r"], "relu"),
            helper.make_node("Reshape", ["r", "sizes"], ["f"], "flat"),
            helper.make_node("MatMul", ["f", "w"], ["y"], "fc"),
        ],
        "net", [helper.make_tensor_value_info("x", float32, [batch, 3, 4, 4])],
        [helper.make_tensor_value_info("y", float32, [batch, 10])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), str(path))
    trace = read_source(str(path), None, with_weights=True)
    found = import_trace(trace, "net.onnx")
    assert [layer.type for layer in found.network.layers] == ["relu", "flatten", "linear"]
    model = build(found.network).eval()
    model.load_state_dict(layer_tensors(found, trace.state))
    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(2)) - 0.5
    with torch.no_grad():
        expected = images.relu().flatten(1) @ torch.from_numpy(matrix)
        torch.testing.assert_close(model(images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(3, 32, 32), ("C", "H", "W"), (3, "H", "W")])
def test_a_size_that_no_file_fixes_is_said_to_be_guessed(tmp_path: Path, size: tuple[int | str, ...]) -> None:
    path, fixed = tmp_path / "net.onnx", size == (3, 32, 32)
    node = pytest.importorskip("onnx").helper.make_node
    write_model(path, [node("GlobalAveragePool", ["x"], ["y"])], ["N", *size])
    found = read_source(str(path), None, with_weights=False)
    assert (found.input, found.guessed) == ((3, 32, 32) if fixed else (3, 224, 224), not fixed)
    assert not read_source(str(path), (3, 40, 40), with_weights=False).guessed


def write_model(
    path: Path,
    nodes: list[Any],
    shape: list[int | str],
    constants: Constants | None = None,
    opset: int = 18,
    rank: int = 4,
) -> Any:
    """Write and return a network of some nodes from "x", of a shape, to "y", of `rank` axes."""
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", float32, shape)],
        [helper.make_tensor_value_info("y", float32, [None] * rank)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    onnx.save(model, str(path))
    return model


def write_odd(path: Path, *nodes: Any, batch: int | str = 1, domains: tuple[str, ...] = ()) -> None:
    """Write a network with a convolution and some nodes, from "c" to "d", before a linear layer."""
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    constants = {
        "w1": np.zeros((6, 3, 3, 3), np.float32), "scale": np.ones(6, np.float32), "shift": np.ones(6, np.float32),
        "w2": np.zeros((10, 6), np.float32), "four": np.array([4, 2]), "first": np.array([0, 1, 2, 3]),
        "around": np.array([0, 1, 0, 0, 0, 0, 0, 0]), "one": np.array([1]), "seven": np.array([7]),
        "yes": np.array(True),
    }  # fmt: skip
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1"], ["c"], "conv"),
            *nodes,
            helper.make_node("GlobalAveragePool", ["d"], ["g"]),
            helper.make_node("Flatten", ["g"], ["f"], "flat"),
            helper.make_node("Gemm", ["f", "w2"], ["y"], "fc", transB=1),
        ],
        "odd", [helper.make_tensor_value_info("x", float32, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("y", float32, [batch, 10])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    versions = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(graph, opset_imports=versions), str(path))


@pytest.mark.parametrize("batch", [1, "N"])
def test_unknown_operators_are_opaque_with_the_shape_that_onnx_infers(tmp_path: Path, batch: int | str) -> None:
    node = pytest.importorskip("onnx").helper.make_node
    path = tmp_path / "odd.onnx"
    write_odd(
        path,
        node("InstanceNormalization", ["c", "scale", "shift"], ["n"], "norm"),
        node("Erf", ["n"], ["e"]),
        node("Split", ["e", "four"], ["s1", "s2"], "split", axis=1),
        node("Gather", ["s1", "first"], ["t1"], "pick", axis=1),
        node("Concat", ["t1", "s2"], ["a"], "again", axis=1),
        node("Pad", ["a", "around"], ["b"], "channels"),
        node("Slice", ["b", "one", "seven", "one"], ["d"], "cut"),
        batch=batch,
    )
    found = import_trace(read_source(str(path), None, with_weights=False), "odd.onnx")
    rows = {row.layer.name: row for row in analyse(found.network).rows}
    shapes = {name: row.output for name, row in rows.items() if row.layer.type == "opaque"}
    assert shapes == {
        "norm": (6, 6, 6), "Erf_2": (6, 6, 6), "split1": (4, 6, 6), "split2": (2, 6, 6), "pick": (4, 6, 6),
        "channels": (7, 6, 6), "cut": (6, 6, 6),
    }  # fmt: skip
    assert rows["norm"].params == 12
    assert rows["again"].layer.type == "concat"
    assert rows["fc"].output == (10,)
    opaque, unknown = found.warnings
    assert "InstanceNormalization, Erf, 2 × Split, Gather, Pad, Slice" in opaque
    assert unknown == "warning: the MACs of norm are not known and count 0"


def test_what_onnx_has_no_shape_for_and_what_is_decided_later_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    path = tmp_path / "odd.onnx"
    write_odd(path, helper.make_node("Odd", ["c"], ["d"], "odd", domain="somebody"), domains=("somebody",))
    with pytest.raises(SourceError, match=r"Odd \(odd\) can't be imported: ONNX does not know the shape of its output"):
        read_source(str(path), None, with_weights=False)
    value = helper.make_tensor_value_info("i", onnx.TensorProto.FLOAT, None)
    branches = [
        helper.make_graph([helper.make_node(kind, ["c"], ["i"])], kind, [], [value]) for kind in ("Relu", "Abs")
    ]
    write_odd(path, helper.make_node("If", ["yes"], ["d"], "if", then_branch=branches[0], else_branch=branches[1]))
    with pytest.raises(SourceError, match="If can't be imported: the network decides what to do as it runs"):
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


@pytest.mark.parametrize(
    ("attributes", "side", "kinds"),
    [
        ({"pads": [0, 0, 1, 1]}, 9, ["opaque"]),
        ({"auto_pad": "SAME_UPPER"}, 9, ["opaque"]),
        ({"pads": [0, 0, 1, 1], "count_include_pad": 1}, 9, ["avg_pool2d"]),
        ({"pads": [1, 1, 1, 1], "count_include_pad": 1}, 10, ["avg_pool2d"]),
        ({}, 8, ["avg_pool2d"]),
    ],
)
def test_an_average_over_uneven_padding_is_not_taken_for_one_with_zeros(
    tmp_path: Path, attributes: dict[str, object], side: int, kinds: list[str]
) -> None:
    """ONNX leaves padding out of the mean, PyTorch only its own."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnx.reference")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node("AveragePool", ["x"], ["y"], "pool", kernel_shape=[2, 2], strides=[1, 1], **attributes)
    read, made = (
        helper.make_tensor_value_info(name, float32, [1, 3, size, size]) for name, size in (("x", 9), ("y", side))
    )
    model = helper.make_model(
        helper.make_graph([node], "net", [read], [made]), opset_imports=[helper.make_opsetid("", 17)]
    )
    onnx.save(model, str(tmp_path / "net.onnx"))
    found = import_trace(read_source(str(tmp_path / "net.onnx"), None, with_weights=False), "net.onnx")
    assert [layer.type for layer in found.network.layers] == kinds
    if kinds != ["opaque"]:
        images = np.random.default_rng(1).random((1, 3, 9, 9), dtype=np.float32)
        (wanted,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": images})
        torch.testing.assert_close(build(found.network)(torch.from_numpy(images)), torch.from_numpy(wanted))


@pytest.mark.parametrize(
    ("opset", "sides", "attributes", "kinds"),
    [
        (12, (1, 1), {}, ["softmax"]),
        (12, (2, 2), {}, ["opaque"]),
        (13, (1, 1), {"axis": 1}, ["softmax"]),
    ],
)
def test_a_softmax_of_older_files_is_over_all_that_follows_its_axis(
    tmp_path: Path, opset: int, sides: tuple[int, int], attributes: dict[str, int], kinds: list[str]
) -> None:
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node("Softmax", ["x"], ["y"], "soft", **attributes)
    read, made = (helper.make_tensor_value_info(name, float32, [1, 5, *sides]) for name in "xy")
    graph = helper.make_graph([node], "net", [read], [made])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]), str(tmp_path / "net.onnx"))
    found = import_trace(read_source(str(tmp_path / "net.onnx"), None, with_weights=False), "net.onnx")
    assert [layer.type for layer in found.network.layers] == kinds


def test_weights_as_the_first_operand_count(tmp_path: Path) -> None:
    """As `torch.onnx.export` writes the bias of a linear layer over a sequence."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnx.reference")
    helper, float32, generator = onnx.helper, onnx.TensorProto.FLOAT, np.random.default_rng(1)
    shapes = {"left": (4, 6), "right": (2, 7, 5), "offset": (5,), "last": (10, 12)}
    constants = {name: generator.random(shape, dtype=np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("MatMul", ["left", "x"], ["a"], "before"),
        helper.make_node("MatMul", ["a", "right"], ["b"], "after"),
        helper.make_node("Sub", ["offset", "b"], ["c"], "minus"),
        helper.make_node("ReduceMean", ["c"], ["d"], "mean", axes=[1, 3], keepdims=0),
        helper.make_node("Transpose", ["d"], ["e"], "turn", perm=[1, 0]),
        helper.make_node("Concat", ["e", "e", "e"], ["f"], "thrice", axis=0),
        helper.make_node("Gemm", ["last", "f"], ["g"], "product"),
        helper.make_node("Transpose", ["g"], ["y"], "back", perm=[1, 0]),
    ]
    read, made = (
        helper.make_tensor_value_info(name, float32, shape) for name, shape in (("x", [1, 2, 6, 7]), ("y", [1, 10]))
    )
    weights = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "net", [read], [made], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, str(tmp_path / "net.onnx"))
    images = generator.random((1, 2, 6, 7), dtype=np.float32)
    (wanted,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": images})
    module, size, batch = load_onnx(tmp_path / "net.onnx", "net.onnx")
    with torch.no_grad():
        torch.testing.assert_close(module(torch.from_numpy(images)), torch.from_numpy(wanted))
    assert (size, batch) == ((2, 6, 7), 1)
    found = import_trace(read_source(str(tmp_path / "net.onnx"), None, with_weights=False), "net.onnx")
    rows = {row.layer.name: row.params for row in analyse(found.network).rows}
    counts = {"before": 24, "after": 70, "minus": 5, "product2": 120}
    assert {name: count for name, count in rows.items() if count} == counts


def node(kind: str, *inputs: str, to: str = "y", **attributes: Any) -> Any:
    return pytest.importorskip("onnx").helper.make_node(kind, list(inputs), [to], **attributes)


def reference(model: Any, images: np.ndarray[Any, Any]) -> Tensor:
    """Return what ONNX's reference implementation calculates."""
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator(model)
    return torch.from_numpy(evaluator.run(None, {"x": images})[0])


def random(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).random(shape, dtype=np.float32) - np.float32(0.3)


def found_layers(path: Path) -> tuple[list[str], dict[str, int]]:
    """Return the types of the layers of an imported network, and the parameters of those that have some by name."""
    found = import_trace(read_source(str(path), None, with_weights=False), "net.onnx")
    rows = analyse(found.network).rows
    return [row.layer.type for row in rows], {row.layer.name: row.params for row in rows if row.params}


def numbers(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


FLAT = node("Flatten", "x", to="f")
POOLED = node("GlobalAveragePool", "x", to="p")

SAME_AS_ONNX: dict[str, tuple[list[Any], Constants, int]] = {
    "squeeze of all axes": ([POOLED, node("Squeeze", "p")], {}, 2),
    "transpose to reversed axes": ([node("Transpose", "x", to="t"), node("Transpose", "t")], {}, 4),
    **{f"flatten from axis {axis}": ([node("Flatten", "x", axis=axis)], {}, 2) for axis in (-3, -1, 0, 1, 2, 4)},
    "unsqueeze from behind": (
        [node("Unsqueeze", "x", "axes", to="u"), node("ReduceMean", "u", "others", keepdims=0)],
        {"axes": numbers(-1, -3), "others": numbers(3, 5)}, 4,
    ),
    "gemm with a number": ([FLAT, node("Gemm", "f", "w", "c")], {"w": random(196, 5), "c": np.float32(0.5)}, 2),
    "gemm with a row": ([FLAT, node("Gemm", "f", "w", "c", beta=0.5)], {"w": random(196, 5), "c": random(1, 5)}, 2),
    "mean of nothing": ([node("ReduceMean", "x", noop_with_empty_axes=1)], {}, 4),
    "padding of two axes": (
        [node("Pad", "x", "sides", "", "axes")], {"sides": numbers(1, 2, 3, 4), "axes": numbers(2, -1)}, 4,
    ),
    "clip without bounds": ([node("Relu", "x", to="r"), node("Clip", "r")], {}, 4),
    "expand": ([POOLED, node("Expand", "p", "sizes")], {"sizes": numbers(7, 1)}, 4),
    "windows of which one would start in the padding": (
        [node("MaxPool", "x", kernel_shape=[3, 3], strides=[4, 4], pads=[1, 1, 2, 2], ceil_mode=1)], {}, 4,
    ),
    "padding like TensorFlow": (
        [node("Conv", "x", "w", auto_pad="SAME_LOWER", strides=[2, 3])], {"w": random(5, 4, 3, 4)}, 4,
    ),
    "the last axes of the shape": (
        [node("Shape", "x", to="s", start=-2), node("Concat", "first", "s", to="t", axis=0), node("Reshape", "x", "t")],
        {"first": numbers(0, -1)}, 4,
    ),
    "the first axis of the shape": (
        [node("Shape", "x", to="s", end=1), node("Concat", "s", "rest", to="t", axis=0), node("Reshape", "x", "t")],
        {"rest": numbers(-1)}, 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME_AS_ONNX)
def test_operators_do_what_onnx_defines(name: str, tmp_path: Path) -> None:
    nodes, constants, rank = SAME_AS_ONNX[name]
    model = write_model(tmp_path / "net.onnx", nodes, ["N", 4, 7, 7], constants, rank=rank)
    module, _, _ = load_onnx(tmp_path / "net.onnx", "net.onnx")
    images = random(3, 4, 7, 7)
    with torch.no_grad():
        torch.testing.assert_close(module(torch.from_numpy(images)), reference(model, images))


TYPES: dict[str, tuple[list[Any], Constants, int, str]] = {
    **{
        f"slopes of {shape}": ([node("PRelu", "x", "s")], {"s": random(*shape)}, 18, kind)
        for shape, kind in {
            (4, 1, 1): "prelu", (1, 4, 1, 1): "prelu", (1,): "prelu", (1, 1, 1): "prelu", (): "prelu",
            (7,): "opaque", (7, 1): "opaque", (4, 7, 7): "opaque",
        }.items()
    },
    **{
        f"normalisation of {size}": ([node("LRN", "x", size=size)], {}, 18, kind)
        for size, kind in {4: "opaque", 5: "local_response_norm"}.items()
    },
    "a product along an axis": ([node("Mul", "x", "w", broadcast=1, axis=1)], {"w": random(4)}, 6, "opaque"),
    "the mean of a sequence": (
        [node("Reshape", "x", "three", to="t"), node("GlobalAveragePool", "t", to="p"), node("Reshape", "p", "four")],
        {"three": numbers(0, 0, -1), "four": numbers(0, 0, 1, 1)}, 18, "opaque",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_only_what_pytorch_does_alike_is_a_layer(name: str, tmp_path: Path) -> None:
    nodes, constants, opset, kind = TYPES[name]
    write_model(tmp_path / "net.onnx", nodes, ["N", 4, 7, 7], constants, opset)
    kinds, counts = found_layers(tmp_path / "net.onnx")
    assert kind in kinds and (kind == "opaque" or "opaque" not in kinds)
    assert sum(counts.values()) == sum(value.size for key, value in constants.items() if key in ("s", "w"))


def test_numbers_have_the_digits_that_they_were_written_with(tmp_path: Path) -> None:
    nodes = [
        node("BatchNormalization", "x", "scale", "shift", "mean", "var", to="n", epsilon=1e-5, momentum=0.9),
        node("LeakyRelu", "n", to="l", alpha=0.1),
        node("Clip", "l", "low", "high", to="c"),
        node("Dropout", "c", "ratio"),
    ]
    constants = {name: random(4) for name in ("scale", "shift", "mean", "var")}
    literals = {"low": np.float32(-0.1), "high": np.float32(0.7), "ratio": np.float32(0.3)}
    write_model(tmp_path / "net.onnx", nodes, ["N", 4, 7, 7], {**constants, **literals})
    found = import_trace(read_source(str(tmp_path / "net.onnx"), None, with_weights=False), "net.onnx")
    norm, relu, clip, dropout = (layer.settings(defaults=False) for layer in found.network.layers)
    assert (norm, relu, dropout) == ({}, {"negative_slope": 0.1}, {"p": 0.3})
    assert clip["reason"] == "clips values from -0.1 to 0.7"


def test_weights_that_are_calculated_from_constants_count(tmp_path: Path) -> None:
    """From 8-bit and 16-bit numbers, from a matrix that is transposed, from literals; but not a number that is one."""
    onnx = pytest.importorskip("onnx")

    def literal(name: str, value: np.ndarray[Any, Any]) -> Any:
        return node("Constant", to=name, value=onnx.numpy_helper.from_array(value))

    nodes = [
        node("DequantizeLinear", "w1", "scale", to="conv1"),
        literal("conv2", random(1, 6, 1, 1)),
        literal("bias2", random(1)),
        onnx.helper.make_node("Cast", ["w3"], ["bias3"], to=onnx.TensorProto.FLOAT),
        node("Transpose", "w4", to="matrix", perm=[1, 0]),
        node("Identity", "matrix", to="again"),
        literal("half", np.array([0.5], np.float32)),
        node("Sqrt", "half", to="root"),
        node("Conv", "x", "conv1", to="a", name="first"),
        node("Mul", "a", "half", to="b", name="times"),
        node("Conv", "b", "conv2", "bias2", to="c", name="second"),
        node("Flatten", "c", to="d"),
        node("Gemm", "d", "matrix", "bias3", to="e", name="third"),
        node("Add", "e", "root", name="plus"),
    ]
    constants: Constants = {
        "w1": np.arange(6 * 4 * 3 * 3, dtype=np.int8).reshape(6, 4, 3, 3), "scale": np.float32(0.01),
        "w3": random(10).astype(np.float16), "w4": random(10, 25),
    }  # fmt: skip
    write_model(tmp_path / "net.onnx", nodes, ["N", 4, 7, 7], constants, opset=13, rank=2)
    assert found_layers(tmp_path / "net.onnx")[1] == {
        "first": 6 * 4 * 3 * 3, "second": 6 + 1, "third": 10 * 25 + 10,
    }  # fmt: skip
    found = import_trace(read_source(str(tmp_path / "net.onnx"), None, with_weights=False), "net.onnx")
    assert analyse(found.network).totals.macs == 25 * 6 * 4 * 3 * 3 + 25 * 6 + 10 * 25
    module, _, _ = load_onnx(tmp_path / "net.onnx", "net.onnx")
    images = random(3, 4, 7, 7)
    model = write_model(tmp_path / "newer.onnx", nodes, ["N", 4, 7, 7], constants, opset=21, rank=2)
    with torch.no_grad():
        torch.testing.assert_close(module(torch.from_numpy(images)), reference(model, images))


def test_a_mask_that_the_graph_makes_is_no_weight(tmp_path: Path) -> None:
    nodes = [
        node("ConstantOfShape", "sizes", to="zeros"),
        node("ScatterND", "zeros", "places", "values", to="mask"),
        node("Add", "x", "mask", to="a"),
        node("Relu", "a"),
    ]
    constants = {"sizes": numbers(7, 7), "places": numbers(0, 1).reshape(2, 1), "values": random(2, 7)}
    model = write_model(tmp_path / "net.onnx", nodes, ["N", 4, 7, 7], constants)
    assert found_layers(tmp_path / "net.onnx") == (["opaque", "relu"], {})
    module, _, _ = load_onnx(tmp_path / "net.onnx", "net.onnx")
    images = random(3, 4, 7, 7)
    torch.testing.assert_close(module(torch.from_numpy(images)), reference(model, images))


def test_a_constant_that_onnx_can_not_calculate_is_named(tmp_path: Path) -> None:
    nodes = [node("Odd", "w", to="v", name="odd", domain="somebody"), node("Mul", "x", "v")]
    onnx = pytest.importorskip("onnx")
    model = write_model(tmp_path / "net.onnx", nodes, ["N", 4, 7, 7], {"w": random(4, 1, 1)})
    model.opset_import.append(onnx.helper.make_opsetid("somebody", 1))
    onnx.save(model, str(tmp_path / "net.onnx"))
    with pytest.raises(SourceError, match=r"net\.onnx: Odd \(odd\) can't be imported: "):
        read_source(str(tmp_path / "net.onnx"), None, with_weights=False)


def test_a_token_for_each_image_is_a_weight(tmp_path: Path) -> None:
    """As vision transformers begin: the class token before the patches, then the positions."""
    nodes = [
        node("Conv", "x", "patches", to="a", strides=[7, 7], name="patch"),
        node("Reshape", "a", "sizes", to="b"),
        node("Transpose", "b", to="c", perm=[0, 2, 1]),
        node("Shape", "x", to="s", end=1),
        node("Concat", "s", "rest", to="t", axis=0),
        node("Expand", "token", "t", to="u"),
        node("Concat", "u", "c", to="d", axis=1, name="tokens"),
        node("Add", "d", "places", name="positions"),
    ]
    constants = {
        "patches": random(8, 4, 7, 7), "sizes": numbers(0, 8, -1), "rest": numbers(1, 8), "token": random(1, 1, 8),
        "places": random(1, 5, 8),
    }  # fmt: skip
    model = write_model(tmp_path / "net.onnx", nodes, ["N", 4, 14, 14], constants, rank=3)
    assert found_layers(tmp_path / "net.onnx")[1] == {"patch": 8 * 4 * 7 * 7, "tokens": 8, "positions": 5 * 8}
    module, _, _ = load_onnx(tmp_path / "net.onnx", "net.onnx")
    images = random(3, 4, 14, 14)
    with torch.no_grad():
        torch.testing.assert_close(module(torch.from_numpy(images)), reference(model, images))


@pytest.mark.parametrize("images", ["N", 1])
def test_maps_are_parted_into_windows_and_put_together(tmp_path: Path, images: int | str) -> None:
    first = 1 if images == 1 else -1
    constants = {
        "rows": numbers(first, 4, 2, 4, 2, 4), "windows": numbers(-1, 4, 4, 4), "scale": random(4, 4, 1),
        "parted": numbers(first, 2, 2, 4, 4, 4), "whole": numbers(first, 4, 8, 8),
    }  # fmt: skip
    nodes = [
        node("Reshape", "x", "rows", to="a"),
        node("Transpose", "a", to="b", perm=[0, 2, 4, 3, 5, 1]),
        node("Reshape", "b", "windows", to="c"),
        node("Mul", "c", "scale", to="d"),
        node("Reshape", "d", "parted", to="e"),
        node("Transpose", "e", to="f", perm=[0, 5, 1, 3, 2, 4]),
        node("Reshape", "f", "whole"),
    ]
    model = write_model(tmp_path / "net.onnx", nodes, [images, 4, 8, 8], constants)
    trace = read_source(str(tmp_path / "net.onnx"), None, with_weights=False)
    assert trace.batch > 1
    module, _, _ = load_onnx(tmp_path / "net.onnx", "net.onnx")
    maps = random(3, 4, 8, 8)
    with torch.no_grad():
        expected = torch.cat([reference(model, maps[[number]]) for number in range(3)])
        torch.testing.assert_close(module(torch.from_numpy(maps)), expected)
