"""The training loop: one for a CPU, a GPU and any number of ranks.

No step waits for the device. Losses and correct answers gather there and are read when the ranks look up together,
about every 0.4 s; weights are kept from numbers that are not finite without being looked at (`guard`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from alexplore.presets.recipe import Recipe
from alexplore.presets.schedules import Plateau, learning_rate
from alexplore.runs.directory import RunDirectory
from alexplore.runs.protocol import CheckpointEvent, ControlEvent, EpochEvent, ExchangeEvent, WarningEvent
from alexplore.training import checkpoint
from alexplore.training.data import DataError, Dataset, Preprocess, damaged_text
from alexplore.training.errors import CheckpointError, NotFiniteError, Stopped
from alexplore.training.evaluate import Result, evaluate
from alexplore.training.metrics import StepLog, Tally, record_interval, recorded, tallies
from alexplore.training.model.build import logits
from alexplore.training.nonfinite import Guard
from alexplore.training.optim import set_learning_rate
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import TowerState, exchanged
from alexplore.training.precision import Precision
from alexplore.training.randomness import epoch_order, seed_for
from alexplore.training.run_writer import RunWriter
from alexplore.training.sync_points import Pulse, Wishes

PAUSE_SECONDS = 0.2
SAVING = ("stop", "checkpoint")  # requests that are granted by saving


class Objective(nn.Module):
    """A model with its loss: (inputs, labels) to the summed cross-entropy and the number of correct answers."""

    def __init__(self, model: nn.Module, recipe: Recipe, precision: Precision) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing = recipe.label_smoothing
        self.precision = precision

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Of one rank's share of a batch, which may be empty."""
        with self.precision.autocast():
            outputs = logits(self.model, inputs)
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        loss = F.cross_entropy(outputs, labels, reduction="sum", label_smoothing=self.label_smoothing)
        return loss, (outputs.argmax(1) == labels).sum()


@dataclass(frozen=True)
class Progress:
    """Where training is. Together with weights and optimizer, all that its future depends on."""

    step: int = 0  # updates made
    epoch: int = 0  # epochs trained and evaluated
    plateau: Plateau = field(default_factory=Plateau)
    best: float | None = None  # validation accuracy
    line: Tally = field(default_factory=Tally)  # since the last metrics line
    whole: Tally = field(default_factory=Tally)  # since the epoch began
    last_line: dict[str, float] = field(default_factory=dict)  # what the last metrics line said
    epoch_seconds: float = 0.0  # of training since the epoch began
    seconds: float = 0.0  # of training and evaluating, over all attempts

    def to_dict(self) -> dict[str, Any]:
        """As state.pt holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Progress:
        """The inverse of `to_dict`."""
        plain = {"plateau": Plateau(**values["plateau"])}
        return cls(**{**values, **plain, "line": Tally(**values["line"]), "whole": Tally(**values["whole"])})


class Trainer:
    """Trains a model from where `progress` is to the recipe's last epoch."""

    def __init__(
        self,
        *,
        run: RunDirectory,
        recipe: Recipe,
        dataset: Dataset,
        preprocess: Preprocess,
        model: nn.Module,
        objective: nn.Module,
        optimizer: Optimizer,
        guard: Guard,
        precision: Precision,
        held: checkpoint.WholeState | TowerState,
        macs: int,
        ranks: Ranks,
        pulse: Pulse,
        journal: RunWriter,
        progress: Progress,
    ) -> None:
        """`objective` wraps `model`, perhaps with the exchange of gradients between ranks."""
        self.run, self.recipe, self.dataset, self.preprocess = run, recipe, dataset, preprocess
        self.model, self.objective, self.optimizer, self.guard = model, objective, optimizer, guard
        self.precision, self.held = precision, held
        self.ranks, self.pulse, self.journal = ranks, pulse, journal
        self.progress = progress
        self.steps_per_epoch = -(-len(dataset.train) // recipe.batch_size)
        self.interval = record_interval(macs, recipe.batch_size, self.steps_per_epoch)
        self.log = StepLog(preprocess.device)
        self.clock = time.monotonic()
        self.saved_at = time.monotonic()
        self.rate = 0.0  # images a second
        self.unsaved: str | None = None  # why the last checkpoint could not be saved

    def train(self) -> None:
        """Train and evaluate, epoch after epoch.

        Raises:
            Stopped: it was asked to, and has saved a checkpoint.
            NotFiniteError: a loss or gradient is not finite.
            CheckpointError: what was trained last could not be saved.
            DataError: no image of a split could be read.
        """
        self._tell("running")
        while self.progress.epoch < self.recipe.epochs:
            self._train_epoch()
            self._close_epoch(self._evaluate())
        if self.unsaved:
            raise CheckpointError(f"{self.unsaved}; make room, and resume from the last checkpoint that could be saved")
        self.journal.end("finished")

    def _train_epoch(self) -> None:
        self.model.train()
        step = self.progress.step
        for images, labels in self._batches():
            rate = learning_rate(self.recipe, step, self.steps_per_epoch, self.progress.plateau.reductions)
            set_learning_rate(self.optimizer, rate)
            self.log.add(*self.step(images, labels, step))
            step += 1
            if self.pulse.due() or self.log.full:
                self._look()
        self._read()

    def step(self, images: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor, int, Tensor]:
        """One update by this rank's share of a batch; what `StepLog.add` takes. Reads nothing from the device."""
        size = self._batch_size(step)
        seed = seed_for(self.recipe.seed, "images", step)
        inputs = self.preprocess.train(images, seed, before=self.ranks.share(size).start)
        torch.manual_seed(seed_for(self.recipe.seed, "dropout", step, self.ranks.rank))
        loss, correct = self.objective(inputs, labels)
        broken = self.guard.step(loss, self.ranks.data_size / size)
        return loss, correct, len(labels), broken

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """This rank's shares of the batches of the epoch that are left; empty ones too, so that ranks keep step."""
        done = self.progress.step - self.progress.epoch * self.steps_per_epoch
        order = epoch_order(self.recipe.seed, self.progress.epoch, len(self.dataset.train))
        share = self.ranks.share_of_order(order, self.recipe.batch_size)
        batches = self.dataset.train.batches(share, self.ranks.share_size(self.recipe.batch_size), skip=done)
        for _ in range(done, self.steps_per_epoch):
            yield next(batches, None) or self._nothing()

    def _nothing(self) -> tuple[Tensor, Tensor]:
        shape = self.preprocess.channels, *self.preprocess.image_size
        device = self.preprocess.device
        return torch.empty(0, *shape, dtype=torch.uint8, device=device), torch.empty(
            0, dtype=torch.int64, device=device
        )

    def _batch_size(self, step: int) -> int:
        """Images in a step, over all ranks."""
        before = step % self.steps_per_epoch * self.recipe.batch_size
        return min(self.recipe.batch_size, len(self.dataset.train) - before)

    def _look(self) -> None:
        """Read what the steps came to, and do what is asked."""
        self._read()
        self._obey()

    def _read(self) -> None:
        """Bring progress up to the last step, and write the metrics lines that are due."""
        steps = tallies(self.ranks.sum(self.log.take()))
        elapsed = self._count_time()
        self.progress = replace(self.progress, epoch_seconds=self.progress.epoch_seconds + elapsed)
        if steps:
            self.rate = sum(tally.images for tally, _ in steps) / max(elapsed, 1e-6)
        for tally, broken in steps:
            at = self.progress
            if broken:
                raise NotFiniteError(
                    f"step {at.step + 1}: the loss or a gradient is not finite (loss {tally.mean_loss:g}). The weights "
                    f"were left as they were before it; {self._kept()}. Try a smaller lr, or fp32"
                )
            at = replace(at, step=at.step + 1, line=at.line.plus(tally), whole=at.whole.plus(tally))
            if recorded(at.step, self.interval, self.steps_per_epoch):
                at = replace(at, line=Tally(), last_line=self._write_line(at))
            self.progress = at
        self._tell("running")

    def _kept(self) -> str:
        there = (self.run.checkpoints_folder / checkpoint.LAST).is_dir()
        return "the last checkpoint is good" if there else "there is no checkpoint yet"

    def _write_line(self, at: Progress) -> dict[str, float]:
        values = {
            "train/loss": at.line.mean_loss,
            "train/acc": at.line.accuracy,
            "lr": learning_rate(self.recipe, at.step - 1, self.steps_per_epoch, at.plateau.reductions),
            "images_per_second": round(self.rate, 1),
        }
        self.journal.metrics(at.step, at.step / self.steps_per_epoch, values)
        return values

    def _evaluate(self) -> Result:
        def between() -> None:
            if self.pulse.due():
                self._tell("running")
                self._obey()

        result = evaluate(
            self.model,
            self.dataset.val,
            self.preprocess,
            self.precision,
            batch_size=self.recipe.batch_size,
            ranks=self.ranks,
            between=between,
        )
        self._count_time()
        return result

    def _close_epoch(self, result: Result) -> None:
        """Record an epoch's end, let the schedule see it, and save."""
        at = self.progress
        for part, images in (("training", at.whole.images), ("validation", result.images)):
            if not images:
                raise DataError(f"none of the {part} images could be read")
        values = result.values(len(self.dataset.classes))
        epoch = at.epoch + 1
        damaged = self._count_damaged()
        self.journal.metrics(at.step, epoch, {**at.last_line, **values})
        metrics = {
            "train/loss": at.whole.mean_loss,
            "train/acc": at.whole.accuracy,
            **values,
            "images_per_second": round(at.whole.images / max(at.epoch_seconds, 1e-6), 1),
        }
        self.journal.event(EpochEvent(epoch, at.step, metrics, round(at.seconds, 3), damaged))
        if self.ranks.towers:
            self.journal.event(ExchangeEvent(exchanged(self.model)))
        best = at.best is None or result.accuracy > at.best
        self.progress = replace(
            at,
            epoch=epoch,
            plateau=at.plateau.after(1 - result.accuracy, self.recipe),
            best=result.accuracy if best else at.best,
            whole=Tally(),
            epoch_seconds=0.0,
        )
        self._save(best=best)
        if self.unsaved:  # what is not there is not to be surpassed
            self.progress = replace(self.progress, best=at.best)
        self._tell("running")

    def _count_damaged(self) -> int:
        """How many images could not be read so far; those that other ranks met are told here."""
        count = 0
        for split in (self.dataset.train, self.dataset.val):
            met = self.ranks.union(split.damaged)
            for path in met.keys() - split.damaged.keys():
                self.journal.event(WarningEvent(damaged_text(path, met[path])))
            split.damaged.update(met)
            count += len(met)
        return count

    def _obey(self) -> None:
        """Do what is asked: save, pause, stop."""
        minutes = (time.monotonic() - self.saved_at) / 60
        wishes = self.pulse.look(checkpoint=minutes > self.recipe.checkpoint_minutes and self.ranks.rank == 0)
        self._grant(wishes)
        if wishes.paused:
            self._pause()

    def _pause(self) -> None:
        self._tell("paused")
        started = time.monotonic()
        while True:
            time.sleep(PAUSE_SECONDS)
            wishes = self.pulse.look()
            self._grant(wishes)
            if not wishes.paused:
                break
        self.clock += time.monotonic() - started
        self._tell("running")

    def _grant(self, wishes: Wishes) -> None:
        """Save and stop where that is wished, and answer."""
        if wishes.stop or wishes.checkpoint:
            self._save()
        for request in wishes.requests:
            error = self.unsaved if request.action in SAVING else None
            self.journal.event(ControlEvent(request.id, request.action, self.progress.step, error))
        if wishes.stop:
            raise Stopped(self.unsaved)

    def _save(self, *, best: bool = False) -> None:
        """Save a checkpoint; a full disk is told, and training goes on with the last good one."""
        at, self.unsaved = self.progress, None
        started = time.monotonic()
        weights, optimizer = self.held.collect(self.model, self.optimizer)
        if self.ranks.rank == 0:
            state = {
                "progress": at.to_dict(),
                "optimizer": optimizer,
                "guard": self.guard.state(),
                "precision": self.precision.name,
            }
            where = {"step": at.step, "epoch": at.epoch, "val/acc": at.best}
            try:
                checkpoint.save(self.run.checkpoints_folder, weights, state, best=best, **where)
            except CheckpointError as error:
                self.unsaved = f"no checkpoint at step {at.step}: {error}"
                self.journal.event(WarningEvent(self.unsaved))
            else:
                seconds = round(time.monotonic() - started, 3)
                self.journal.event(CheckpointEvent(at.step, at.epoch, best, seconds))
        self.journal.sync()
        self.saved_at = time.monotonic()
        self.clock += self.saved_at - started

    def _count_time(self) -> float:
        """Seconds of work since this was last asked, without pauses and saving; added to progress."""
        now = time.monotonic()
        elapsed, self.clock = now - self.clock, now
        self.progress = replace(self.progress, seconds=self.progress.seconds + elapsed)
        return elapsed

    def _tell(self, state: str) -> None:
        self.journal.at(state, self.progress.step, self.progress.step / self.steps_per_epoch)
