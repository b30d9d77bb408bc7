"""Runs side by side: only what differs in what was asked for, then what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alexplore.core.settings import toml_text
from alexplore.runs.watch import Snapshot

LAST = ("train/loss", "train/acc", "val/loss", "val/acc")
FORMATS = {
    "epoch": ".2f",
    **dict.fromkeys(("best validation accuracy", *LAST), ".4f"),
    "images per second": ",.0f",
}
"""How the numbers that came of a run are printed."""


def compare_runs(snapshots: Sequence[Snapshot]) -> list[tuple[str, list[Any]]]:
    """Rows of a name and a value for each run; None where a run has none."""
    asked = [_asked(snapshot) for snapshot in snapshots]
    keys = list(dict.fromkeys(key for one in asked for key in one))
    rows = [(key, [one.get(key) for one in asked]) for key in keys]
    differing = [(key, values) for key, values in rows if any(value != values[0] for value in values)]
    came = [_came(snapshot) for snapshot in snapshots]
    return [*differing, *((key, [one[key] for one in came]) for key in came[0])]


def value_text(key: str, value: Any) -> str:
    """A value of a row as a table has it: what was asked for exactly, what came of it as everywhere else."""
    match value:
        case None:
            return "–"
        case str():
            return value
        case float() if key in FORMATS:
            return f"{value:{FORMATS[key]}}"
        case _:
            return toml_text(value)


def _asked(snapshot: Snapshot) -> dict[str, Any]:
    config = snapshot.config
    layers = {
        f"layer {layer.name}": f"{layer.type} {layer.settings(defaults=False)}" for layer in config.network.layers
    }
    return {
        "preset": config.preset,
        "input": config.network.to_dict()["input"],
        "towers": config.network.towers,
        **config.recipe.to_dict(),
        **config.means(),
        **layers,
    }


def _came(snapshot: Snapshot) -> dict[str, Any]:
    last = snapshot.epochs[-1].values if snapshot.epochs else {}
    return {
        "state": snapshot.status.state,
        "epoch": round(snapshot.status.epoch, 3),
        "best validation accuracy": snapshot.best,
        **{key: last.get(key) for key in LAST},
        "images per second": snapshot.images_per_second,
    }
