"""Exported PyTorch code: the parameters and, with the same weights, the outputs of the network that trains here."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from torch import Tensor, nn

from alexplore.export import export_preset
from alexplore.export.errors import ExportError
from alexplore.export.python_code import class_name
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.presets.library import load_preset, shipped_names
from alexplore.presets.preset import Preset
from tests.support.examples import examples
from tests.support.exported import torch_class, torch_models
from tests.support.networks import called_like_the_code, networks, presets_to_run, quick_to_run


def outputs(module: nn.Module, images: Tensor, *, training: bool = False) -> Tensor:
    with torch.no_grad():
        result = module.train(training)(images.clone())
    assert isinstance(result, Tensor)
    return result


@pytest.mark.parametrize("name", presets_to_run())
def test_presets(name: str) -> None:
    preset = quick_to_run(load_preset(name))
    theirs, ours = torch_models(preset)
    assert [(key, value.shape) for key, value in theirs.state_dict().items()] == [
        (key, value.shape) for key, value in ours.state_dict().items()
    ]
    assert sum(parameter.numel() for parameter in theirs.parameters()) == analyse(preset.network).totals.params
    images = torch.rand(2, *preset.network.input, generator=torch.Generator().manual_seed(2))
    expected = outputs(ours, images)
    # In units of the largest output: the convolutions of the two are summed in other orders.
    torch.testing.assert_close(
        outputs(theirs, images) / expected.abs().max(), expected / expected.abs().max(), rtol=0, atol=2e-5
    )


@examples(100)
@given(networks(working=True))
def test_any_network(network: Network) -> None:
    theirs, ours = (model.double() for model in torch_models(Preset("any", network)))  # norms enlarge differences
    images = torch.rand(3, *network.input, generator=torch.Generator().manual_seed(2), dtype=torch.float64) - 0.5
    torch.testing.assert_close(outputs(theirs, images), outputs(ours, images), rtol=1e-4, atol=1e-5)
    frozen = [name for name, parameter in ours.named_parameters() if not parameter.requires_grad]
    assert [name for name, parameter in theirs.named_parameters() if not parameter.requires_grad] == frozen


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_a_rounded_up_pool_starts_no_window_in_the_padding(name: str) -> None:
    layer = {"type": name, "kernel_size": 4, "stride": 3, "padding": [0, 2, 0, 2], "ceil_mode": True}
    network = read_network({"input": [1, 6, 6], "layers": [layer]})
    theirs, ours = torch_models(Preset("any", network))
    images = torch.rand(1, 1, 6, 6)
    assert outputs(ours, images).shape == (1, 1, 2, 2)
    torch.testing.assert_close(outputs(theirs, images), outputs(ours, images))


def test_batch_norm_gathers_the_same_statistics() -> None:
    layer = {"name": "bn", "type": "batch_norm", "momentum": 0.3, "eps": 0.1}
    theirs, ours = torch_models(Preset("any", read_network({"input": [2, 4, 4], "layers": [layer]})))
    images = torch.rand(3, 2, 4, 4)
    torch.testing.assert_close(outputs(theirs, images, training=True), outputs(ours, images, training=True))
    torch.testing.assert_close(theirs.state_dict(), ours.state_dict())
    assert theirs.state_dict()["bn.running_mean"].any()


def test_a_frozen_batch_norm_keeps_its_statistics() -> None:
    network = read_network({"input": [2, 4, 4], "layers": [{"name": "bn", "type": "batch_norm", "trainable": False}]})
    theirs, ours = torch_models(Preset("any", network))
    images = torch.rand(3, 2, 4, 4)
    torch.testing.assert_close(outputs(theirs, images, training=True), outputs(ours, images, training=True))


def test_a_padding_that_is_called_as_a_layer() -> None:
    layers = [
        {"name": "pool1", "type": "max_pool2d", "kernel_size": 2, "padding": "same"},
        {"name": "pool1_pad", "type": "relu"},
    ]
    theirs, ours = torch_models(Preset("any", read_network({"input": [2, 5, 5], "layers": layers})))
    assert len(list(theirs.children())) == 3
    images = torch.rand(2, 2, 5, 5) - 0.5
    torch.testing.assert_close(outputs(theirs, images), outputs(ours, images))


def test_initial_weights() -> None:
    model = torch_class(load_preset("cifar10-relu"))()
    for name, std in {"conv1": 1e-4, "conv2": 0.01, "fc4": 0.01}.items():
        layer = model.get_submodule(name)
        assert isinstance(layer.weight, Tensor) and isinstance(layer.bias, Tensor)
        assert layer.weight.std().item() == pytest.approx(std, rel=0.1)
        assert not layer.bias.any()
    text = export_preset(load_preset("paper"), "pytorch")
    assert "for layer in (self.conv2, self.conv4, self.conv5, self.fc6, self.fc7):" in text
    assert "nn.init.constant_(layer.bias, 1.0)" in text


def test_alpha_is_pytorchs() -> None:
    """The paper's 1e-4 over 5 neighbours is PyTorch's 5e-4."""
    text = export_preset(load_preset("paper"), "pytorch")
    assert "GroupedNorm(2, size=5, alpha=0.0005, beta=0.75, k=2.0)" in text
    assert "# PyTorch divides alpha by size: 0.0005 / 5 = 0.0001" in text
    one_tower = load_preset("paper").network.change(2, {"groups": 1})
    assert "nn.LocalResponseNorm(size=5, alpha=0.0005" in export_preset(Preset("x", one_tower), "pytorch")


@pytest.mark.usefixtures("heavy")
@pytest.mark.parametrize("to", ["pytorch", "keras"])
def test_files_pass_ruff_and_run_as_they_are(to: str, tmp_path: Path) -> None:
    """Under ruff's own settings, not this project's."""
    for name in shipped_names():
        (tmp_path / f"{name.replace('-', '_')}.py").write_text(export_preset(load_preset(name), to), encoding="utf-8")
    odd = replace(load_preset("lenet"), name='od"d\\name', title='""" \\ "x"', source="a\nb" * 50)
    (tmp_path / "odd.py").write_text(export_preset(odd, to), encoding="utf-8")
    for command in (["check"], ["format", "--check"], ["format", "--check", "--line-length", "120"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    if to == "pytorch":
        done = subprocess.run([sys.executable, str(tmp_path / "lenet.py")], capture_output=True, text=True, check=False)
        assert done.stdout.endswith("61,706 parameters\n(1, 10)\n"), done.stderr


@pytest.mark.usefixtures("heavy")
@examples(40)
@given(networks(working=True))
def test_any_exported_code_is_formatted(network: Network) -> None:
    for to in ("pytorch", "keras"):
        try:
            text = export_preset(Preset("any", network), to)
        except ExportError:
            continue
        done = subprocess.run(
            [sys.executable, "-m", "ruff", "format", "--isolated", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("paper", "Paper"),
        ("paper-release", "PaperRelease"),
        ("28", "Net28"),
        ("---", "Network"),
        ("tensor", "NetTensor"),
    ],
)
def test_class_names(name: str, expected: str) -> None:
    assert class_name(Preset(name, load_preset("lenet").network)) == expected


def test_names_that_the_code_uses() -> None:
    """Of layers that several read, whose outputs are variables, and of the class."""
    preset = called_like_the_code()
    theirs, ours = (model.double().eval() for model in torch_models(preset))
    images = torch.rand(2, *preset.network.input, dtype=torch.float64)
    torch.testing.assert_close(theirs(images), ours(images))
    assert type(theirs).__name__ == "NetPaddedAvgPool2d"


def test_what_cannot_be_exported() -> None:
    paper = load_preset("paper")
    broken = replace(paper, network=paper.network.change(paper.network.index("fc6"), {"in_features": 9}))
    with pytest.raises(ExportError, match="paper can't be exported: fc6 expects 9 inputs, gets 9216"):
        export_preset(broken, "pytorch")
    with pytest.raises(ExportError, match="empty can't be exported: it has no layers"):
        export_preset(Preset("empty", Network((1, 2, 2), ())), "keras")
