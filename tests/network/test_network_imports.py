"""Core, networks, presets and export import the standard library alone; what is heavier is loaded on demand."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

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


def test_every_module_of_it() -> None:
    names = [
        module.name
        for package in (alexplore.core, alexplore.network, alexplore.presets, alexplore.export)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    assert "alexplore.export.pytorch" in names
    loaded = loaded_by("\n".join(f"import {name}" for name in names))
    assert not loaded & {"torch", "torchvision", "numpy", "textual", "rich", "typer", "pydantic", "keras"}
    assert not [name for name in loaded if name.startswith(("alexplore.runs", "alexplore.training", "alexplore.tui"))]


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
