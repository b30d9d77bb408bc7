"""Runs side by side: the settings that differ, then the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from alexplore.core.settings import toml_text
from alexplore.runs.config import RunConfig
from alexplore.runs.messages import change_text, progress_text, state_text
from alexplore.runs.metrics import METRICS, Metric
from alexplore.runs.protocol import ChangeEvent, StartEvent
from alexplore.runs.watch import Snapshot


@dataclass(frozen=True)
class ComparedRow:
    """One setting or result: its name, its value in each run (None where a run has none), and the values as text."""

    name: str
    values: tuple[Any, ...]
    texts: tuple[str, ...]


def compare_runs(snapshots: Sequence[Snapshot]) -> list[ComparedRow]:
    """Return the settings whose values differ, what differed as they trained, and the results.

    Metrics are in the order of `METRICS`.
    """
    configs = [snapshot.config for snapshot in snapshots]
    return [*compare_configs(configs), *_compare_training(snapshots), *_compare_results(snapshots)]


def compare_configs(configs: Sequence[RunConfig]) -> list[ComparedRow]:
    """Return the settings whose values differ, then those of layers."""
    return [*_compare_settings(configs), *_compare_layers(configs)]


def differ_only_in_seed(one: RunConfig, other: RunConfig) -> bool:
    """Return whether two configs are equal when their seeds are ignored."""
    return one == replace(other, recipe=replace(other.recipe, seed=one.recipe.seed))


def _compare_settings(configs: Sequence[RunConfig]) -> list[ComparedRow]:
    settings = [
        {
            "preset": config.preset,
            "input": list(config.network.input),
            "towers": config.network.towers,
            **config.recipe.to_dict(),
            **config.options(),
        }
        for config in configs
    ]
    return _differing(settings)


def _compare_layers(configs: Sequence[RunConfig]) -> list[ComparedRow]:
    """Return a row for each differing setting of a layer that all runs have; one row for any other layer."""
    networks = [{layer.name: layer for layer in config.network.layers} for config in configs]
    rows = []
    for name in dict.fromkeys(name for layers in networks for name in layers):
        layers = [layers.get(name) for layers in networks]
        there = [layer for layer in layers if layer is not None]
        if len(there) == len(layers) and len({layer.type for layer in there}) == 1:
            rows += _differing([{f"{name}.{key}": value for key, value in layer.settings().items()} for layer in there])
        else:
            texts = [None if layer is None else f"{layer.type} {layer.summary()}".rstrip() for layer in layers]
            rows.append(ComparedRow(f"layer {name}", tuple(texts), tuple(text or "–" for text in texts)))
    return rows


def _compare_training(snapshots: Sequence[Snapshot]) -> list[ComparedRow]:
    """Return the precisions that `auto` chose, and the changes that were made during the training, if they differ."""
    starts = [snapshot.last(StartEvent) for snapshot in snapshots]
    return _differing(
        [
            {"trained in": start.precision if start else None, "changed": _changes_text(snapshot.config)}
            for start, snapshot in zip(starts, snapshots, strict=True)
        ]
    )


def _changes_text(config: RunConfig) -> str | None:
    changes = (ChangeEvent(change.step, change.before, change.after) for change in config.changes)
    return ", ".join(map(change_text, changes)) or None


def _compare_results(snapshots: Sequence[Snapshot]) -> list[ComparedRow]:
    best = METRICS["val/acc"]
    results = [metric for metric in METRICS.values() if metric.higher_is_better is not None]
    values = {metric: [_result(snapshot, metric) for snapshot in snapshots] for metric in results}
    return [
        ComparedRow(
            "state",
            tuple(snapshot.status.state for snapshot in snapshots),
            tuple(state_text(snapshot.status) for snapshot in snapshots),
        ),
        ComparedRow(
            "epoch",
            tuple(round(snapshot.status.epoch, 3) for snapshot in snapshots),
            tuple(progress_text(snapshot) for snapshot in snapshots),
        ),
        _metric_row(f"best {best.title}", best, [snapshot.best for snapshot in snapshots]),
        *(
            _metric_row(metric.key, metric, values[metric])
            for metric in results
            if any(value is not None for value in values[metric])
        ),
    ]


def _result(snapshot: Snapshot, metric: Metric) -> float | None:
    """Return a metric's mean over the last finished epoch, if there is one, else its last value; of speeds the last."""
    of_epoch = snapshot.epochs[-1].metrics if snapshot.epochs and "/" in metric.key else {}
    return of_epoch.get(metric.key, snapshot.latest.get(metric.key))


def _metric_row(name: str, metric: Metric, values: Sequence[float | None]) -> ComparedRow:
    return ComparedRow(name, tuple(values), tuple(metric.number(value) for value in values))


def _differing(settings: Sequence[dict[str, Any]]) -> list[ComparedRow]:
    keys = dict.fromkeys(key for one in settings for key in one)
    rows = ((key, tuple(one.get(key) for one in settings)) for key in keys)
    return [
        ComparedRow(key, values, tuple("–" if value is None else _setting_text(value) for value in values))
        for key, values in rows
        if any(value != values[0] for value in values)
    ]


def _setting_text(value: Any) -> str:
    return value if isinstance(value, str) else toml_text(value)
