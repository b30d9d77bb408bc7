"""One rank's training from a run's config: open the data, build the model, load the checkpoint, and train."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from alexplore.core.atomic_files import write_atomically
from alexplore.network.analysis import analyse, training_flops
from alexplore.network.graph import Network
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import RunConfig
from alexplore.runs.control import Request, take_requests
from alexplore.runs.data.trained_on import TrainedOn, change_text, read_trained_on
from alexplore.runs.directory import RunDirectory
from alexplore.runs.kernel_choice import VARIABLE
from alexplore.runs.protocol import ControlEvent, DatasetEvent, PreparingEvent, StartEvent, WarningEvent, WeightsEvent
from alexplore.training import checkpoint
from alexplore.training.averaging import make_averaging
from alexplore.training.class_weights import LossDivisor, class_weights
from alexplore.training.clipping import make_clip
from alexplore.training.compute_setup import ComputeSetup, earlier_setup, kernels_text
from alexplore.training.data.catalog import open_dataset
from alexplore.training.data.dataset import Dataset, damaged_text
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.deterministic import check_deterministic
from alexplore.training.errors import GoneError, Stopped, gone_text
from alexplore.training.hardware import device_name, set_threads
from alexplore.training.inside.recorder import NoRecorder, Recorder
from alexplore.training.kernels.table import TABLE, Kernels, available, choose_kernels
from alexplore.training.loop import NEW_LAYERS, Trainer
from alexplore.training.machine.sampler import machine_sampler
from alexplore.training.micro_batches import MicroBatches
from alexplore.training.model.build import build, check_classifier, check_last_batch
from alexplore.training.model.shared_batch_norm import share_statistics, tolerate_small_batches
from alexplore.training.nonfinite import NonfiniteGuard
from alexplore.training.objective import Objective
from alexplore.training.optim import make_optimizer
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import TowerState, build_tower
from alexplore.training.precision import Precision
from alexplore.training.precision_choice import choose_precision, kept_choice
from alexplore.training.progress import Progress
from alexplore.training.randomness import seed_for
from alexplore.training.run_writer import History, RunWriter
from alexplore.training.signals import Signals
from alexplore.training.starting_weights import match_starting_weights
from alexplore.training.steering import Steering
from alexplore.training.step_timer import make_timer
from alexplore.training.sync_points import SyncPoints
from alexplore.training.whole_state import WholeState


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

    `history` has the events of earlier attempts. Every rank calls this; only rank 0's `writer` writes. `on_progress` is
    called at every step and every batch of an evaluation.

    Raises:
        Stopped: a stop was requested; a checkpoint is saved if training had started.
        NotFiniteError: a loss, a gradient or a value for a checkpoint is not finite.
        GoneError: the run's directory was removed or renamed.
        DataError, SettingError, ShapeError, CheckpointError: the run can't be trained or resumed.
    """
    preparation = _Preparation(run, ranks, writer, signals)
    trainer = _prepare(preparation, run, config, ranks, device, writer, history, signals, on_progress)
    preparation.done = True
    for split in (trainer.dataset.train, trainer.dataset.val):
        for path, reason in split.damaged.items():
            preparation.report(damaged_text(path, reason))
    with trainer.machine.running():
        trainer.train()


WAITING = ("set", "evaluate", "stop_after_epoch", "pause", "resume")
"""Requests that are acknowledged after training has started."""


class _Preparation:
    """Reports the activities before the first step, and acknowledges the requests that arrive meanwhile."""

    def __init__(self, run: RunDirectory, ranks: Ranks, writer: RunWriter, signals: Signals) -> None:
        self._run, self._ranks, self._writer, self._signals = run, ranks, writer, signals
        self._identity = run.identity()
        self.done = False
        self.waiting: list[Request] = []  # for the first sync point

    def start(self, activity: str) -> None:
        """Write the activity that starts now to the status.

        Raises:
            Stopped: a stop was requested.
            GoneError: the run's directory is gone.
        """
        if self._run.is_gone(self._identity):
            raise GoneError(gone_text(self._run))
        for request in take_requests(self._run) if self._ranks.rank == 0 else ():
            if request.action in WAITING:
                self.waiting.append(request)
                continue
            error = "training has not started" if request.action == "checkpoint" else None
            self._writer.event(ControlEvent(request.id, request.action, step=0, error=error))
            self._signals.stop = self._signals.stop or request.action == "stop"
        if self._signals.stop and self._ranks.rank == 0:  # other ranks' signals are handled at the first sync point
            raise Stopped
        self._writer.starting(activity)

    def report(self, line: str) -> None:
        """Report a line about the data set: as an activity before the first step, as a warning afterwards.

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
    """Return the trainer at the position of the newest checkpoint."""
    recipe, network = config.recipe, config.network
    check_classifier(network)
    if device.type == "cpu" and ranks.size > 1:
        rehearsal = f"no GPU: rehearsing on {ranks.size} CPU processes (gloo) what {ranks.size} GPUs would do"
        writer.event(WarningEvent(rehearsal))
    saved = ranks.first_then_others(
        lambda: checkpoint.load(run.checkpoints_folder, lambda message: writer.event(WarningEvent(message)))
    )
    earlier = _earlier_setup(saved, history)
    if earlier is not None and (note := earlier.change_text(device.type, ranks.size)):
        writer.event(WarningEvent(note))
    threads = set_threads(device, ranks, earlier)
    kernels = _kernels(device, ranks, earlier, writer)

    preparation.start(f"loading {recipe.dataset}")
    trained_on = ranks.broadcast(read_trained_on(run) if saved else None)  # before rank 0 overwrites it
    dataset = ranks.first_then_others(lambda: open_dataset(config, device, preparation.report, trained_on))
    _write_dataset(run, ranks, writer, dataset)
    preprocess = Preprocess(recipe, network.input, dataset, device, kernels)
    check_last_batch(network, len(dataset.train), recipe.batch_size)

    preparation.start("building the network")
    seed = seed_for(recipe.seed, "weights")
    model = _build_model(network, ranks, seed, kernels).to(device)
    state = TowerState(network, ranks.rank) if ranks.towers else WholeState()
    new_layers = _new_layers(saved, network)
    if saved is None and recipe.weights is not None:
        preparation.start("reading weights")
        whole = build(network, seed) if ranks.towers else model
        new_layers += _load_starting_weights(model, whole, state, Path(recipe.weights), writer)
    averaging = make_averaging(model, recipe)  # an average begins with the weights that training starts from
    if saved is not None:
        with checkpoint.state_errors(saved):
            averaging.load(saved.weights, saved.state, state.load_weights)

    choice = kept_choice(recipe, device, earlier.choice if earlier else None)
    if choice is None:
        preparation.start("timing fp32 and bf16" if recipe.precision == "auto" else "timing a matrix multiplication")
        choice = choose_precision(recipe, model, dataset, preprocess, ranks, kernels)
    setup = ComputeSetup(device.type, ranks.size, threads, choice, kernels)
    writer.event(choice)
    precision = Precision(choice.precision, device)
    check_deterministic(recipe, network, kernels, precision)

    optimizer = make_optimizer(recipe, model, new_layers, kernels=kernels)
    guard = _make_guard(recipe, model, optimizer, state, precision, ranks, device)
    weights = class_weights(recipe, dataset.train.labels, len(dataset.classes))
    timer = make_timer(device, model, ranks)
    objective = Objective(model, recipe, precision, None if weights is None else weights.to(device))
    if saved is not None:
        with checkpoint.state_errors(saved):
            state.load_optimizer(model, optimizer, saved.state["optimizer"])
            guard.load(saved.state["guard"], same_precision=saved.state["precision"] == precision.name)
    progress = _first_progress(saved, recipe, trained_on, dataset, history, writer)
    writer.event(_start_event(config, ranks, device, setup, progress.step))
    return Trainer(
        run=run,
        recipe=config.recipe_at(progress.step),
        dataset=dataset,
        preprocess=preprocess,
        model=model,
        averaging=averaging,
        new_layers=new_layers,
        micro_batches=MicroBatches(ranks.average_gradients(objective), guard, ranks, recipe.micro_batch_size, timer),
        loss_divisor=LossDivisor(weights, dataset.train.labels),
        optimizer=optimizer,
        guard=guard,
        precision=precision,
        state=state,
        setup=setup,
        macs=analyse(network).totals.macs,
        recorder=Recorder(
            run=run,
            network=network,
            model=model,
            evaluated=averaging.evaluated,
            dataset=dataset,
            preprocess=preprocess,
            precision=precision,
            state=state,
            ranks=ranks,
            writer=writer,
            batch_size=recipe.batch_size,
        )
        if recipe.inside
        else NoRecorder(),
        machine=machine_sampler(device, ranks),
        timer=timer,
        ranks=ranks,
        sync_points=SyncPoints(ranks, run if ranks.rank == 0 else None, signals, on_progress, preparation.waiting),
        steering=Steering(run, config, ranks, writer, progress.step),
        writer=writer,
        progress=progress,
    )


def _start_event(config: RunConfig, ranks: Ranks, device: torch.device, setup: ComputeSetup, step: int) -> StartEvent:
    """Return the event that training starts after `step` updates."""
    assert setup.choice is not None
    assert setup.kernels is not None
    return StartEvent(
        device=device.type,
        device_name=device_name(device),
        threads=setup.threads,
        ranks=ranks.size,
        parallel=config.hardware.parallel,
        precision=setup.choice.precision,
        step=step,
        recipe=config.recipe_at(step).to_dict(defaults=False),
        flops_per_image=training_flops(analyse(config.network)),
        peak_flops=setup.choice.peak_flops * ranks.size,
        kernels=kernels_text(setup.kernels),
    )


def _build_model(network: Network, ranks: Ranks, seed: int, kernels: Kernels) -> nn.Module:
    """Return this rank's model: the whole network, or its tower."""
    model = build_tower(network, ranks.rank, seed, kernels) if ranks.towers else build(network, seed, kernels)
    if ranks.data_size > 1:
        share_statistics(model)
    else:
        tolerate_small_batches(model)
    return model


def _new_layers(saved: checkpoint.Checkpoint | None, network: Network) -> tuple[str, ...]:
    """Return the layers that train at the rate of a new head: those that the checkpoint names, or else the head."""
    if saved is not None and NEW_LAYERS in saved.state:
        with checkpoint.state_errors(saved):
            return tuple(map(str, saved.state[NEW_LAYERS]))
    return () if network.classifier is None else (network.layers[network.classifier].name,)


def _load_starting_weights(
    model: nn.Module, whole: nn.Module, state: WholeState | TowerState, source: Path, writer: RunWriter
) -> tuple[str, ...]:
    """Load the weights of a file that fit a model, write an event about them, and return the layers that took none.

    `whole` is the model of the whole network, of which `model` may be a tower.

    Raises:
        CheckpointError: the file or checkpoint can't be read.
        UnfitWeightsError: it has no weights, or none that fit a layer.
    """
    own = whole.state_dict()
    source, match = match_starting_weights(own, source, lambda message: writer.event(WarningEvent(message)))
    writer.event(WeightsEvent(str(source), match.taken, match.left, match.unused))
    state.load_weights(model, {**own, **match.tensors})
    return tuple(match.left)


def _earlier_setup(saved: checkpoint.Checkpoint | None, history: History) -> ComputeSetup | None:
    with checkpoint.state_errors(saved) if saved else nullcontext():
        return earlier_setup(saved.state if saved else None, history)


def _kernels(device: torch.device, ranks: Ranks, earlier: ComputeSetup | None, writer: RunWriter) -> Kernels:
    """Return the kernels to use, the same on all ranks.

    They are those of earlier attempts on this type of device, so that a resumed run rounds as before, unless the
    environment chooses others, or a rank's machine can't use one of them.

    Raises:
        KernelError: the environment's choice is not allowed.
    """
    kernels = ranks.first_then_others(lambda: choose_kernels(device.type))  # may compile one
    before = earlier.kernels if earlier and earlier.device == device.type else None
    if before is not None and not os.environ.get(VARIABLE):
        kernels = available(Kernels(before & TABLE.keys()))
    kernels = Kernels.intersection(*ranks.merge({str(ranks.rank): kernels}).values())
    if before not in (None, kernels):
        old, new = (kernels_text(names) or "none" for names in (before, kernels))
        reasons = [reason for name in TABLE.keys() & before - kernels if (reason := TABLE[name].why_unavailable())]
        text = "; ".join([f"trained with other kernels than before, which round differently: {old}; {new}", *reasons])
        writer.event(WarningEvent(text))
    return kernels


def _make_guard(
    recipe: Recipe,
    model: nn.Module,
    optimizer: Optimizer,
    state: WholeState | TowerState,
    precision: Precision,
    ranks: Ranks,
    device: torch.device,
) -> NonfiniteGuard:
    """Return the guard of the optimizer's steps, which also clips the gradients."""
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return NonfiniteGuard(
        optimizer,
        device,
        scaled=precision.scaled,
        buffers=list(model.buffers()),
        agree=ranks.agree,
        clip=make_clip(recipe.clip_grad_norm, trained, _split_parameters(model, state)),
    )


def _first_progress(
    saved: checkpoint.Checkpoint | None,
    recipe: Recipe,
    trained_on: TrainedOn | None,
    dataset: Dataset,
    history: History,
    writer: RunWriter,
) -> Progress:
    """Return where the training starts or, from a checkpoint, continues; report it if the run's images have changed."""
    train, val = len(dataset.train), len(dataset.val)
    if saved is None:
        return Progress(images=train)
    before = _images_before(trained_on, history) or train
    with checkpoint.state_errors(saved):
        loaded = Progress.from_dict(saved.state["progress"], before, recipe.batch_size)
    progress = loaded.over(train)
    if trained_on and (changed := change_text(trained_on, train, val)):
        again = progress.epoch_start != loaded.epoch_start
        start = f"starts epoch {progress.epoch + 1} again" if again else f"continues in epoch {progress.epoch + 1}"
        writer.event(WarningEvent(f"{changed}; the training {start}"))
    return progress


def _split_parameters(model: nn.Module, state: WholeState | TowerState) -> list[nn.Parameter]:
    """Return the parameters of which this rank has only a share."""
    return [value for name, value in model.named_parameters() if state.splits(name.partition(".")[0])]


def _images_before(trained_on: TrainedOn | None, history: History) -> int | None:
    """Return how many images a run was trained on. Earlier versions recorded this only in an event."""
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
