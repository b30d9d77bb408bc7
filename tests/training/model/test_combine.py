"""Layers that are combined into one call, with PyTorch's operations in the place of the kernels of a GPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from alexplore.network.graph import read_network
from alexplore.training.kernels import epilogue
from alexplore.training.kernels.pooling import MaxPool
from alexplore.training.kernels.table import NONE, Kernels
from alexplore.training.model.build import Model, build, chains, logits
from alexplore.training.model.combine import combined
from alexplore.training.model.hooks import MarkHook, SampleHook
from alexplore.training.step_timer import StepTimer

NETWORK = read_network(
    {
        "input": [3, 20, 20],
        "layers": [
            {"name": "conv1", "type": "conv2d", "out_channels": 8, "kernel_size": 5},
            {"name": "relu1", "type": "relu"},
            {"name": "pool1", "type": "max_pool2d", "kernel_size": 3, "stride": 2},
            {"name": "conv2", "type": "conv2d", "out_channels": 8, "kernel_size": 3, "bias": False},
            {"name": "relu2", "type": "relu"},
            {"name": "conv3", "type": "conv2d", "out_channels": 8, "kernel_size": 3},
            {"name": "tanh3", "type": "tanh"},
            {"name": "pool3", "type": "max_pool2d", "kernel_size": 2},
            {"name": "flatten", "type": "flatten"},
            {"name": "fc4", "type": "linear", "out_features": 10},
            {"name": "relu4", "type": "relu"},
        ],
    }
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let PyTorch compute what the kernels do; return the list in which their calls are noted."""
    made: list[str] = []

    def bias_relu(maps: Tensor, bias: Tensor | None) -> Tensor:
        made.append("relu")
        return F.relu(maps if bias is None else maps + bias.view(-1, 1, 1))

    def max_pool(maps: Tensor, windows: Any, bias: Tensor | None = None, *, has_relu: bool = False) -> Tensor:
        made.append("relu and pool" if has_relu else "pool")
        before = maps if bias is None else maps + bias.view(-1, 1, 1)
        sizes = [(window.kernel, window.stride) for window in windows]
        kernel, stride = zip(*sizes, strict=True)
        return F.max_pool2d(F.relu(before) if has_relu else before, kernel, stride)

    monkeypatch.setattr(epilogue, "supports", lambda maps: True)
    monkeypatch.setattr(epilogue, "bias_relu", bias_relu)
    monkeypatch.setattr(epilogue, "max_pool", max_pool)
    return made


def models() -> tuple[Model, Model]:
    """Return the same model with and without combined layers."""
    return build(NETWORK, 0, Kernels({"epilogue"})).double(), build(NETWORK, 0, NONE).double()


def test_outputs_and_gradients_are_those_of_the_layers(calls: list[str]) -> None:
    images = torch.randn(4, 3, 20, 20, dtype=torch.float64)
    ours, theirs = models()
    found, expected = ours(images), theirs(images)
    assert calls == ["relu and pool", "relu", "pool"]
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_layers_that_a_hook_looks_at_are_run_one_by_one(calls: list[str]) -> None:
    images = torch.randn(2, 3, 20, 20, dtype=torch.float64)
    for name, expected in {
        "conv1": ["pool", "relu", "pool"],
        "relu1": ["pool", "relu", "pool"],
        "pool1": ["relu", "pool", "relu", "pool"],
    }.items():
        model, theirs = models()
        seen: list[Tensor] = []
        model.get_submodule(name).register_forward_hook(lambda _, __, output, seen=seen: seen.append(output))
        calls.clear()
        torch.testing.assert_close(model(images), theirs(images))
        assert calls == expected
        assert len(seen) == 1
        model, _ = models()
        model.get_submodule(name).register_forward_pre_hook(lambda *_: None)
        calls.clear()
        model(images)
        assert calls == expected


@pytest.mark.usefixtures("calls")
def test_a_hook_for_samples_sees_the_output_that_is_not_computed() -> None:
    images = torch.randn(5, 3, 20, 20, dtype=torch.float64)
    seen: dict[str, list[Tensor]] = {"ours": [], "theirs": []}
    for (which, kept), model in zip(seen.items(), models(), strict=True):
        for name in ("relu1", "relu2", "relu4"):
            model.get_submodule(name).register_forward_hook(SampleHook(3, kept.append))
        calls = len(list(combined(list(model.children()))))
        assert calls == (8 if which == "ours" else 11)
        model(images)
    for ours, theirs in zip(seen["ours"], seen["theirs"], strict=True):
        assert len(ours) == 3
        assert not ours.requires_grad
        torch.testing.assert_close(ours, theirs)


@pytest.mark.usefixtures("calls")
def test_to_time_layers_does_not_change_what_is_computed() -> None:
    images = torch.randn(2, 3, 20, 20, dtype=torch.float64)
    model, _ = models()
    calls = len(list(combined(list(model.children()))))
    marked: list[str] = []
    for name, layer in model.named_children():
        layer.register_forward_pre_hook(MarkHook(partial(marked.append, f"{name} begins")))
        layer.register_forward_hook(MarkHook(partial(marked.append, f"{name} ends")))
    assert len(list(combined(list(model.children())))) == calls
    model(images)
    first = [f"{name} {what}" for name in ("conv1", "conv2", "conv3", "tanh3") for what in ("begins", "ends")]
    assert marked[: len(first)] == first  # relu1, pool1 and relu2 are timed with their convolutions


def test_the_timer_of_steps_keeps_layers_combined() -> None:
    model, _ = models()
    calls = len(list(combined(list(model.children()))))
    timer = StepTimer(torch.device("cpu"), model)
    timer._hook()
    assert len(list(combined(list(model.children())))) == calls
    timer._unhook()


def test_maps_that_the_kernels_do_not_support_go_through_the_layers(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epilogue, "supports", lambda maps: False)
    images = torch.randn(2, 3, 20, 20, dtype=torch.float64)
    ours, theirs = models()
    torch.testing.assert_close(ours(images), theirs(images))
    assert not calls


def test_which_layers_are_combined() -> None:
    layers: list[nn.Module] = list(build(NETWORK, 0, Kernels({"epilogue"})).children())
    assert len(list(combined(layers))) == len(layers) - 3  # relu1, pool1 and relu2
    assert len(list(combined(layers[1:]))) == len(layers) - 2
    assert [*combined(layers[-2:])] == layers[-2:]
    assert [*combined(list(build(NETWORK, 0, NONE).children()))] != []
    assert all(isinstance(call, nn.Module) for call in combined(list(build(NETWORK, 0, NONE).children())))


def test_only_maps_on_a_gpu_are_supported() -> None:
    last = torch.channels_last
    assert not epilogue.supports(torch.zeros(1, 2, 3, 3).contiguous(memory_format=last))
    with FakeTensorMode():
        maps = torch.empty(2, 4, 3, 3, device="cuda", memory_format=last)
        assert epilogue.supports(maps)
        assert epilogue.supports(maps.to(torch.bfloat16))
        assert not epilogue.supports(maps.double())
        assert not epilogue.supports(maps.contiguous())
        assert not epilogue.supports(maps[:0])
        assert not epilogue.supports(torch.empty(2**20, 1, 64, 64, device="cuda", memory_format=last))


@pytest.mark.parametrize(("kernel", "fits"), [(3, True), (5, True), ((2, 7), True), (6, False), (13, False)])
def test_windows_that_take_long_to_compile_are_left_to_pytorch(kernel: int | tuple[int, int], fits: bool) -> None:
    size = list(kernel) if isinstance(kernel, tuple) else kernel
    layer = {"name": "pool1", "type": "max_pool2d", "kernel_size": size}
    network = read_network({"input": [3, 20, 20], "layers": [layer]})
    (pool,) = build(network, 0, Kernels({"epilogue"})).children()
    assert isinstance(pool, MaxPool)
    assert pool.in_one_pass is fits
    (dilated,) = build(network.change(0, {"kernel_size": 2, "dilation": 2}), 0, Kernels({"epilogue"})).children()
    assert isinstance(dilated, MaxPool)
    assert not dilated.in_one_pass


BRANCHES = read_network(
    {
        "input": [3, 16, 16],
        "layers": [
            {"name": "conv1", "type": "conv2d", "out_channels": 8, "kernel_size": 3},
            {"name": "relu1", "type": "relu"},
            {"name": "pool1", "type": "max_pool2d", "kernel_size": 2},
            {"name": "left", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
            {"name": "left_relu", "type": "relu"},
            {"name": "right", "type": "conv2d", "out_channels": 4, "kernel_size": 1, "inputs": ["pool1"]},
            {"name": "right_relu", "type": "relu"},
            {"name": "joined", "type": "concat", "inputs": ["left_relu", "right_relu", "right"]},
            {"name": "conv2", "type": "conv2d", "out_channels": 12, "kernel_size": 3, "padding": 1},
            {"name": "relu2", "type": "relu"},
            {"name": "sum", "type": "add", "inputs": ["relu2", "joined"]},
            {"name": "relu3", "type": "relu"},
            {"name": "flatten", "type": "flatten"},
            {"name": "fc", "type": "linear", "out_features": 5},
            {"name": "softmax", "type": "softmax"},
        ],
    }
)


def test_chains_are_layers_that_nothing_else_reads() -> None:
    names = [layer.name for layer in BRANCHES.layers]
    found = [names[first:end] for first, end in chains(BRANCHES.sources)]
    assert found == [
        ["conv1", "relu1", "pool1"],
        ["left", "left_relu"],
        ["right"],  # the concatenation reads it, too
        ["right_relu"],
        ["joined"],
        ["conv2", "relu2"],
        ["sum", "relu3", "flatten", "fc", "softmax"],
    ]
    assert [*chains(NETWORK.sources)] == [(0, len(NETWORK.layers))]
    assert [*chains(())] == []


def test_chains_of_a_network_with_branches_are_combined(calls: list[str]) -> None:
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    ours, theirs = (build(BRANCHES, 0, Kernels(names)).double() for names in ({"epilogue"}, set()))
    torch.testing.assert_close(ours(images), theirs(images))
    assert calls == ["relu and pool", "relu", "relu"]  # conv1, left and conv2
    found, expected = logits(ours, images), logits(theirs, images)
    torch.testing.assert_close(found, expected)
    for output in (found, expected):
        torch.autograd.backward(output.square().sum())
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
