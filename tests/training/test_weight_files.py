"""Files of weights as training scripts write them: the model's tensors are found, and no code in a file runs."""

from __future__ import annotations

import argparse
import json
import re
import zipfile
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
    "in a list": lambda model: [{"epoch": 1}, model.state_dict()],
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
        (
            torch.optim.SGD([torch.ones(1)], lr=0.1).state_dict(),
            "is the state of an optimizer, without a model's weights",
        ),
    ],
)
def test_files_without_a_clear_table_are_refused(content: Any, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=re.escape(words)):
        read_weights(tmp_path / "weights.pt")


def test_other_things_than_tensors_are_left_out_of_old_files(tmp_path: Path) -> None:
    path, model = tmp_path / "old.pth", net()
    RAN.clear()
    torch.save(
        {**scripts_file(model), "model": model.state_dict(), "trap": Trap()}, path, _use_new_zipfile_serialization=False
    )
    assert list(read_weights(path)) == list(model.state_dict())
    assert RAN == []


def shards(folder: Path, tensors: dict[str, Tensor]) -> Path:
    """Write tensors as Hugging Face's Transformers do: in two files, and an index of them."""
    names = list(tensors)
    parts = {"model-00001-of-00002.safetensors": names[:3], "model-00002-of-00002.safetensors": names[3:]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {name: file for file in parts for name in parts[file]}}))
    return index


def test_an_index_stands_for_its_shards(tmp_path: Path) -> None:
    expected = net().state_dict()
    index = shards(tmp_path, expected)
    found = read_weights(index)
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    save_file({"other": torch.ones(1)}, tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors has no norm\.bias"):
        read_weights(index)
    (tmp_path / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-00001-of-00002\.safetensors: No such file"):
        read_weights(index)
    for value in ("../other.safetensors", "/etc/passwd", index.name, 3):
        index.write_text(json.dumps({"weight_map": {"conv.weight": value}}))
        with pytest.raises(CheckpointError, match="has no weight_map with the name of a file beside it"):
            read_weights(index)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (b"PK\3\4cut off", "its end is missing"),
        (b"", "it is damaged, or neither .safetensors nor saved with torch.save"),
    ],
)
def test_files_that_are_no_weights_are_named(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(words)):
        read_weights(tmp_path / "weights.pth")


def test_archives_of_other_programs_are_named(tmp_path: Path) -> None:
    for name, words in (("net/constants.pkl", "is a TorchScript module"), ("a.pth", "torch.save did not write")):
        with zipfile.ZipFile(tmp_path / "weights.pt", "w") as archive:
            archive.writestr(name, b"")
        with pytest.raises(CheckpointError, match=words):
            read_weights(tmp_path / "weights.pt")


def test_whole_modules_are_refused_with_what_to_save(tmp_path: Path) -> None:
    torch.save(net(), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"save the model's state_dict\(\)"):
        read_weights(tmp_path / "model.pt")
