"""Fixtures of the tests of training: a fixed seed, and runs that train in a moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alexplore.network.graph import Network, read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from tests.support.networks import SMALL


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Let no test draw other numbers because of the tests before it."""
    torch.manual_seed(0)


@pytest.fixture
def small() -> Network:
    """Return a network for 12×12 pixels with every kind of layer that has state or randomness."""
    return read_network(SMALL)


MakeRun = Callable[..., RunDirectory]


@pytest.fixture
def make_run(heavy: None, tmp_path: Path, small: Network) -> MakeRun:
    """Return what creates a run of the small network; keywords are keys of the recipe."""

    def make(name: str = "run", network: Network = small, **recipe: Any) -> RunDirectory:
        defaults: dict[str, Any] = {
            "dataset": "synthetic",
            "epochs": 2,
            "batch_size": 16,
            "optimizer": "adam",
            "lr": 0.003,
            "precision": "fp32",
            "horizontal_flip": True,
            "random_crop": True,
            "crop_padding": 1,
        }
        hardware = {key: recipe.pop(key) for key in ("gpus", "parallel", "device") if key in recipe}
        data = {key: recipe.pop(key) for key in ("folder", "limit_train", "limit_val", "val_share") if key in recipe}
        config = RunConfig(
            name,
            network,
            replace(Recipe(), **{**defaults, **recipe}),
            Hardware(**{"device": "cpu", **hardware}),
            DataSource(**{"limit_train": 75, "limit_val": 31, **data}),
        )
        return create_run(config, tmp_path / "runs", name)

    return make
