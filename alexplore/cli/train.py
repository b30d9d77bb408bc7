"""The command train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alexplore.cli.notify_options import NotifyOption, NotifyOptions, OnEndOption, read_notify_options
from alexplore.cli.options import AsJsonLines, PresetOption, RunsDir, given
from alexplore.cli.output import narrate, say
from alexplore.cli.recipe_options import recipe_changes
from alexplore.core.errors import WrongUseError
from alexplore.network.graph import parse_input
from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.precisions import PRECISIONS
from alexplore.presets.sources import open_preset
from alexplore.runs import service
from alexplore.runs.config import DEVICES, PARALLEL, RunConfig
from alexplore.runs.directory import runs_folder, timed_name
from alexplore.runs.torchrun import started_by_torchrun


def train(
    preset: PresetOption,
    gpus: Annotated[
        int | None, typer.Option(metavar="N", help="How many GPUs; where there are none, CPU processes.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="|".join(DEVICES), help="On what to train.")] = "auto",
    parallel: Annotated[
        str, typer.Option(metavar="|".join(PARALLEL), help="Split the batch among the ranks, or the network's towers.")
    ] = "data",
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training images.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", help="The whole batch, shared among the ranks.")
    ] = None,
    lr: Annotated[float | None, typer.Option(metavar="X", help="Learning rate.")] = None,
    optimizer: Annotated[str | None, typer.Option(metavar="|".join(OPTIMIZERS))] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="|".join(PRECISIONS), help="auto measures and takes the faster.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(metavar="D", help="Another data set than the preset's.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the data set is.")] = None,
    classes: Annotated[
        int | None, typer.Option(metavar="N", help="Give the network N outputs, one for each class.")
    ] = None,
    input_size: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="Another input size than the preset's: 3x64x64.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="FILE|RUN", help="Start from the weights of a file, or of a run's best checkpoint."),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Don't train the layers of these names: 'conv*'; may be repeated. A frozen batch norm keeps its "
            "statistics.",
        ),
    ] = None,
    limit_train: Annotated[int | None, typer.Option(metavar="N", help="Use only N training images.")] = None,
    limit_val: Annotated[int | None, typer.Option(metavar="N", help="Use only N validation images.")] = None,
    val_share: Annotated[
        float | None, typer.Option(metavar="X", help="Share to hold out of an image folder without val/, else 0.2.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="training.KEY=VALUE", help="Any other key of a recipe.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The run's name.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; the training goes on.")] = False,
    queued: Annotated[
        bool, typer.Option("--queue", help="Return at once; the queue starts it when the hardware is free.")
    ] = False,
    on_end: OnEndOption = None,
    notify: NotifyOption = None,
    as_json: AsJsonLines = False,
    runs_dir: RunsDir = None,
) -> None:
    """Train a preset in the background and follow it. Ctrl-C stops after a checkpoint; again, at once."""
    size = parse_input(input_size) if input_size else None
    opened = open_preset(preset, narrate, size)
    options = {
        "epochs": epochs, "batch_size": batch_size, "lr": lr, "optimizer": optimizer, "precision": precision,
        "dataset": dataset, "seed": seed, "weights": weights, "freeze": freeze or None,
    }  # fmt: skip
    others = given(
        device=device, gpus=gpus, parallel=parallel, folder=str(data) if data else None,
        limit_train=limit_train, limit_val=limit_val, val_share=val_share,
    )  # fmt: skip
    network = opened.network.with_input(*size) if size else opened.network
    if classes is not None:
        network = network.with_classes(classes)
    config = RunConfig(opened.name, network, opened.recipe).change({**recipe_changes(options, assignments), **others})
    unattended = "a queued run" if queued else "a detached run" if detach else None
    notify_options = read_notify_options(on_end, notify, unattended)
    folder = runs_folder(runs_dir)
    planned = service.plan(config, folder)
    if started_by_torchrun():
        if on_end:
            raise WrongUseError("--on-end is not possible under torchrun: let the command that starts torchrun do it")
        if queued or detach:
            raise WrongUseError(f"--{'queue' if queued else 'detach'} is not possible under torchrun")
        service.join(planned, folder, name)
    if queued:
        planned.raise_problem()
        _add_to_queue(planned.config, folder, name, notify_options)
        return
    run = service.create(planned, folder, name)
    from alexplore.cli.follow import start_and_follow

    start_and_follow(
        run, lambda: service.start(run), detach=detach, as_json=as_json, notify_options=notify_options, new=True
    )


def _add_to_queue(config: RunConfig, folder: Path, name: str | None, notify_options: NotifyOptions) -> None:
    """Add a run to the queue, and start its runner if there is none."""
    from alexplore.runs.queue import Queue
    from alexplore.runs.queue_runner import start_runner

    queue = Queue(folder)
    command, occasions = notify_options.command, notify_options.command_occasions
    item = queue.add(config, name or timed_name(config.preset), command=command, occasions=occasions)
    start_runner(queue)
    say(item.name)
    narrate("in the queue; see it with: alexplore queue list")
