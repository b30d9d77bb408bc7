"""Changing the recipe of a run before it is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alexplore.core.atomic_files import write_atomically
from alexplore.core.settings import SettingError
from alexplore.presets.recipe import change_recipe
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.status import read_status

CHANGEABLE = (
    "epochs", "lr", "momentum", "weight_decay", "bias_lr", "schedule", "warmup_epochs", "step_epochs", "gamma",
    "patience", "reductions", "label_smoothing", "precision", "horizontal_flip", "color_noise", "checkpoint_minutes",
)  # fmt: skip
"""Keys of a recipe that checkpoints don't depend on: batches, weights and the optimizer's state keep their meaning."""


def change_run(run: RunDirectory, changes: Mapping[str, Any]) -> None:
    """Change a run's recipe in its config.json; a resumed run follows it from the last checkpoint on.

    Raises:
        SettingError: a key is unknown or can't be changed any more, or a value is not allowed.
        RunError: a worker trains the run, or the file can't be written.
    """
    config = run.config()
    changed = replace(config, recipe=change_recipe(config.recipe, changes))
    if fixed := [key for key in changes if key not in CHANGEABLE]:
        raise SettingError(
            f"{', '.join(fixed)} can't be changed in a run that has begun; allowed: {', '.join(CHANGEABLE)}. "
            "Start a new run for it"
        )
    if read_status(run).live:
        raise RunError(f"{run.name} is being trained; stop it first with: {run.command('stop')}")
    try:
        write_atomically(run.config_file, changed.to_json())
    except OSError as error:
        raise RunError(f"{run.config_file}: {error.strerror}", failure=True) from None
