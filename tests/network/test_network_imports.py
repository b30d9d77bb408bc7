"""Core, networks, presets and export import the standard library alone; what is heavier is loaded on demand."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import alexplore.core
import alexplore.export
import alexplore.network
import alexplore.presets

pytestmark = pytest.mark.usefixtures("heavy")


def loaded_by(program: str) -> set[str]:
    """The modules of a fresh interpreter after a program."""
    program += "\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def modules_of(*packages: ModuleType) -> list[str]:
    """Return the names of all modules in packages."""
    found = [pkgutil.walk_packages(package.__path__, f"{package.__name__}.") for package in packages]
    return [module.name for modules in found for module in modules]


NEEDS_NUMPY = ("alexplore.export.keras_weights",)
"""Modules that calculate with weights, imported when these are exported."""

HEAVY = {"torch", "torchvision", "numpy", "textual", "rich", "typer", "pydantic", "keras"}


@pytest.mark.parametrize(
    ("packages", "above"),
    [
        ((alexplore.core, alexplore.network, alexplore.presets), ("export", "runs", "training", "tui")),
        ((alexplore.export,), ("training", "tui")),
    ],
    ids=["core, network, presets", "export"],
)
def test_every_module_of_it(packages: tuple[ModuleType, ...], above: tuple[str, ...]) -> None:
    names = [name for name in modules_of(*packages) if name not in NEEDS_NUMPY]
    loaded = loaded_by("\n".join(f"import {name}" for name in names))
    assert loaded >= set(names)
    assert not loaded & HEAVY
    assert not [name for name in loaded for room in above if name.startswith(f"alexplore.{room}")]


def test_reading_and_analysing_a_preset_loads_little() -> None:
    loaded = loaded_by(
        "from alexplore.presets.library import load_preset\n"
        "from alexplore.network.analysis import analyse\n"
        "from alexplore.presets.published import check_published\n"
        "preset = load_preset('paper')\n"
        "analysis = analyse(preset.network)\n"
        "analysis.totals, analysis.memory(128), check_published(preset.published, analysis)"
    )
    assert not loaded & {"tomlkit", "difflib"}
