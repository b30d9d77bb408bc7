"""Run the worker's training loop in the process of a benchmark, on data that the benchmark makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.protocol import PrecisionEvent, StartEvent
from alexplore.training import loop, session
from alexplore.training.data.dataset import Dataset, ResidentSplit
from alexplore.training.parallel.ranks import SINGLE_RANK
from alexplore.training.run_writer import History, RunWriter, read_history
from alexplore.training.signals import Signals


class RepeatedSplit:
    """A split of any length that repeats a few images on the device."""

    def __init__(self, images: Tensor, labels: Tensor, length: int, device: torch.device) -> None:
        self._images = ResidentSplit(images, labels, device)
        self.labels = labels.repeat(-(-length // len(labels)))[:length]
        self.damaged: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: Tensor, batch_size: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches as `alexplore.training.data.Split` does."""
        return self._images.batches(order % len(self._images), batch_size, skip)

    def path(self, index: int) -> str | None:
        """Return None, as `alexplore.training.data.Split` does for images without files."""
        return None


class NoSignals(Signals):
    """Signals of a worker in a process that handles its signals itself."""

    def __init__(self) -> None:
        self.stop = False


def train_here(config: RunConfig, folder: Path, name: str, device: torch.device) -> RunDirectory:
    """Train a run in this process, as a worker would, and return its directory."""
    run = create_run(config, folder, name)
    _train(run, config, device)
    return run


def open_trainer(
    config: RunConfig, folder: Path, name: str, device: torch.device, dataset: Dataset | None = None
) -> tuple[loop.Trainer, History]:
    """Return the worker's trainer, stopped where its first epoch would start, and its events.

    It trains on `dataset`, if given, instead of the recipe's data set.
    """
    opened: list[loop.Trainer] = []
    run = create_run(config, folder, name)
    if config.recipe.precision != "auto":
        # As if an earlier attempt had chosen the precision, so that its peak is not measured for every trainer.
        RunWriter(run, 0).event(PrecisionEvent(config.recipe.precision, device.type, peak_flops=0.0))
    training = patch.object(loop.Trainer, "train", lambda self: opened.append(self))  # noqa: PLW0108 (a method is bound)
    opening = patch.object(session, "open_dataset", lambda *_: dataset) if dataset else nullcontext()
    with training, opening:
        _train(run, config, device)
    return opened[0], read_history(run)


def _train(run: RunDirectory, config: RunConfig, device: torch.device) -> None:
    history = read_history(run)
    session.train(run, config, SINGLE_RANK, device, RunWriter(run, history.attempts), history, NoSignals())


def flops_per_image(history: History) -> int:
    """Return the floating-point operations of a training step for one image, from the worker's event."""
    start = history.last(StartEvent)
    assert start is not None
    return start.flops_per_image


def restart_epoch(trainer: loop.Trainer) -> None:
    """Set the trainer to the start of its epoch."""
    trainer.progress = replace(trainer.progress, step=trainer.progress.epoch_start)


def train_steps(trainer: loop.Trainer, steps: int) -> None:
    """Continue an epoch by `steps` batches, from its middle on; when too few are left, go back to its middle.

    At the start of a run more steps measure layers than later.
    """
    at, middle = trainer.progress, trainer.steps_per_epoch // 2
    done = at.step - at.epoch_start
    if not middle <= done <= trainer.steps_per_epoch - steps:
        trainer.progress = replace(at, step=at.epoch_start + middle)
    batches = islice(trainer._batches(), steps)
    with patch.object(trainer, "_batches", lambda: batches):
        trainer._train_epoch()


def train_epoch(trainer: loop.Trainer) -> None:
    """Run the loop over all training images once: batches, preprocessing, updates, metrics, requests."""
    restart_epoch(trainer)
    trainer._train_epoch()
