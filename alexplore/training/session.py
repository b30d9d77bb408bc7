"""One rank's training, put together from a run's config: data, model, precision, optimizer, and where to go on."""

from __future__ import annotations

import json
from collections.abc import Callable

import torch

from alexplore.core.atomic_files import write_atomically
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.runs.config import RunConfig
from alexplore.runs.control import Request, pending
from alexplore.runs.directory import RunDirectory
from alexplore.runs.protocol import (
    ControlEvent,
    DatasetEvent,
    PrecisionEvent,
    PreparingEvent,
    StartEvent,
    WarningEvent,
)
from alexplore.training import checkpoint
from alexplore.training.data import Dataset, Preprocess, damaged_text, open_dataset
from alexplore.training.errors import Stopped
from alexplore.training.hardware import device_name, set_threads
from alexplore.training.loop import Objective, Progress, Trainer
from alexplore.training.model.build import build, check_classifier, check_last_batch
from alexplore.training.model.shared_batch_norm import share_statistics
from alexplore.training.nonfinite import Guard
from alexplore.training.optim import make_optimizer
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import TowerState, build_tower
from alexplore.training.precision import Precision
from alexplore.training.precision_choice import choose_precision, kept_choice
from alexplore.training.randomness import seed_for
from alexplore.training.run_writer import History, RunWriter
from alexplore.training.signals import Signals
from alexplore.training.sync_points import Pulse


def train(
    run: RunDirectory,
    config: RunConfig,
    ranks: Ranks,
    device: torch.device,
    journal: RunWriter,
    history: History,
    signals: Signals,
) -> None:
    """Train a run to its end, from its newest checkpoint if it has one.

    Raises:
        Stopped: it was asked to stop, and has saved a checkpoint if it had begun.
        NotFiniteError: a loss or gradient is not finite.
        DataError, SettingError, ShapeError, CheckpointError: it can't be trained, or not gone on with.
    """

    def starting(doing: str) -> None:
        for request in pending(run) if ranks.rank == 0 else ():
            journal.event(_answer(request))
            signals.stop = signals.stop or request.action == "stop"
        if signals.stop:
            raise Stopped
        journal.starting(doing)

    begun = False

    def report(line: str) -> None:
        """What opening and reading the data have to say: before training what is waited for, then a warning."""
        if begun:
            journal.event(WarningEvent(line))
        else:
            journal.event(PreparingEvent(line))
            starting(line)

    recipe, network = config.recipe, config.network
    check_classifier(network)
    if device.type == "cpu" and ranks.size > 1:
        rehearsal = f"no GPU: rehearsing on {ranks.size} CPU processes (gloo) what {ranks.size} GPUs would do"
        journal.event(WarningEvent(rehearsal))
    threads = set_threads(device, ranks, history)

    starting(f"loading {recipe.dataset}")
    dataset, preprocess = _open_data(run, config, ranks, device, journal, report)
    check_last_batch(network, len(dataset.train), recipe.batch_size)

    starting("building the network")
    seed = seed_for(recipe.seed, "weights")
    model = (build_tower(network, ranks.rank, seed) if ranks.towers else build(network, seed)).to(device)
    if ranks.data_size > 1:
        share_statistics(model)
    held = TowerState(network, ranks.rank) if ranks.towers else checkpoint.WholeState()
    saved = ranks.first(
        lambda: checkpoint.load(run.checkpoints_folder, lambda message: journal.event(WarningEvent(message)))
    )
    if saved is not None:
        held.load_weights(model, saved.weights)

    choice = kept_choice(recipe, device, history.last(PrecisionEvent))
    if choice is None:
        starting("timing fp32 and bf16" if recipe.precision == "auto" else "timing a matrix multiplication")
        choice = choose_precision(recipe, model, dataset, preprocess, ranks)
    journal.event(choice)
    precision = Precision(choice.precision, device)

    optimizer = make_optimizer(recipe, model)
    guard = Guard(optimizer, device, scaled=precision.scaled, agree=ranks.agree)
    progress = Progress()
    if saved is not None:
        held.load_optimizer(model, optimizer, saved.state["optimizer"])
        guard.load(saved.state["guard"])
        progress = Progress.from_dict(saved.state["progress"])
        del saved  # its tensors
    journal.event(
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
    begun = True
    for path, reason in {**dataset.train.damaged, **dataset.val.damaged}.items():
        report(damaged_text(path, reason))
    Trainer(
        run=run,
        recipe=recipe,
        dataset=dataset,
        preprocess=preprocess,
        model=model,
        objective=ranks.sharing_gradients(Objective(model, recipe, precision)),
        optimizer=optimizer,
        guard=guard,
        precision=precision,
        held=held,
        macs=analyse(network).totals.macs,
        ranks=ranks,
        pulse=Pulse(ranks, run if ranks.rank == 0 else None, signals),
        journal=journal,
        progress=progress,
    ).train()


def _answer(request: Request) -> ControlEvent:
    """Return the answer to a request that comes before training begins."""
    error = "training has not begun" if request.action == "checkpoint" else None
    return ControlEvent(request.id, request.action, step=0, error=error)


def _open_data(
    run: RunDirectory,
    config: RunConfig,
    ranks: Ranks,
    device: torch.device,
    journal: RunWriter,
    report: Callable[[str], None],
) -> tuple[Dataset, Preprocess]:
    """The data set and what is done to its images; what it is like is written down for later questions."""
    dataset = ranks.first(lambda: open_dataset(config, device, report))
    if ranks.rank == 0:
        write_atomically(run.dataset_file, json.dumps(dataset.to_dict()) + "\n")
    sizes = len(dataset.train), len(dataset.val), len(dataset.classes)
    journal.event(DatasetEvent(dataset.name, *sizes, synthetic=dataset.synthetic))
    return dataset, Preprocess(config.recipe, config.network.input, dataset, device)


def _training_flops(network: Network) -> int:
    """Floating-point operations of a training step for an image: forward, and backward to weights and to inputs.

    The first layer with weights needs no gradient of its input.
    """
    macs = [row.macs for row in analyse(network).rows if row.macs]
    return 2 * (3 * sum(macs) - macs[0]) if macs else 0
