"""Weights from a file are assigned to the network's layers, or the reason is given."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from alexplore.network.graph import Network, read_network
from alexplore.presets.library import load_preset
from alexplore.training.errors import CheckpointError
from alexplore.training.model.build import build
from alexplore.training.weight_matching import load_weights, match_weights

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
def test_torchvision_weights_are_loaded_whatever_their_order(tmp_path: Path) -> None:
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


def test_layers_of_equal_shapes_are_assigned_in_the_order_of_their_numbers(twins: Network) -> None:
    trained, model = build(twins, seed=1), build(twins, seed=2)
    load_weights(model, named(trained, "b2", "b10", "c"), SOURCE)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model.parameters(), trained.parameters(), strict=True))
    with pytest.raises(CheckpointError, match=r"does not fit fc1: b10 and b2 have the same shapes"):
        load_weights(model, named(trained, "b10", "b2", "c"), SOURCE)


def test_weights_that_do_not_fit_are_refused_by_name(twins: Network) -> None:
    trained, model = build(twins, seed=1), build(twins, seed=2)
    before = [parameter.clone() for parameter in model.parameters()]
    other = named(build(twins.with_classes(4), seed=1), "a1", "a2", "a3")
    broken = {**trained.state_dict(), "fc2.bias": torch.full((9,), torch.nan)}
    whole = {**trained.state_dict(), "fc2.bias": torch.arange(9)}
    wide = {**trained.state_dict(), "fc3.weight": torch.zeros(3, 8)}
    for tensors, said in (
        (other, r"does not fit fc3: the file has no layer with bias 3 and weight 3×9"),
        ({"fc1.weight": torch.zeros(1)}, "contains 1 tensors, the network has 6"),
        (broken, "fc2.bias contains numbers that are not finite"),
        (whole, "fc2.bias contains int64 numbers"),
        (wide, "fc3: the file has bias 3 and weight 3×8, the network bias 3 and weight 3×9"),
    ):
        with pytest.raises(CheckpointError, match=said):
            load_weights(model, tensors, SOURCE)
    assert all(torch.equal(ours, parameter) for ours, parameter in zip(before, model.parameters(), strict=True))


def test_a_network_with_another_head_takes_all_but_the_head(twins: Network) -> None:
    """By name, by names that share a beginning, with underscores for dots, and by shapes alone."""
    trained = build(twins.with_classes(4), seed=1).state_dict()
    own = build(twins, seed=2).state_dict()
    for given in (
        trained,
        {f"model.net.{name}": tensor for name, tensor in trained.items()},
        {name.replace("fc", "layer"): tensor for name, tensor in trained.items()},
    ):
        match = match_weights(own, given, SOURCE)
        assert list(match.taken) == ["fc1", "fc2"] and list(match.left) == ["fc3"]
        assert len(match.unused) == 1 and "bias 4 and weight 4×9" in match.unused.values()
        assert match.tensors.keys() == {f"fc{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")}
        assert all(torch.equal(match.tensors[name], trained[name]) for name in match.tensors)


def test_a_layer_of_the_same_name_and_another_size_is_not_looked_for_elsewhere(twins: Network) -> None:
    own = build(twins, seed=2).state_dict()
    given = {"fc2.weight": torch.zeros(9, 4), "fc2.bias": torch.zeros(9), "other.weight": torch.zeros(9, 9)}
    match = match_weights(own, {**given, "other.bias": torch.zeros(9)}, SOURCE)
    assert match.taken == {"fc1": "other"}
    assert match.left["fc2"] == "the file has bias 9 and weight 9×4, the network bias 9 and weight 9×9"
    assert match.left["fc3"] == "the file has no layer with bias 3 and weight 3×9"
    assert match.unused == {"fc2": "bias 9 and weight 9×4"}


def test_names_with_dots_are_those_of_imported_layers() -> None:
    layers = [{"name": f"features_{i}", "type": "conv2d", "out_channels": 2, "kernel_size": 1} for i in (0, 3, 10)]
    network = read_network({"input": [2, 4, 4], "layers": layers})
    trained = build(network, seed=1).state_dict()
    given = {name.replace("_", "."): tensor for name, tensor in reversed(trained.items())}
    match = match_weights(build(network, seed=2).state_dict(), given, SOURCE)
    assert match.taken == {f"features_{i}": f"features.{i}" for i in (0, 3, 10)}
    assert all(torch.equal(match.tensors[name], tensor) for name, tensor in trained.items())


def test_the_prefix_under_which_most_names_are_the_networks_is_ignored(twins: Network) -> None:
    """As in a Lightning checkpoint with a loss and an average beside the model."""
    model, trained, average = (build(twins, seed=seed) for seed in (1, 2, 3))
    given = {
        "loss.weight": torch.ones(3),
        **{f"net.{name}": tensor for name, tensor in trained.state_dict().items()},
        **{f"ema.{name}": tensor for name, tensor in average.state_dict().items() if "fc2" not in name},
    }
    match = match_weights(model.state_dict(), given, SOURCE)
    assert match.taken == {name: f"net.{name}" for name in ("fc1", "fc2", "fc3")}
    assert list(match.unused) == ["loss", "ema.fc1", "ema.fc3"]


def test_a_batch_norm_without_its_counter_is_taken() -> None:
    network = read_network({"input": [2, 4, 4], "layers": [{"name": "norm", "type": "batch_norm"}]})
    model = build(network)
    given = {"norm.running_mean": torch.tensor([1.0, 2.0]), "norm.running_var": torch.ones(2),
             "norm.weight": torch.ones(2), "norm.bias": torch.zeros(2)}  # fmt: skip
    load_weights(model, given, SOURCE)
    assert model.state_dict()["norm.running_mean"].tolist() == [1, 2]
