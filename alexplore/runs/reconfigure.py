"""Change the recipe of a run, the folder of its data, or its hardware, before it is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alexplore.core.atomic_files import write_atomically
from alexplore.core.settings import SettingError
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.status import in_training_error, read_status

CHANGEABLE = (
    "epochs", "lr", "momentum", "weight_decay", "bias_lr", "schedule", "warmup_epochs", "step_epochs", "gamma",
    "patience", "reductions", "label_smoothing", "clip_grad_norm", "micro_batch_size", "class_weights",
    "early_stopping", "precision", "horizontal_flip", "color_noise", "checkpoint_minutes",
    "deterministic",
)  # fmt: skip
"""Keys of a recipe that may change before resuming: batches, weights and the optimizer's state stay valid."""

MOVABLE = ("folder", "device", "gpus")
"""Settings of the data and the hardware that may change before resuming."""


def changed_config(run: RunDirectory, changes: Mapping[str, Any]) -> RunConfig:
    """Return a run's config with other values of some settings; nothing is written.

    Raises:
        SettingError: a key is unknown or can't be changed any more, or a value is not allowed.
        RunError: a worker trains the run.
    """
    changed = run.config().change(changes)
    if fixed := [key for key in changes if key not in (*CHANGEABLE, *MOVABLE)]:
        raise SettingError(
            f"{', '.join(fixed)} can't be changed in a run that has begun; allowed: {', '.join(CHANGEABLE)}, and "
            "--data, --device and --gpus. Start a new run for it"
        )
    if read_status(run).live:
        raise in_training_error(run)
    return changed


def write_config(run: RunDirectory, config: RunConfig) -> None:
    """Write the config of a run that is not being trained.

    Raises:
        RunError: a worker has begun to train the run, or the file can't be written.
    """
    if read_status(run).live:
        raise in_training_error(run)
    try:
        write_atomically(run.config_file, config.to_json())
    except OSError as error:
        raise RunError(f"{run.config_file}: {error.strerror}", failure=True) from None
