"""`alexplore doctor` on machines where something is missing."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torch

from alexplore.runs.accelerators import Accelerators
from alexplore.training.commands import doctor
from alexplore.training.data.catalog import PUBLISHED


def lacks(monkeypatch: pytest.MonkeyPatch, package: str, **found: Any) -> None:
    """Replace functions of the module for one package; an exception is raised."""
    for name, value in found.items():
        original = getattr(doctor, name)

        def replaced(asked: str, value: Any = value, original: Any = original) -> Any:
            if asked != package:
                return original(asked)
            if isinstance(value, Exception):
                raise value
            return value

        monkeypatch.setattr(doctor, name, replaced)


@pytest.mark.parametrize("spec", [None, ModuleNotFoundError("No module named 'torchvision'")])
def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, spec: Any) -> None:
    lacks(monkeypatch, "torchvision", find_spec=spec)
    _, packages, *missing = doctor.software()
    assert "torchvision" not in packages[2]
    assert missing == [(doctor.MISSING, "", "torchvision is not installed: pip install torchvision")]


@pytest.mark.parametrize("version", [None, PackageNotFoundError("torchvision")])
def test_a_package_whose_version_is_not_known(monkeypatch: pytest.MonkeyPatch, version: Any) -> None:
    lacks(monkeypatch, "torchvision", version=version)
    _, packages, *missing = doctor.software()
    assert "torchvision of unknown version, " in packages[2]
    assert not missing


def test_another_accelerator_than_cudas_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor, "find_accelerators", lambda: Accelerators("mps", 1))
    assert any(title == "gpu" and words.startswith("mps: training runs on it") for _, title, words in doctor.devices())


def test_a_folder_without_the_data_set_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A download that failed leaves its lock."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, file in (("mnist", "lock"), ("kmnist", "images.safetensors")):
        (tmp_path / "alexplore" / name).mkdir(parents=True)
        (tmp_path / "alexplore" / name / file).write_text("")
    found = {name: (mark, words) for mark, name, words in doctor.data()}
    assert found.keys() == PUBLISHED.keys()
    assert found["mnist"][0] == doctor.NOTE and found["mnist"][1].startswith("not on this machine")
    assert found["kmnist"] == (doctor.FOUND, str(tmp_path / "alexplore" / "kmnist"))
