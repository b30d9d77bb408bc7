"""A run's trained network, ready to be asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from alexplore.network.settings import SettingError
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.training import checkpoint
from alexplore.training.build import build
from alexplore.training.data import DataError, Dataset, read_dataset
from alexplore.training.errors import CheckpointError, TrainingError, UsageError
from alexplore.training.machine import choose_device


@dataclass(frozen=True)
class Trained:
    """A model in evaluation mode on its device, and what it was trained with."""

    run: RunDirectory
    config: RunConfig
    model: nn.Module
    device: torch.device
    weights: Path


def load_trained(run: RunDirectory, weights: Path | None) -> Trained:
    """The run's network with the weights of a file, else its best checkpoint's, else its last one's.

    Raises:
        TrainingError: there are no weights, they are damaged, or they don't fit the network.
    """
    config = run.config()
    device = choose_device(config.hardware)
    folder = next(
        (run.checkpoints_folder / name for name in (checkpoint.BEST, checkpoint.LAST, checkpoint.PREVIOUS)
         if (run.checkpoints_folder / name).is_dir()), None,
    )  # fmt: skip
    if weights is None and folder is None:
        raise UsageError(f"{run.name} has no checkpoint yet; train it, or give --weights FILE")
    source = weights or Path(str(folder)) / checkpoint.WEIGHTS
    tensors = checkpoint.read_weights(weights) if weights else checkpoint.read(Path(str(folder))).weights
    model = build(config.network)
    fit(model, tensors, source)
    return Trained(run, config, model.eval().to(device), device, source)


def fit(model: nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Load weights by name; where the names differ, in order, if every shape agrees (torchvision's are `features.0.…`).

    Raises:
        CheckpointError: number or shapes differ; the message names the first.
    """
    own = model.state_dict()
    if set(own) != set(tensors):
        if len(own) != len(tensors):
            raise CheckpointError(f"{source}: holds {len(tensors)} tensors, the network has {len(own)}")
        tensors = dict(zip(own, tensors.values(), strict=True))
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            there, here = "×".join(map(str, tensor.shape)), "×".join(map(str, own[name].shape))
            raise CheckpointError(f"{source}: {name} is {there}, the network's is {here}")
    model.load_state_dict(tensors)


def dataset_of(run: RunDirectory) -> Dataset:
    """What the run's data set was like, without its images.

    Raises:
        UsageError: the run never began.
    """
    try:
        return read_dataset(json.loads(run.dataset_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{run.name} has no {run.dataset_file.name}: it was never trained") from None


def main(command: Callable[[], int]) -> None:
    """Run a command; what goes wrong is told in one message, with exit code 1, or 2 for wrong use."""
    try:
        code = command()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except (TrainingError, DataError, SettingError, RunError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
