"""`from alexplore import …`: typed, loaded when it is used, and one version."""

from __future__ import annotations

import importlib.metadata
import json
from typing import assert_type

import pytest

import alexplore
from alexplore.network.analysis import Analysis
from alexplore.presets.preset import Preset
from alexplore.training.model.build import Model
from tests.support.processes import run_python


def loaded_by(program: str) -> set[str]:
    """Return the names of the modules that a fresh interpreter has loaded after a program."""
    done = run_python(f"{program}\nimport sys, json\nprint(json.dumps(list(sys.modules)))")
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_a_network_is_loaded_analysed_and_built() -> None:
    preset = assert_type(alexplore.load_preset("lenet"), Preset)
    analysis = assert_type(alexplore.analyse(preset.network), Analysis)
    model = assert_type(alexplore.build(preset.network), Model)
    assert sum(parameter.numel() for parameter in model.parameters()) == analysis.totals.params


def test_errors_have_one_base_class() -> None:
    with pytest.raises(alexplore.AlexploreError, match="no preset 'papre'"):
        alexplore.load_preset("papre")


def test_every_public_name_is_there_and_no_other() -> None:
    assert set(alexplore.__all__) <= set(dir(alexplore))
    assert all(hasattr(alexplore, name) for name in alexplore.__all__)
    assert not hasattr(alexplore, "analyze")


@pytest.mark.usefixtures("heavy")
@pytest.mark.parametrize(
    ("program", "ours", "torch"),
    [
        ("import alexplore", {"alexplore"}, False),
        ("import alexplore; alexplore.analyse", {"alexplore", "alexplore.network.analysis"}, False),
        ("from alexplore import load_preset", {"alexplore", "alexplore.presets.library"}, False),
        ("from alexplore import build", {"alexplore", "alexplore.training.model.build"}, True),
    ],
)
def test_a_name_is_loaded_when_it_is_used(program: str, ours: set[str], torch: bool) -> None:
    loaded = loaded_by(program)
    assert ours <= loaded
    assert ("torch" in loaded) == torch
    if ours == {"alexplore"}:
        assert {name for name in loaded if name.partition(".")[0] == "alexplore"} == ours


def test_the_installed_version_is_the_packages() -> None:
    assert importlib.metadata.version("alexplore") == alexplore.__version__
