"""Kernels are chosen by the table, and a run without any of them gets the same values."""

from __future__ import annotations

import platform
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from alexplore.network.graph import read_network
from alexplore.presets.library import load_preset
from alexplore.presets.recipe import Recipe
from alexplore.runs.kernel_choice import PROCESSORS, VARIABLE, KernelError
from alexplore.training.data.dataset import Dataset, ResidentSplit
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.kernels import convolution, table
from alexplore.training.kernels.lrn import LocalResponseNorm
from alexplore.training.kernels.processor import processor_class
from alexplore.training.kernels.table import (
    GAIN,
    NONE,
    TABLE,
    Kernels,
    available,
    choose_kernels,
    kernels_of,
    with_and_without,
)
from alexplore.training.model.build import build
from alexplore.training.nonfinite import NonfiniteGuard
from alexplore.training.objective import Objective
from alexplore.training.optim import FACTORIES, make_optimizer
from alexplore.training.precision import Precision

CPU = torch.device("cpu")
MEASURED = [name for name, processor in PROCESSORS.items() if processor.measured_on]

NETWORK = read_network(
    {
        "input": [1, 20, 20],
        "layers": [
            {"name": "conv1", "type": "conv2d", "out_channels": 64, "kernel_size": 5, "stride": 2},
            {"name": "norm1", "type": "local_response_norm", "size": 5, "alpha": 0.1, "beta": 0.75, "k": 2},
            {"name": "conv2", "type": "conv2d", "out_channels": 16, "kernel_size": 5, "padding": 2, "groups": 2},
            {"name": "norm2", "type": "local_response_norm", "size": 5, "alpha": 0.1, "beta": 0.75, "groups": 2},
            {"name": "conv3", "type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1},
            {"name": "conv4", "type": "conv2d", "out_channels": 8, "kernel_size": 5, "padding": 2},
            {"name": "flatten", "type": "flatten"},
            {"name": "fc", "type": "linear", "out_features": 10},
        ],
    }
)


@pytest.mark.parametrize("name", TABLE)
def test_every_kernel_gains_on_some_class_that_was_measured(name: str) -> None:
    speedups = TABLE[name].speedups
    assert max(speedup.factor for speedup in speedups.values()) >= GAIN
    assert speedups.keys() <= set(MEASURED)
    for speedup in speedups.values():
        assert load_preset(speedup.preset)
    assert (TABLE[name].otherwise or name) in TABLE


def test_what_was_not_measured_uses_what_gains_everywhere() -> None:
    gaining = {name for name in TABLE if all(s.factor >= GAIN for s in TABLE[name].speedups.values())}
    everywhere = {name for name in gaining if TABLE[name].on_cpu}
    for name in set(PROCESSORS) - {*MEASURED, "gpu", "accelerator"}:
        assert kernels_of(name) == everywhere
    assert kernels_of("accelerator") == NONE
    assert all(TABLE[name].on_gpu for name in kernels_of("gpu"))


@pytest.mark.parametrize(
    ("machine", "capability", "bf16", "amx", "expected"),
    [
        ("x86_64", "AVX2", False, False, "avx2"),
        ("x86_64", "AVX512", False, False, "avx512"),
        ("x86_64", "AVX512", True, False, "avx512_bf16"),
        ("x86_64", "AVX512", True, True, "amx"),
        ("x86_64", "DEFAULT", False, False, "other"),
        ("arm64", "DEFAULT", False, False, "arm"),
    ],
)
def test_the_class_of_a_processor(
    monkeypatch: pytest.MonkeyPatch, machine: str, capability: str, bf16: bool, amx: bool, expected: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(table, "available", lambda kernels: kernels)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert processor_class("cpu") == expected
    assert choose_kernels("cpu") == kernels_of(expected)
    assert (processor_class("cuda"), processor_class("mps")) == ("gpu", "accelerator")


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "plain")
    assert choose_kernels("cpu") == choose_kernels("cuda") == NONE
    monkeypatch.setenv(VARIABLE, "avx2")
    assert choose_kernels("cpu") == available(kernels_of("avx2"))
    monkeypatch.setenv(VARIABLE, "avx3")
    with pytest.raises(KernelError, match=r"ALEXPLORE_KERNELS=avx3: allowed: plain, avx2, .*without it"):
        choose_kernels("cpu")


def test_without_triton_a_gpu_normalises_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    unavailable = {
        name: replace(TABLE[name], why_unavailable=lambda: "Triton is not installed")
        for name in ("triton-2", "epilogue")
    }
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(table, "TABLE", {**TABLE, **unavailable})
    assert choose_kernels("cuda") == kernels_of("gpu") - {"triton-2", "epilogue"}
    assert "lrn" in choose_kernels("cuda")


def test_a_speedup_is_measured_without_what_does_the_same() -> None:
    used = Kernels({"lrn", "triton-2", "graphs", "epilogue"})
    others = used - {"lrn", "triton-2"}
    assert with_and_without("triton-2", used) == (others | {"triton-2"}, others)
    assert with_and_without("lrn", used) == (others | {"lrn"}, others)
    assert with_and_without("graphs", used) == (used, used - {"graphs"})


@pytest.mark.parametrize(("kernels", "one_pass"), [({"lrn"}, False), ({"lrn", "triton-2"}, True), ({"triton-2"}, True)])
def test_the_kernels_decide_whether_triton_is_used(kernels: set[str], one_pass: bool) -> None:
    norm = build(NETWORK, 0, Kernels(kernels)).get_submodule("norm1")
    assert isinstance(norm, LocalResponseNorm)
    assert norm.one_pass is one_pass
    split = ResidentSplit(torch.zeros(1, 1, 20, 20, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), CPU)
    dataset = Dataset("made", ("one",), 1, (0.4,), (0.3,), split, split)
    for device in ("cuda", "cpu"):
        made = Preprocess(Recipe(), (1, 20, 20), dataset, torch.device(device), Kernels(kernels))
        assert made._in_triton is (device == "cuda" and "triton-2" in kernels)


def train(kernels: Kernels, recipe: Recipe, precision: str = "fp32") -> dict[str, Tensor]:
    """Return the weights after three updates, and the loss of each."""
    model = build(NETWORK, 3, kernels).train()
    objective = Objective(model, recipe, Precision(precision, CPU))
    guard = NonfiniteGuard(make_optimizer(recipe, model, kernels=kernels), CPU)
    generator = torch.Generator().manual_seed(1)
    found: dict[str, Tensor] = {}
    for step in range(3):
        images = torch.randn(4, 1, 20, 20, generator=generator).contiguous(memory_format=torch.channels_last)
        loss, _ = objective(images, torch.randint(10, (4,), generator=generator))
        found[f"loss {step}"] = loss.detach()
        guard.step(loss, 0.25)
    return {**found, **model.state_dict()}


@pytest.fixture
def every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let kernels be used for the small layers of `NETWORK` too."""
    monkeypatch.setattr(convolution, "tile_outputs", lambda channels, kernels, kernel, size: 2)


@pytest.mark.parametrize("name", [*TABLE, "all"])
def test_a_kernel_gives_the_same_values_as_pytorch(name: str, every_size: None) -> None:
    recipe = Recipe(optimizer="sgd", lr=0.01, momentum=0.9, weight_decay=1e-3)
    kernels = available(Kernels(TABLE) if name == "all" else Kernels({name}))
    plain, fast = train(NONE, recipe), train(kernels, recipe)
    for key, value in plain.items():
        torch.testing.assert_close(fast[key], value, rtol=1e-3, atol=1e-4, msg=f"{name}: {key} differs")


@pytest.mark.parametrize("optimizer", FACTORIES)
def test_every_optimizer_does_the_same_without_kernels(optimizer: str) -> None:
    recipe = Recipe(optimizer=optimizer, lr=1e-3, weight_decay=0.01)
    plain, fused = train(NONE, recipe), train(Kernels({"fused"}), recipe)
    for key, value in plain.items():
        torch.testing.assert_close(fused[key], value, rtol=1e-3, atol=2e-4)


def test_plain_layers_are_pytorchs_own() -> None:
    """With `plain`, no function of ours is on the way: the graph of gradients has PyTorch's nodes alone."""
    model = build(NETWORK, 0, NONE)
    found: set[str] = set()
    nodes: list[Any] = [model(torch.randn(2, 1, 20, 20)).grad_fn]
    while nodes:
        node = nodes.pop()
        found.add(type(node).__name__)
        nodes += [following for following, _ in node.next_functions if following is not None]
    assert not {name for name in found if name.startswith("_")}
    assert "ConvolutionBackward0" in found


@pytest.mark.parametrize("kernels", [NONE, Kernels({"fused"})], ids=["plain", "fused"])
@pytest.mark.parametrize("optimizer", FACTORIES)
def test_a_step_that_is_not_finite_changes_nothing(kernels: Kernels, optimizer: str) -> None:
    model = build(NETWORK, 0, kernels)
    optimizer_ = make_optimizer(replace(Recipe(), optimizer=optimizer), model, kernels=kernels)
    guard = NonfiniteGuard(optimizer_, CPU)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert float(guard.step(model(torch.full((2, 1, 20, 20), torch.nan)).sum(), 1.0)) == 1
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
