"""Files of weights as training scripts write them: the model's tensors are found, and no code in a file runs."""

from __future__ import annotations

import argparse
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from alexplore.training.checkpoint import read_weights
from alexplore.training.errors import CheckpointError

RAN: list[str] = []


class Trap:
    """Unpickling it runs code, which a weight file may not."""

    def __reduce__(self) -> tuple[Any, ...]:
        return spring, ("sprung",)


def spring(word: str) -> Trap:
    RAN.append(word)
    return Trap()


class Settings:
    """What a training script keeps besides the weights."""

    def __init__(self) -> None:
        self.lr, self.path = 0.1, Path("data")


def net() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2), fc=nn.Linear(4, 3)))


def scripts_file(model: nn.Module) -> dict[str, Any]:
    """What a script saves after an epoch."""
    optimizer = torch.optim.Adam(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    return {"epoch": 3, "loss": torch.tensor(0.5), "best": np.float64(0.9), "optimizer": optimizer.state_dict(),
            "rng": {"cpu": torch.get_rng_state()}, "args": argparse.Namespace(lr=0.1, out=Path("x")),
            "history": [np.float32(1), 2], "settings": Settings()}  # fmt: skip


def ddp(names: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in names.items()}


FORMS: dict[str, Callable[[nn.Module], Any]] = {
    "bare": lambda model: model.state_dict(),
    "state_dict": lambda model: {"state_dict": model.state_dict(), "epoch": 1},
    "beside other things": lambda model: {**scripts_file(model), "model": model.state_dict()},
    "under any name": lambda model: {"whatever": model.state_dict(), "step": 1},
    "two levels down": lambda model: {"checkpoint": {"my_model": model.state_dict(), "epoch": 2}, "config": {"a": 1}},
    "average beside": lambda model: {"state_dict": model.state_dict(), "state_dict_ema": net().double().state_dict()},
    "DataParallel": lambda model: nn.DataParallel(model).state_dict(),
    "compiled": lambda model: ddp(model.state_dict(), "_orig_mod."),
    "compiled in DDP": lambda model: {"model": ddp(model.state_dict(), "module._orig_mod.")},
    "DDP compiled": lambda model: {"model": ddp(model.state_dict(), "_orig_mod.module.")},
    "averaged": lambda model: torch.optim.swa_utils.AveragedModel(model).state_dict(),
    "with numbers between": lambda model: {**model.state_dict(), "epoch": 3},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_models_tensors_are_found(form: str, tmp_path: Path) -> None:
    model = net()
    torch.save(FORMS[form](model), tmp_path / "weights.pt")
    expected = model.state_dict()
    found = read_weights(tmp_path / "weights.pt")
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_safetensors(dtype: torch.dtype, tmp_path: Path) -> None:
    expected = net().to(dtype).state_dict()
    save_file(ddp(expected, "module."), tmp_path / "weights.safetensors")
    torch.save(expected, tmp_path / "weights.pth", _use_new_zipfile_serialization=False)  # as before PyTorch 1.6
    for name in ("weights.safetensors", "weights.pth"):
        found = read_weights(tmp_path / name)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_what_is_no_tensor_is_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"model": net().state_dict(), "trap": Trap(), "list": [Trap()]}, path)
    assert list(read_weights(path)) == list(net().state_dict())
    torch.save(Trap(), path)
    with pytest.raises(CheckpointError, match="contains other things than tensors"):
        read_weights(path)
    assert RAN == []
    torch.load(path, weights_only=False)
    assert RAN == ["sprung"]  # the trap works


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"one": {"a.weight": torch.ones(1)}, "two": {"b.weight": torch.ones(1)}},
            "several tables of tensors (one, two)",
        ),
        ({"a": {"b": {"c": {"fc.weight": torch.ones(1)}}}}, "contains no state_dict"),
        ({"epoch": 3, "loss": torch.tensor(1.0)}, "contains no state_dict"),
        ([torch.ones(1)], "contains no state_dict"),
        (torch.ones(3), "contains no state_dict"),
        ({}, "contains no state_dict"),
        ({3: torch.ones(1)}, "3 is no name of a tensor"),
    ],
)
def test_files_without_a_clear_table_are_refused(content: Any, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=re.escape(words)):
        read_weights(tmp_path / "weights.pt")


def test_whole_modules_are_refused_with_what_to_save(tmp_path: Path) -> None:
    torch.save(net(), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"save the model's state_dict\(\)"):
        read_weights(tmp_path / "model.pt")
