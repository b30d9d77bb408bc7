"""Runs side by side: only what differs in what was asked for, then what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alexplore.runs.watch import Snapshot


def compare_runs(snapshots: Sequence[Snapshot]) -> list[tuple[str, list[Any]]]:
    """Rows of a name and a value for each run; None where a run has none."""
    asked = [_asked(snapshot) for snapshot in snapshots]
    keys = list(dict.fromkeys(key for one in asked for key in one))
    rows = [(key, [one.get(key) for one in asked]) for key in keys]
    differing = [(key, values) for key, values in rows if any(value != values[0] for value in values)]
    came = [_came(snapshot) for snapshot in snapshots]
    return [*differing, *((key, [one[key] for one in came]) for key in came[0])]


def _asked(snapshot: Snapshot) -> dict[str, Any]:
    config = snapshot.config
    layers = {
        f"layer {layer.name}": f"{layer.type} {layer.settings(defaults=False)}" for layer in config.network.layers
    }
    return {"preset": config.preset, "input": config.network.to_dict()["input"], **config.recipe.to_dict(), **layers}


def _came(snapshot: Snapshot) -> dict[str, Any]:
    last = snapshot.epochs[-1].values if snapshot.epochs else {}
    return {
        "state": snapshot.status.state,
        "epoch": round(snapshot.status.epoch, 3),
        "best validation accuracy": snapshot.best,
        **{key: last.get(key) for key in ("train/loss", "train/acc", "val/loss", "val/acc")},
        "images per second": snapshot.images_per_second,
    }
