"""The runs that the parts train: small networks on synthetic images, and what is read from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alexplore.network.graph import Network, read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import LineReader

BATCH = 32

SMALL = read_network(
    {
        "input": [3, 24, 24],
        "towers": 2,
        "layers": [
            {"name": "conv1", "type": "conv2d", "out_channels": 16, "kernel_size": 5, "stride": 2, "padding": 2},
            {"name": "relu1", "type": "relu"},
            {"name": "norm1", "type": "local_response_norm", "size": 5, "groups": 2},
            {"name": "pool1", "type": "max_pool2d", "kernel_size": 3, "stride": 2},
            {"name": "conv2", "type": "conv2d", "out_channels": 32, "kernel_size": 3, "padding": "same", "groups": 2},
            {"name": "relu2", "type": "relu"},
            {"name": "flatten", "type": "flatten"},
            {"name": "fc3", "type": "linear", "out_features": 32},
            {"name": "relu3", "type": "relu"},
            {"name": "fc4", "type": "linear", "out_features": 10},
        ],
    }
)
"""Groups, normalisation and two towers; nothing random, since a CPU and a GPU draw other numbers."""


def small_config(
    steps: int, hardware: Hardware, *, network: Network = SMALL, epochs: int = 1, **recipe: Any
) -> RunConfig:
    """Return a run of a small network on synthetic images, with so many steps in an epoch."""
    values: Mapping[str, Any] = {"dataset": "synthetic", "epochs": epochs, "batch_size": BATCH, "precision": "fp32"}
    return RunConfig(
        "small",
        network,
        replace(Recipe(), **{**values, **recipe}),
        hardware,
        DataSource(limit_train=steps * BATCH, limit_val=BATCH),
    )


def losses_by_step(run: RunDirectory) -> dict[int, float]:
    """Return the training loss that metrics.jsonl holds for each step; of repeated lines the last."""
    lines = LineReader(run.metrics_file).read_all()
    return {int(line["step"]): float(line["train/loss"]) for line in lines if "train/loss" in line}


def largest_difference(found: Mapping[int, float], reference: Mapping[int, float]) -> float:
    """Return the largest |found − reference| / |reference| over the steps; infinite where the steps differ."""
    if found.keys() != reference.keys() or not reference:
        return float("inf")
    return max(abs(found[step] - reference[step]) / abs(reference[step]) for step in reference)
