"""Exports with weights: ONNX against onnxruntime, and the files beside code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from alexplore.cli import export_weights
from alexplore.network.graph import Network, read_network
from alexplore.presets.preset import Preset
from alexplore.training.commands import export
from alexplore.training.errors import UsageError
from alexplore.training.model.build import build
from tests.support.processes import Alexplore

NETWORK = {
    "input": [3, 16, 16],
    "layers": [
        {"name": "conv1", "type": "conv2d", "out_channels": 8, "kernel_size": 5, "stride": 2, "padding": "same"},
        {"name": "norm1", "type": "local_response_norm", "size": 3, "groups": 2},
        {"name": "bn1", "type": "batch_norm"},
        {"name": "relu1", "type": "relu"},
        {"name": "conv2", "type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1, "groups": 2},
        {"name": "sum", "type": "add", "inputs": ["conv2", "relu1"]},
        {"name": "pool", "type": "max_pool2d", "kernel_size": 3, "stride": 2, "padding": [0, 1, 0, 1]},
        {"name": "mean", "type": "adaptive_avg_pool2d", "output_size": 2},
        {"name": "flat", "type": "flatten"},
        {"name": "drop", "type": "dropout"},
        {"name": "fc", "type": "linear", "out_features": 5},
        {"name": "soft", "type": "softmax"},
    ],
}


@pytest.mark.usefixtures("heavy")
def test_onnxruntime_gives_the_outputs_of_our_model(tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    runtime = pytest.importorskip("onnxruntime")
    network = read_network(NETWORK)
    model = build(network, seed=3).eval()
    export.write_onnx(Preset("net", network), model, tmp_path / "net.onnx")
    session = runtime.InferenceSession(tmp_path / "net.onnx")
    for count in (1, 5):  # of a batch
        images = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(count))
        (found,) = session.run(["outputs"], {"images": images.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found), model(images), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("heavy")
def test_a_large_network_has_its_weights_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PyTorch writes networks of more than 1.5 GiB."""
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    network = read_network({"input": [1, 8, 8], "layers": [{"type": "flatten"}, {"type": "linear", "out_features": 5}]})
    model = build(network, seed=3).eval()

    def run_export(preset: Preset, weights: Path | None, to: str, output: Path) -> None:
        output.parent.mkdir()
        export.write_onnx(preset, model, output)

    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 10)
    monkeypatch.setattr(export_weights, "_run_export", run_export)
    output = tmp_path / "made" / "net.onnx"
    output.parent.mkdir()
    export_weights.export_with_weights(Preset("net", network), "onnx", None, None, output, None)
    assert sorted(path.name for path in output.parent.iterdir()) == ["net.onnx", "net.onnx.data"]
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    (found,) = runtime.InferenceSession(output).run(["outputs"], {"images": images.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), model(images), rtol=0, atol=1e-5)


def test_a_missing_package_is_named(tiny: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxscript" else True)
    with pytest.raises(UsageError, match=r"needs the package onnxscript: pip install 'alexplore\[onnx\]'"):
        export.write_onnx(Preset("net", tiny), build(tiny), tmp_path / "net.onnx")


def test_weights_beside_code(alexplore: Alexplore, tiny_preset: Path, tiny: Network, tmp_path: Path) -> None:
    weights = build(tiny, seed=7).state_dict()
    torch.save({"model": weights}, tmp_path / "w.pt")
    options = ("--to", "keras", "--weights", str(tmp_path / "w.pt"), "-o", str(tmp_path / "net.py"))
    done = alexplore("export", "--preset", str(tiny_preset), *options, seconds=120)
    assert done.returncode == 0, done.stderr
    assert "load_weights(build_tiny())" in (tmp_path / "net.py").read_text()
    with np.load(tmp_path / "net.npz") as saved:
        assert set(saved) == {"conv1.0", "conv1.1", "fc2.0", "fc2.1"}
        assert np.array_equal(saved["conv1.0"], weights["conv1.weight"].permute(2, 3, 1, 0).numpy())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--to", "json", "--weights", "w.pt", "-o", "x"), "--weights goes with --to onnx, keras, pytorch"),
        (("--to", "onnx"), "name it with --output FILE"),
        (("--to", "keras", "--weights", "nix.pt", "-o", "x.py"), "weights nix.pt: there is no such file"),
    ],
)
def test_what_can_not_be_exported_is_refused(alexplore: Alexplore, options: tuple[str, ...], words: str) -> None:
    done = alexplore("export", "--preset", "lenet", *options)
    assert done.returncode == 2
    assert words in done.stderr
