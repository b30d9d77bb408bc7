"""Batch norms on batches that damaged images have made too small for statistics."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from alexplore.training.model.shared_batch_norm import SharedBatchNorm, tolerate_small_batches


def norm(shared: bool, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Return a batch norm of vectors that has seen a batch."""
    monkeypatch.setattr(dist, "all_reduce", lambda values, op: values)  # one rank
    plain = nn.BatchNorm1d(3)
    tolerate_small_batches(plain)
    made: nn.Module = SharedBatchNorm(plain) if shared else plain
    made(torch.tensor([[1.0, 2.0, 3.0], [3.0, 6.0, 9.0]]))
    return made


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("images", [0, 1])
def test_a_small_batch_uses_the_running_statistics_and_keeps_them(
    shared: bool, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = norm(shared, monkeypatch)
    before = {name: value.clone() for name, value in one.state_dict().items() if name.startswith("running")}
    values = torch.full((images, 3), 5.0, requires_grad=True)
    output: Tensor = one(values)
    expected = (5 - before["running_mean"]) / (before["running_var"] + 1e-5).sqrt()
    torch.testing.assert_close(output, expected.expand(images, 3))
    torch.autograd.backward(output.sum())
    assert all(torch.equal(one.state_dict()[name], value) for name, value in before.items())
    assert one.training
    one(torch.tensor([[1.0, 2.0, 3.0], [3.0, 6.0, 9.0]]))
    assert not torch.equal(one.state_dict()["running_mean"], before["running_mean"])


def test_statistics_are_pytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    plain, shared = norm(False, monkeypatch), norm(True, monkeypatch)
    values = torch.randn(5, 3)
    torch.testing.assert_close(shared(values), plain(values))
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(shared.state_dict()[name], plain.state_dict()[name])
