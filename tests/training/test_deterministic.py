"""Deterministic training: what is set, what is refused, and by which layer's name."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from alexplore.network.graph import Network
from alexplore.presets.recipe import Recipe
from alexplore.runs.preflight import CUBLAS_WORKSPACE as WORKSPACE
from alexplore.training import deterministic
from alexplore.training.deterministic import check_deterministic, make_deterministic
from alexplore.training.errors import UsageError
from alexplore.training.hardware import prepare
from alexplore.training.kernels.table import NONE
from alexplore.training.model.build import Model, build
from alexplore.training.precision import Precision

RECIPE = Recipe(deterministic=True)
CPU = Precision("fp32", torch.device("cpu"))


@pytest.fixture(autouse=True)
def settings_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave this process as it was."""
    monkeypatch.setenv(WORKSPACE, "")
    monkeypatch.delenv(WORKSPACE)
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn


def test_everything_is_set_before_cuda_starts() -> None:
    prepare(torch.device("mps"), deterministic=True)  # on a CPU it would lower this process's priority
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert os.environ[WORKSPACE] == ":4096:8"


def test_another_workspace_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, ":0:0")
    with pytest.raises(UsageError, match="CUBLAS_WORKSPACE_CONFIG=:0:0: allowed: :4096:8 or :16:8"):
        make_deterministic()
    assert not torch.are_deterministic_algorithms_enabled()


class Histogram(nn.Module):
    """A layer whose backward pass PyTorch refuses, as on CUDA those of some adaptive pools."""

    def forward(self, maps: Tensor) -> Tensor:
        return Refusing.apply(maps)  # type: ignore[no-any-return]


class Refusing(torch.autograd.Function):
    """PyTorch's own message (`alertNotDeterministic`)."""

    @staticmethod
    def forward(_: object, maps: Tensor) -> Tensor:
        return maps.clone()

    @staticmethod
    def backward(_: object, *gradients: Tensor) -> Tensor:
        raise RuntimeError(
            "adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but you set "
            "'torch.use_deterministic_algorithms(True)'. You can turn off determinism just for this operation"
        )


def test_a_layer_that_cannot_be_is_named(small: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    check_deterministic(RECIPE, small, NONE, CPU)  # on a CPU all can
    refused = next(layer for layer in small.layers if layer.type == "relu").name

    def with_histogram(network: Network, *arguments: object) -> Model:
        model = build(network, 0, NONE)
        setattr(model, refused, Histogram())
        return model

    monkeypatch.setattr(deterministic, "build", with_histogram)
    with pytest.raises(UsageError) as error:
        check_deterministic(RECIPE, small, NONE, CPU)
    assert str(error.value) == (
        f"deterministic: layer {refused} (relu) can't be: adaptive_avg_pool2d_backward_cuda does not have a "
        "deterministic implementation on cpu. Train without deterministic, on the CPU, or with another layer"
    )
    check_deterministic(Recipe(), small, NONE, CPU)  # nobody asked
