"""One rank's training, put together from a run's config: data, model, precision, optimizer, and where to go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from alexplore.core.atomic_files import write_atomically
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.presets.recipe import Recipe
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
from alexplore.training.data import Dataset, Preprocess, left_out, open_dataset
from alexplore.training.errors import Stopped
from alexplore.training.hardware import device_name, set_threads
from alexplore.training.loop import Objective, Progress, Trainer
from alexplore.training.model.build import build, check_classifier, check_last_batch
from alexplore.training.model.shared_batch_norm import share_statistics
from alexplore.training.nonfinite import Guard
from alexplore.training.optim import make_optimizer
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import TowerState, build_tower, count_anew
from alexplore.training.precision import CANDIDATES, PLAIN, Precision, matmul_peak, time_each
from alexplore.training.randomness import seed_for
from alexplore.training.run_writer import History, RunWriter
from alexplore.training.signals import Signals
from alexplore.training.sync_points import Pulse

FEW_IMAGES = 4
PLAINEST = "fp32"
CLEARLY = 1.1  # times as fast: timings of one run and the next differ by as much


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

    choice = _kept_choice(recipe, device, history)
    if choice is None:
        starting("measuring precision" if recipe.precision == "auto" else "measuring the machine")
        choice = _measured_choice(recipe, model, dataset, preprocess, ranks)
    journal.event(choice)
    precision = Precision(choice.precision, device)

    optimizer = make_optimizer(recipe, model)
    guard = Guard(optimizer, device, scaled=precision.scaled, agree=ranks.agree)
    progress = Progress()
    if saved is not None:
        held.load_optimizer(model, optimizer, saved.state["optimizer"])
        guard.load(saved.state["guard"])
        progress = Progress.from_dict(saved.state["progress"])
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
        report(left_out(path, reason))
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


def _kept_choice(recipe: Recipe, device: torch.device, history: History) -> PrecisionEvent | None:
    """Return the precision that an earlier attempt chose on such a device, with its timings; None without one."""
    earlier = history.last(PrecisionEvent)
    if earlier is None or earlier.device != device.type or recipe.precision not in ("auto", earlier.precision):
        return None
    return replace(earlier, kept=True)


def _measured_choice(
    recipe: Recipe, model: nn.Module, dataset: Dataset, preprocess: Preprocess, ranks: Ranks
) -> PrecisionEvent:
    """The precision to train in: the recipe's, or the one whose steps on a real batch are the faster on all ranks."""
    device = preprocess.device
    images, seconds = 0, dict[str, float]()
    name = recipe.precision
    if name == "auto":
        images, seconds = _time_precisions(recipe, model, dataset, preprocess, ranks)
        fastest = min(CANDIDATES, key=lambda candidate: seconds[candidate])
        name = fastest if seconds[fastest] * CLEARLY < seconds[PLAINEST] else PLAINEST
    peak = matmul_peak(device, name)
    return PrecisionEvent(name, device.type, peak, images, seconds)


def _time_precisions(
    recipe: Recipe, model: nn.Module, dataset: Dataset, preprocess: Preprocess, ranks: Ranks
) -> tuple[int, dict[str, float]]:
    """How many images were taken, and the seconds of a forward and a backward pass over them; the model stays as it is.

    They are this rank's share of a batch, or a few where those show one way to be twice as fast or more: on some
    processors a whole batch in bf16 would take minutes.
    """
    share = min(ranks.share_size(recipe.batch_size), len(dataset.train))
    images, labels = next(dataset.train.batches(torch.arange(share), share))
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.train()
    count, seconds = 0, dict[str, float]()
    few = preprocess.device.type == "cpu" and recipe.batch_size > FEW_IMAGES * ranks.data_size  # the same on all ranks
    for count in (min(FEW_IMAGES, share), share) if few else (share,):
        inputs = preprocess.train(images[:count], seed=0)

        def task(name: str, inputs: Tensor = inputs, labels: Tensor = labels[:count]) -> None:
            loss, _ = Objective(model, recipe, Precision(name, preprocess.device))(inputs, labels)
            loss.backward()
            model.zero_grad()

        seconds = time_each({name: partial(task, name) for name in CANDIDATES}, preprocess.device, ranks.slowest)
        if max(seconds.values()) > PLAIN * min(seconds.values()):
            break
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    count_anew(model)
    return count, {name: round(value, 6) for name, value in seconds.items()}


def _training_flops(network: Network) -> int:
    """Floating-point operations of a training step for an image: forward, and backward to weights and to inputs.

    The first layer with weights needs no gradient of its input.
    """
    macs = [row.macs for row in analyse(network).rows if row.macs]
    return 2 * (3 * sum(macs) - macs[0]) if macs else 0
