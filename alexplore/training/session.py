"""One rank's training from a run's config: open the data, build the model, load the checkpoint, and train."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext

import torch

from alexplore.core.atomic_files import write_atomically
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.runs.config import RunConfig
from alexplore.runs.control import pending
from alexplore.runs.directory import RunDirectory
from alexplore.runs.protocol import (
    ControlEvent,
    DatasetEvent,
    PreparingEvent,
    StartEvent,
    WarningEvent,
)
from alexplore.runs.trained_on import TrainedOn, change_text, read_trained_on
from alexplore.training import checkpoint
from alexplore.training.data import Dataset, Preprocess, damaged_text, open_dataset
from alexplore.training.errors import GoneError, Stopped, gone_text
from alexplore.training.hardware import device_name, set_threads
from alexplore.training.loop import Objective, Progress, Trainer
from alexplore.training.means import Means, kept_means
from alexplore.training.model.build import build, check_classifier, check_last_batch
from alexplore.training.model.shared_batch_norm import share_statistics, tolerate_small_batches
from alexplore.training.nonfinite import NonfiniteGuard
from alexplore.training.optim import make_optimizer
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import TowerState, build_tower
from alexplore.training.precision import Precision
from alexplore.training.precision_choice import choose_precision, kept_choice
from alexplore.training.randomness import seed_for
from alexplore.training.run_writer import History, RunWriter
from alexplore.training.signals import Signals
from alexplore.training.sync_points import SyncPoints


def train(
    run: RunDirectory,
    config: RunConfig,
    ranks: Ranks,
    device: torch.device,
    writer: RunWriter,
    history: History,
    signals: Signals,
    on_progress: Callable[[], None] = lambda: None,
) -> None:
    """Train a run to its end, from its newest checkpoint if it has one.

    `history` is what earlier attempts wrote. Every rank calls this; only rank 0's `writer` writes. `on_progress` is
    called at every step and every batch of an evaluation.

    Raises:
        Stopped: a stop was requested; a checkpoint is saved if training had begun.
        NotFiniteError: a loss, a gradient or something that a checkpoint would contain is not finite.
        GoneError: the run's directory was removed or renamed.
        DataError, SettingError, ShapeError, CheckpointError: the run can't be trained or resumed.
    """
    preparation = _Preparation(run, ranks, writer, signals)
    trainer = _prepare(preparation, run, config, ranks, device, writer, history, signals, on_progress)
    preparation.done = True
    for split in (trainer.dataset.train, trainer.dataset.val):
        for path, reason in split.damaged.items():
            preparation.report(damaged_text(path, reason))
    trainer.train()


class _Preparation:
    """Reports what happens before the first step, and answers the requests that come in the meantime."""

    def __init__(self, run: RunDirectory, ranks: Ranks, writer: RunWriter, signals: Signals) -> None:
        self._run, self._ranks, self._writer, self._signals = run, ranks, writer, signals
        self._identity = run.identity()
        self.done = False

    def start(self, activity: str) -> None:
        """Write an activity to the status.

        Raises:
            Stopped: a stop was requested.
            GoneError: the run's directory is gone.
        """
        if self._run.is_gone(self._identity):
            raise GoneError(gone_text(self._run))
        for request in pending(self._run) if self._ranks.rank == 0 else ():
            error = "training has not begun" if request.action == "checkpoint" else None
            self._writer.event(ControlEvent(request.id, request.action, step=0, error=error))
            self._signals.stop = self._signals.stop or request.action == "stop"
        if self._signals.stop and self._ranks.rank == 0:  # another rank's signal is heard at the first sync point
            raise Stopped
        self._writer.starting(activity)

    def report(self, line: str) -> None:
        """Report a line about the data set: an activity before training has begun, and a warning afterwards.

        Raises:
            Stopped: a stop was requested.
        """
        if self.done:
            self._writer.event(WarningEvent(line))
        else:
            self._writer.event(PreparingEvent(line))
            self.start(line)


def _prepare(
    preparation: _Preparation,
    run: RunDirectory,
    config: RunConfig,
    ranks: Ranks,
    device: torch.device,
    writer: RunWriter,
    history: History,
    signals: Signals,
    on_progress: Callable[[], None],
) -> Trainer:
    """Return the trainer, at the position of the newest checkpoint."""
    recipe, network = config.recipe, config.network
    check_classifier(network)
    if device.type == "cpu" and ranks.size > 1:
        rehearsal = f"no GPU: rehearsing on {ranks.size} CPU processes (gloo) what {ranks.size} GPUs would do"
        writer.event(WarningEvent(rehearsal))
    saved = ranks.first_then_others(
        lambda: checkpoint.load(run.checkpoints_folder, lambda message: writer.event(WarningEvent(message)))
    )
    with checkpoint.state_errors(saved) if saved else nullcontext():
        kept = kept_means(saved.state if saved else None, history)
    threads = set_threads(device, ranks, kept)

    preparation.start(f"loading {recipe.dataset}")
    trained_on = ranks.broadcast(read_trained_on(run) if saved else None)  # before rank 0 writes it anew
    dataset = ranks.first_then_others(lambda: open_dataset(config, device, preparation.report, trained_on))
    _write_dataset(run, ranks, writer, dataset)
    preprocess = Preprocess(recipe, network.input, dataset, device)
    check_last_batch(network, len(dataset.train), recipe.batch_size)

    preparation.start("building the network")
    seed = seed_for(recipe.seed, "weights")
    model = (build_tower(network, ranks.rank, seed) if ranks.towers else build(network, seed)).to(device)
    if ranks.data_size > 1:
        share_statistics(model)
    else:
        tolerate_small_batches(model)
    state = TowerState(network, ranks.rank) if ranks.towers else checkpoint.WholeState()
    if saved is not None:
        state.load_weights(model, saved.weights)

    choice = kept_choice(recipe, device, kept.choice if kept else None)
    if choice is None:
        preparation.start("timing fp32 and bf16" if recipe.precision == "auto" else "timing a matrix multiplication")
        choice = choose_precision(recipe, model, dataset, preprocess, ranks)
    writer.event(choice)
    precision = Precision(choice.precision, device)

    optimizer = make_optimizer(recipe, model)
    guard = NonfiniteGuard(optimizer, device, scaled=precision.scaled, buffers=list(model.buffers()), agree=ranks.agree)
    progress = Progress(images=len(dataset.train))
    if saved is not None:
        before = _images_before(trained_on, history) or len(dataset.train)
        with checkpoint.state_errors(saved):
            state.load_optimizer(model, optimizer, saved.state["optimizer"])
            guard.load(saved.state["guard"])
            loaded = Progress.from_dict(saved.state["progress"], before, recipe.batch_size)
        progress = loaded.over(len(dataset.train))
        if trained_on and (changed := change_text(trained_on, len(dataset.train), len(dataset.val))):
            again = progress.epoch_start != loaded.epoch_start
            start = f"starts epoch {progress.epoch + 1} again" if again else f"goes on in epoch {progress.epoch + 1}"
            writer.event(WarningEvent(f"{changed}; the training {start}"))
    writer.event(
        StartEvent(
            device=device.type,
            device_name=device_name(device),
            threads=threads,
            ranks=ranks.size,
            parallel=config.hardware.parallel,
            precision=precision.name,
            step=progress.step,
            recipe=recipe.to_dict(defaults=False),
            flops_per_image=_training_flops(network),
            peak_flops=choice.peak_flops * ranks.size,
        )
    )
    return Trainer(
        run=run,
        recipe=recipe,
        dataset=dataset,
        preprocess=preprocess,
        model=model,
        objective=ranks.average_gradients(Objective(model, recipe, precision)),
        optimizer=optimizer,
        guard=guard,
        precision=precision,
        state=state,
        means=Means(device.type, ranks.size, threads, choice),
        macs=analyse(network).totals.macs,
        ranks=ranks,
        sync_points=SyncPoints(ranks, run if ranks.rank == 0 else None, signals, on_progress),
        writer=writer,
        progress=progress,
    )


def _images_before(trained_on: TrainedOn | None, history: History) -> int | None:
    """Return how many images a run was trained on; earlier versions recorded that in an event alone."""
    if trained_on is not None and trained_on.train is not None:
        return trained_on.train
    event = history.last(DatasetEvent)
    return None if event is None else event.train


def _write_dataset(run: RunDirectory, ranks: Ranks, writer: RunWriter, dataset: Dataset) -> None:
    """Write the data set's event, and dataset.json for later evaluations and predictions."""
    if ranks.rank == 0:
        write_atomically(run.dataset_file, json.dumps(dataset.to_dict()) + "\n")
    sizes = len(dataset.train), len(dataset.val), len(dataset.classes)
    writer.event(DatasetEvent(dataset.name, *sizes, synthetic=dataset.synthetic))
    for note in dataset.notes:
        writer.event(WarningEvent(note))


def _training_flops(network: Network) -> int:
    """Return the floating-point operations of a training step for an image.

    They are those of the forward pass, and as many each for the gradients of the weights and of the inputs. The first
    layer with weights needs no gradient of its input.
    """
    macs = [row.macs for row in analyse(network).rows if row.macs]
    return 2 * (3 * sum(macs) - macs[0]) if macs else 0
