"""What every test stands on: folders of its own, and small networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.network.graph import Network, read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig
from tests.support.networks import TINY, TINY_PRESET
from tests.support.processes import Alexplore, run_alexplore


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's presets and runs."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("ALEXPLORE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def tiny() -> Network:
    """One convolution, one pool, one linear layer."""
    return read_network(TINY)


@pytest.fixture
def tiny_preset(tmp_path: Path) -> Path:
    """The same as a preset file that trains on drawn images."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY_PRESET)
    return path


@pytest.fixture
def config(tiny: Network) -> RunConfig:
    """A run that takes a second."""
    recipe = Recipe(dataset="synthetic", optimizer="adam", lr=0.005, epochs=2, precision="fp32")
    return RunConfig("tiny", tiny, recipe, Hardware(device="cpu"), DataSource(limit_train=512, limit_val=128))


@pytest.fixture
def alexplore() -> Alexplore:
    """Return what runs the command line in a process of its own, without a terminal."""
    return run_alexplore
