"""The training loop: the same for a CPU, a GPU and any number of ranks.

No step waits for the device. Losses and numbers of correct predictions are summed on the device, and read at sync
points, about every 0.4 s. `NonfiniteGuard` keeps values that are not finite away from the weights without reading them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from alexplore.presets.recipe import Recipe
from alexplore.presets.schedules import learning_rate
from alexplore.runs.control import Request
from alexplore.runs.data.errors import DataError
from alexplore.runs.directory import RunDirectory
from alexplore.runs.protocol import (
    CheckpointEvent,
    ControlEvent,
    EpochEvent,
    EvaluationEvent,
    ExchangeEvent,
    WarningEvent,
)
from alexplore.training import checkpoint
from alexplore.training.averaging import Averaging
from alexplore.training.batch_statistics import estimate_statistics
from alexplore.training.class_weights import LossDivisor
from alexplore.training.compute_setup import ComputeSetup
from alexplore.training.cuda_graphs import CapturedWork, Results, make_capture
from alexplore.training.data.dataset import Dataset, damaged_text
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.early_stopping import is_better, why_stopped
from alexplore.training.errors import CheckpointError, GoneError, NotFiniteError, Stopped, gone_text
from alexplore.training.evaluate import EpochResult, evaluate
from alexplore.training.hardware import first_steps_text
from alexplore.training.inside.layer_figures import is_measured
from alexplore.training.inside.recorder import Recorder
from alexplore.training.kernels.table import NONE
from alexplore.training.machine.sampler import MachineSampler
from alexplore.training.metrics import StepLog, Tally, is_recorded, read_steps, record_interval, step_row
from alexplore.training.micro_batches import MicroBatches
from alexplore.training.nonfinite import NonfiniteGuard, find_nonfinite, optimizer_tensors
from alexplore.training.optim import set_learning_rate
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import TowerState, exchanged
from alexplore.training.precision import Precision
from alexplore.training.progress import Progress
from alexplore.training.randomness import seed_for, seed_generators
from alexplore.training.run_writer import RunWriter
from alexplore.training.sampling import Sampler
from alexplore.training.speedometer import Speedometer
from alexplore.training.steering import Steering
from alexplore.training.step_timer import TIMED_AN_EPOCH, StepTimer, TimeLog
from alexplore.training.sync_points import AgreedActions, SyncPoints
from alexplore.training.whole_state import WholeState

PAUSE_SECONDS = 0.2
"""Seconds between two sync points during a pause."""

SAVING = ("stop", "checkpoint")
"""Requests that are acknowledged after a checkpoint is saved."""

LATER = ("set", "evaluate")
"""Requests that are acknowledged by the code that carries them out."""

NEW_LAYERS = "new_layers"
"""The key in state.pt of the layers that train at the rate of a new head."""

STATISTICS_IMAGES = 16_384
"""The most training images from which the statistics of the batch norms of averaged weights are estimated."""


class Trainer:
    """Trains a model from `progress` to the recipe's last epoch."""

    def __init__(
        self,
        *,
        run: RunDirectory,
        recipe: Recipe,
        dataset: Dataset,
        preprocess: Preprocess,
        model: nn.Module,
        averaging: Averaging,
        new_layers: Sequence[str] = (),
        micro_batches: MicroBatches,
        loss_divisor: LossDivisor,
        optimizer: Optimizer,
        guard: NonfiniteGuard,
        precision: Precision,
        state: WholeState | TowerState,
        setup: ComputeSetup,
        macs: int,
        recorder: Recorder,
        machine: MachineSampler,
        timer: StepTimer,
        ranks: Ranks,
        sync_points: SyncPoints,
        steering: Steering,
        writer: RunWriter,
        progress: Progress,
    ) -> None:
        """`averaging` has the model that is evaluated and saved, `micro_batches` computes the gradients of `model`.
        `new_layers` are those that train at the rate of a new head; checkpoints contain their names.

        `loss_divisor` returns the divisor of a batch's loss. `macs` is the number of MACs of the network for one image.
        `state` collects the weights and the optimizer state for checkpoints. `recorder` records the inside of the
        network, `machine` samples the machine, and `timer` times the parts of a step. `recipe` is the current one,
        which `steering` may change.
        """
        self.run, self.recipe, self.dataset, self.preprocess = run, recipe, dataset, preprocess
        self.model, self.averaging, self.optimizer, self.guard = model, averaging, optimizer, guard
        self.new_layers = tuple(new_layers)
        self.micro_batches, self.loss_divisor = micro_batches, loss_divisor
        self.sampler = Sampler(recipe, dataset.train.labels)
        self.precision, self.state, self.setup = precision, state, setup
        self.recorder, self.machine = recorder, machine
        self.timer, self.times = timer, TimeLog(ranks)
        self.ranks, self.sync_points, self.steering, self.writer = ranks, sync_points, steering, writer
        self.progress = progress
        self.steps_per_epoch = -(-len(dataset.train) // recipe.batch_size)
        self.interval = record_interval(macs, recipe.batch_size, self.steps_per_epoch)
        self.log = StepLog(preprocess.device)
        self.captured = CapturedWork(
            make_capture(preprocess.device, ranks.size, setup.kernels or NONE), self._report_uncaptured
        )
        self.clock = time.monotonic()
        self.saved_at = time.monotonic()
        self.speedometer = Speedometer()
        self.unsaved: str | None = None  # why the last checkpoint could not be saved
        self.evaluates = False  # as requested, at the next step
        self.evaluations: list[Request] = []  # that rank 0 acknowledges then
        self.stops_after_epoch = False

    def train(self) -> None:
        """Train and evaluate, epoch by epoch, until all are done or early stopping ends the training.

        Raises:
            Stopped: a stop was requested; a checkpoint is saved.
            NotFiniteError: a loss or gradient is not finite.
            CheckpointError: the last epoch could not be saved.
            DataError: no image of a split could be read.
            GoneError: the run's directory was removed or renamed.
        """
        activity = first_steps_text(self.preprocess.device)  # until the first metrics
        self._update_status("starting" if activity else "running", activity)
        self.recorder.remove_after(self.progress.epoch)
        while not (reason := self._why_stopped()) and self.progress.epoch < self.recipe.epochs:
            self.machine.start_epoch(self.progress.whole.images)
            self._train_epoch()
            self._average_epoch()
            trained = self.progress.seconds
            evaluation = self._evaluate()
            self.captured.beside(self._record)
            self._count_time()
            self._end_epoch(evaluation, self.progress.seconds - trained)
            if self.stops_after_epoch and self.progress.epoch < self.recipe.epochs:
                raise Stopped(self.unsaved)
        if self.unsaved:
            raise CheckpointError(f"{self.unsaved}; make room, and resume from the last checkpoint that could be saved")
        self.writer.end("finished", reason)

    def _record(self) -> None:
        """Record what the network looks like after the epoch."""
        self.recorder.record(self.progress.epoch + 1, self.progress.step, self.progress.last_line)

    def _why_stopped(self) -> str | None:
        return why_stopped(self.recipe, self.progress.waited, self.progress.best)

    def _train_epoch(self) -> None:
        self.model.train()
        step = self.progress.step
        self.timer.start()
        for images, labels in self._batches():
            self.recipe = self.steering.advance(step)
            rate = self._learning_rate(self.progress, step)
            set_learning_rate(self.optimizer, rate)
            self.log.add(*self.step(images, labels, step))
            step += 1
            self.timer.end_step()
            if self.sync_points.step() or self.log.full:
                self.timer.stop()
                self._sync()
                self.timer.start()
        self.timer.stop()
        self._read_metrics()
        self.recipe = self.steering.advance(self.progress.step)

    def _average_epoch(self) -> None:
        """Add the epoch's weights to the average, and estimate the statistics of its batch norms again."""
        at, recipe = self.progress, self.recipe
        if not self.averaging.end_epoch(at.step, recipe.epochs - at.epoch - 1):
            return
        order = self.sampler.order(at.epoch)[:STATISTICS_IMAGES]
        size = recipe.images_at_once(self.ranks.data_size)
        share = self.ranks.share_of_order(order, size)

        def inputs() -> Iterator[Tensor]:
            batches = self.dataset.train.batches(share, self.ranks.share_size(size))
            for number, chosen in enumerate(torch.split(order, size)):
                self.sync_points.report_progress()
                images, _ = next(batches, None) or self._empty_batch()
                torch.manual_seed(seed_for(recipe.seed, f"statistics {number}", at.step, self.ranks.rank))
                seed = seed_for(recipe.seed, f"statistics {number}", at.step)
                yield self.preprocess.train(images, seed, before=self.ranks.share(len(chosen)).start)

        self.captured.beside(lambda: estimate_statistics(self.averaging.evaluated, inputs(), self.precision))
        self._count_time()

    def step(self, images: Tensor, labels: Tensor, step: int) -> tuple[Tensor, int, float]:
        """Do one update with this rank's share of a batch, and return the arguments of `StepLog.add`.

        Nothing is read from the device.
        """
        self.timer.enter("copy")
        batch = self._batch(step)
        size, divisor = len(batch), self.loss_divisor.of(batch)
        seed = seed_for(self.recipe.seed, "images", step)
        drawn = self.preprocess.draw(len(images), seed, before=self.ranks.share(size).start)
        seed_generators(seed_for(self.recipe.seed, "dropout", step, self.ranks.rank), self.preprocess.device)
        share = self.guard.number(self.ranks.data_size / divisor)
        place = self._nominal_step(self.progress, step + 1)
        measured = self.recorder.is_measured(place, self.interval, self.steps_per_epoch)
        self.timer.whole_steps = self.captured.active
        if self.captured.active:
            self.timer.enter("step")
        row, *figures = self.captured.run(
            (size, measured), partial(self._update, size, measured), images, labels, share, *drawn
        )
        self.timer.enter("other")
        for measurement in figures:
            self.recorder.keep(step + 1, measurement.clone())
        self.averaging.update(step)
        return row, len(labels), size / divisor

    def _update(
        self, size: int, measured: bool, images: Tensor, labels: Tensor, share: Tensor, *drawn: Tensor
    ) -> Results:
        """Do the computations of a step on the device, which may be captured: see `cuda_graphs`.

        Return the step's row for the log and, if the layers are measured, theirs.
        """
        inputs = self.preprocess.augmented(images, drawn)
        with self.recorder.measuring() if measured else nullcontext() as measurement:
            loss, correct = self.micro_batches.gradients(inputs, labels, size, share)
            self.timer.enter("optimizer")
            failed = self.guard.update(measurement.before_update if measurement else None)
        row = step_row(loss, correct, failed)
        return (row, measurement.row()) if measurement else (row,)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this rank's share of each remaining batch; it may be empty, so that all ranks do the same steps."""
        done = self.progress.step - self.progress.epoch_start
        share = self.ranks.share_of_order(self.sampler.order(self.progress.epoch), self.recipe.batch_size)
        batches = self.dataset.train.batches(share, self.ranks.share_size(self.recipe.batch_size), skip=done)
        for _ in range(done, self.steps_per_epoch):
            yield next(batches, None) or self._empty_batch()

    def _empty_batch(self) -> tuple[Tensor, Tensor]:
        shape = self.preprocess.channels, *self.preprocess.image_size
        device = self.preprocess.device
        return torch.empty(0, *shape, dtype=torch.uint8, device=device), torch.empty(
            0, dtype=torch.int64, device=device
        )

    def _batch(self, step: int) -> Tensor:
        """Return the indices of the images in a step, over all ranks."""
        before = (step - self.progress.epoch_start) % self.steps_per_epoch * self.recipe.batch_size
        return self.sampler.order(self.progress.epoch)[before : before + self.recipe.batch_size]

    def _sync(self) -> None:
        """Read the metrics of the steps since the last sync point, and handle requests."""
        self._read_metrics()
        self._handle_requests()
        if self.evaluates:
            self._evaluate_now()

    def _read_metrics(self) -> None:
        """Advance `progress` to the last step, and write the metrics lines that are due."""
        steps = read_steps(self.ranks.sum(self.log.take()))
        figures = self.recorder.take_figures()
        self.times.add(self.timer.take())
        elapsed = self._count_time()
        self.progress = replace(self.progress, epoch_seconds=self.progress.epoch_seconds + elapsed)
        if steps:
            self.speedometer.add(sum(tally.images for tally, _ in steps), elapsed)
        for tally, failed in steps:
            at = self.progress
            if failed:
                raise NotFiniteError(
                    f"step {at.step + 1}: {self._nonfinite_text(tally)}. The weights were left as they were before it; "
                    f"{self._last_checkpoint()}. Try a smaller lr, or fp32"
                )
            at = replace(at, step=at.step + 1, line=at.line.plus(tally), whole=at.whole.plus(tally))
            place = self._nominal_step(at, at.step), self.interval, self.steps_per_epoch
            if is_recorded(*place):
                also = {**self.machine.take(), **(self.times.take() if is_measured(*place, TIMED_AN_EPOCH) else {})}
                at = replace(at, line=Tally(), last_line=self._write_line(at, figures.get(at.step, {}), also))
            self.progress = at
        self._update_status("running")

    def _nonfinite_text(self, tally: Tally) -> str:
        """Return what is not finite in a failed step: a buffer, by its name, or else the loss or a gradient."""
        own = find_nonfinite(self.model.named_buffers())
        found = self.ranks.merge({} if own is None else {own: True})
        if found:
            return f"the buffer {min(found)} is not finite (loss {tally.mean_loss:g})"
        return f"the loss or a gradient is not finite (loss {tally.mean_loss:g})"

    def _check_finite(self) -> None:
        """Check everything that a checkpoint contains.

        Raises:
            NotFiniteError: a value is not finite on one of the ranks.
        """
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.model.named_parameters()}
        tensors = chain(
            self.model.state_dict().items(),
            self.averaging.evaluated.state_dict().items(),
            optimizer_tensors(self.optimizer, names),
        )
        own = find_nonfinite(tensors)
        if found := self.ranks.merge({} if own is None else {own: True}):
            raise NotFiniteError(
                f"step {self.progress.step}: {min(found)} is not finite, so no checkpoint was saved; "
                f"{self._last_checkpoint()}. Try a smaller lr, or fp32"
            )

    def _last_checkpoint(self) -> str:
        return "the last checkpoint is good" if self.run.has_checkpoint else "there is no checkpoint yet"

    def _write_line(self, at: Progress, figures: Mapping[str, float], also: Mapping[str, float]) -> dict[str, float]:
        """Write the metrics of the last steps with `also`, and return them without it."""
        values = {
            **at.line.values(),
            "lr": self._learning_rate(at, at.step - 1),
            "images_per_second": round(self.speedometer.images_per_second, 1),
            **figures,
        }
        self.writer.metrics(at.step, self._epochs(at), {**values, **also})
        return values

    def _nominal_step(self, at: Progress, step: int) -> int:
        """Return the number of a step in the epoch of `at`, counted as if all epochs were as long as this one."""
        return at.epoch * self.steps_per_epoch + step - at.epoch_start

    def _epochs(self, at: Progress) -> float:
        """Return the number of epochs trained, with the fraction of the current one."""
        return self._nominal_step(at, at.step) / self.steps_per_epoch

    def _learning_rate(self, at: Progress, step: int) -> float:
        recipe = self.steering.recipe_at(step)
        return learning_rate(recipe, self._nominal_step(at, step), self.steps_per_epoch, at.plateau.reductions)

    def _evaluate(self) -> EpochResult:
        def after_batch() -> None:
            if self.sync_points.step():
                self._update_status("running")
                self._handle_requests()

        evaluation = self.captured.beside(
            lambda: evaluate(
                self.averaging.evaluated,
                self.dataset.val,
                self.preprocess,
                self.precision,
                batch_size=self.recipe.images_at_once(self.ranks.data_size),
                ranks=self.ranks,
                answers=self.recorder.new_answers(),
                after_batch=after_batch,
            )
        )
        self._count_time()
        return evaluation

    def _evaluate_now(self) -> None:
        """Write the metrics of an evaluation between two steps, which changes nothing that training depends on."""
        evaluation = self._evaluate()
        at = self.progress
        if evaluation.images:
            values = evaluation.values(len(self.dataset.classes))
            self.writer.metrics(at.step, self._epochs(at), values)
            self.writer.event(EvaluationEvent(at.step, round(self._epochs(at), 6), values))
        self._answer_evaluations(None if evaluation.images else "none of the validation images could be read")

    def _answer_evaluations(self, error: str | None = None) -> None:
        for request in self.evaluations:
            self.writer.event(ControlEvent(request.id, request.action, self.progress.step, error))
        self.evaluations, self.evaluates = [], False

    def _end_epoch(self, evaluation: EpochResult, seconds: float) -> None:
        """Write the epoch's metrics, advance the schedule, and save a checkpoint; the evaluation took `seconds`."""
        at = self.progress
        for part, images in (("training", at.whole.images), ("validation", evaluation.images)):
            if not images:
                raise DataError(f"none of the {part} images could be read", failure=True)
        values = evaluation.values(len(self.dataset.classes))
        epoch = at.epoch + 1
        damaged = self._count_damaged()
        energy = self.machine.epoch(at.whole.images)
        spread = {"time/evaluation": float(f"{1000 * seconds / self.steps_per_epoch:.4g}")}
        self.writer.metrics(at.step, epoch, {**at.last_line, **values, **energy, **spread})
        images_per_second = round(at.whole.images / max(at.epoch_seconds, 1e-6), 1)
        metrics = {**at.whole.values(), **values, "images_per_second": images_per_second, **energy}
        self.writer.event(EpochEvent(epoch, at.step, metrics, round(at.seconds, 3), damaged))
        if self.ranks.towers:
            self.writer.event(ExchangeEvent(exchanged(self.model)))
        monitored = values[self.recipe.monitor]
        best = is_better(self.recipe, monitored, at.best)
        self.progress = replace(
            at,
            epoch=epoch,
            epoch_start=at.step,
            plateau=at.plateau.after(1 - evaluation.accuracy, self.recipe),
            best=monitored if best else at.best,
            waited=0 if best else at.waited + 1,
            whole=Tally(),
            epoch_seconds=0.0,
        )
        self._answer_evaluations()  # this evaluation is what they asked for
        self._save(best=best)
        # A value whose checkpoint does not exist must not count as the best one, on any rank: all stop in one epoch.
        if self.ranks.broadcast(self.unsaved):
            self.progress = replace(self.progress, best=at.best)
        self._update_status("running")

    def _count_damaged(self) -> int:
        """Return how many images no rank could read so far, and report those found by other ranks."""
        count = 0
        for split in (self.dataset.train, self.dataset.val):
            damaged = self.ranks.merge(split.damaged)
            for path in damaged.keys() - split.damaged.keys():
                self.writer.event(WarningEvent(damaged_text(path, damaged[path])))
            split.damaged.update(damaged)
            count += len(damaged)
        return count

    def _handle_requests(self) -> None:
        """Save, pause or stop, as the ranks agree."""
        minutes = (time.monotonic() - self.saved_at) / 60
        due = minutes > self.recipe.checkpoint_minutes and self.ranks.rank == 0
        actions = self.sync_points.agree(checkpoint=due)
        self._do(actions)
        if actions.paused and not self.evaluates:
            with self.machine.left_out():
                self._pause()

    def _pause(self) -> None:
        self._update_status("paused")
        started = time.monotonic()
        while True:
            time.sleep(PAUSE_SECONDS)
            actions = self.sync_points.agree()
            self._do(actions)
            if self.evaluates:
                self.clock += time.monotonic() - started
                self._evaluate_now()
                started = time.monotonic()
                self._update_status("paused")
            if not actions.paused:
                break
        self.clock += time.monotonic() - started
        self._update_status("running")

    def _do(self, actions: AgreedActions) -> None:
        """Save and stop as agreed, and acknowledge the requests.

        Raises:
            GoneError: the run's directory is gone.
        """
        if actions.gone:
            raise GoneError(gone_text(self.run))
        self.stops_after_epoch = actions.stop_after_epoch
        self.evaluates = self.evaluates or actions.evaluate
        if actions.steered:
            changes = [request for request in actions.requests if request.action == "set"]
            self.recipe = self.steering.change(changes, self.progress.step, self.progress.epoch + 1)
        if actions.stop or actions.checkpoint:
            self._save()
        for request in actions.requests:
            if request.action == "evaluate":
                self.evaluations.append(request)
            if request.action in LATER:
                continue
            error = self.unsaved if request.action in SAVING else None
            self.writer.event(ControlEvent(request.id, request.action, self.progress.step, error))
        if actions.stop:
            raise Stopped(self.unsaved)

    def _save(self, *, best: bool = False) -> None:
        """Save a checkpoint. If that fails, write a warning and continue training.

        Raises:
            NotFiniteError: the checkpoint would contain a value that is not finite.
        """
        at, self.unsaved = self.progress, None
        started = time.monotonic()
        self._check_finite()
        weights, trained = self.state.weights(self.averaging.evaluated), self.averaging.state(self.state.weights)
        optimizer = self.state.optimizer(self.model, self.optimizer)
        if self.ranks.rank == 0:
            state = {
                "progress": at.to_dict(),
                "optimizer": optimizer,
                "guard": self.guard.state(),
                "precision": self.precision.name,
                "means": self.setup.to_dict(),
                NEW_LAYERS: list(self.new_layers),
                **trained,
            }
            epochs = round(self._epochs(at), 6)
            where = {"step": at.step, "epoch": at.epoch, "epochs": epochs, self.recipe.monitor: at.best}
            try:
                checkpoint.save(self.run.checkpoints_folder, weights, state, best=best, **where)
            except CheckpointError as error:
                self.unsaved = f"no checkpoint at step {at.step}: {error}"
                self.writer.event(WarningEvent(self.unsaved))
            else:
                seconds = round(time.monotonic() - started, 3)
                self.writer.event(CheckpointEvent(at.step, at.epoch, best, seconds))
        self.writer.sync()
        self.saved_at = time.monotonic()
        self.clock += self.saved_at - started

    def _count_time(self) -> float:
        """Return the seconds of work since the last call, without pauses and saving, and add them to `progress`."""
        now = time.monotonic()
        elapsed, self.clock = now - self.clock, now
        self.progress = replace(self.progress, seconds=self.progress.seconds + elapsed)
        return elapsed

    def _report_uncaptured(self, reason: str) -> None:
        self.writer.event(WarningEvent(f"steps are not captured as CUDA graphs, which slows small networks: {reason}"))

    def _update_status(self, state: str, reason: str | None = None) -> None:
        self.writer.at(state, self.progress.step, self._epochs(self.progress), reason)
