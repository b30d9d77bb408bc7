"""Weights from a file find their layers, or are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from alexplore.network.graph import Network, read_network
from alexplore.presets.library import load_preset
from alexplore.training.commands.load_model import load_weights
from alexplore.training.errors import CheckpointError
from alexplore.training.model.build import build

SOURCE = Path("weights.pth")


@pytest.fixture
def twins() -> Network:
    """Two of its layers have the same shapes."""
    layers = [
        {"name": "flat", "type": "flatten"},
        *({"name": f"fc{i}", "type": "linear", "out_features": 9} for i in (1, 2)),
        {"name": "fc3", "type": "linear", "out_features": 3},
    ]
    return read_network({"input": [1, 3, 3], "layers": layers})


def named(model: nn.Module, *names: str) -> dict[str, Tensor]:
    """A state_dict with other layers' names, weights before biases as PyTorch has them."""
    values = iter(model.state_dict().values())
    return {f"{name}.{kind}": next(values) for name in names for kind in ("weight", "bias")}


@pytest.mark.usefixtures("heavy")
def test_torchvision_weights_fit_in_whatever_order_a_file_has_them(tmp_path: Path) -> None:
    from torchvision.models import alexnet  # type: ignore[import-untyped]

    torch.manual_seed(1)
    theirs = alexnet().eval()
    save_file(theirs.state_dict(), tmp_path / "sorted.safetensors")  # by name: biases and classifier first
    ours = build(load_preset("torchvision").network).eval()
    images = torch.randn(1, 3, 224, 224)
    for tensors in (theirs.state_dict(), load_file(tmp_path / "sorted.safetensors")):
        for parameter in ours.parameters():
            nn.init.zeros_(parameter)
        load_weights(ours, tensors, SOURCE)
        with torch.no_grad():
            torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)


def test_layers_of_the_same_shapes_come_in_the_order_of_their_numbers(twins: Network) -> None:
    trained, model = build(twins, seed=1), build(twins, seed=2)
    load_weights(model, named(trained, "b2", "b10", "c"), SOURCE)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model.parameters(), trained.parameters(), strict=True))
    with pytest.raises(CheckpointError, match=r"b10 and b2 have the same shapes.*which is fc1"):
        load_weights(model, named(trained, "b10", "b2", "c"), SOURCE)


def test_what_does_not_fit_is_named(twins: Network) -> None:
    trained, model = build(twins, seed=1), build(twins, seed=2)
    before = [parameter.clone() for parameter in model.parameters()]
    other = named(build(twins.with_classes(4), seed=1), "a1", "a2", "a3")
    broken = {**trained.state_dict(), "fc2.bias": torch.full((9,), torch.nan)}
    whole = {**trained.state_dict(), "fc2.bias": torch.arange(9)}
    wide = {**trained.state_dict(), "fc3.weight": torch.zeros(3, 8)}
    for tensors, said in (
        (other, r"has 0 layers that fit fc3 \(bias 3 and weight 3×9\)"),
        ({"fc1.weight": torch.zeros(1)}, "contains 1 tensors, the network has 6"),
        (broken, "fc2.bias contains numbers that are not finite"),
        (whole, "fc2.bias contains int64 numbers"),
        (wide, "fc3.weight is 3×8, the network's is 3×9"),
    ):
        with pytest.raises(CheckpointError, match=said):
            load_weights(model, tensors, SOURCE)
    assert all(torch.equal(ours, parameter) for ours, parameter in zip(before, model.parameters(), strict=True))
