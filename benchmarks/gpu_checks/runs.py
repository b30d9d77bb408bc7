"""The runs that the parts train: small networks on synthetic images, and their losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alexplore.network.graph import Network, read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.runs.reader import RunReader

BATCH = 32


def small_network(*, kinks: bool = False, batch_norm: bool = False, dropout: bool = False) -> Network:
    """Return a network with groups, local response normalisation and two towers.

    With `kinks` it has ReLUs and max pools, where a rounding error may change the gradient; else tanh and average
    pools, through which it stays small. With `batch_norm` there is only one tower.
    """
    activation, pool = ("relu", "max_pool2d") if kinks else ("tanh", "avg_pool2d")
    layers = [
        {"name": "conv1", "type": "conv2d", "out_channels": 16, "kernel_size": 5, "stride": 2, "padding": 2},
        {"name": "act1", "type": activation},
        {"name": "norm1", "type": "local_response_norm", "size": 5, "alpha": 0.5, "groups": 2},
        {"name": "pool1", "type": pool, "kernel_size": 3, "stride": 2},
        # The gradient of a bias before batch norm is only rounding error, which Adam would scale up.
        {"name": "conv2", "type": "conv2d", "out_channels": 32, "kernel_size": 3, "padding": "same", "groups": 2,
         "bias": not batch_norm},
        *([{"name": "bn2", "type": "batch_norm"}] if batch_norm else []),
        {"name": "act2", "type": activation},
        {"name": "flatten", "type": "flatten"},
        {"name": "fc3", "type": "linear", "out_features": 32},
        {"name": "act3", "type": activation},
        *([{"name": "drop3", "type": "dropout"}] if dropout else []),
        {"name": "fc4", "type": "linear", "out_features": 10},
    ]  # fmt: skip
    return read_network({"input": [3, 24, 24], "towers": 1 if batch_norm else 2, "layers": layers})


def small_config(network: Network, steps: int, hardware: Hardware, *, epochs: int = 1, **recipe: Any) -> RunConfig:
    """Return a config on synthetic images with `steps` steps an epoch; other keywords are keys of the recipe."""
    values: Mapping[str, Any] = {"dataset": "synthetic", "epochs": epochs, "batch_size": BATCH, "precision": "fp32"}
    return RunConfig(
        "small",
        network,
        replace(Recipe(), **{**values, **recipe}),
        hardware,
        DataSource(limit_train=steps * BATCH, limit_val=BATCH),
    )


def losses_by_step(run: RunDirectory) -> dict[int, float]:
    """Return the training loss of each step in metrics.jsonl; of repeated steps the last."""
    lines = RunReader(run).metrics()
    return {line.step: line.values["train/loss"] for line in lines if "train/loss" in line.values}


def largest_difference(found: Mapping[int, float], reference: Mapping[int, float]) -> float:
    """Return the largest |found − reference| / |reference| over the steps; infinite if the steps differ."""
    if found.keys() != reference.keys() or not reference:
        return float("inf")
    return max(abs(found[step] - reference[step]) / abs(reference[step]) for step in reference)
