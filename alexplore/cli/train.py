"""Commands that run torch in a separate process: train, predict, evaluate."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from alexplore.cli.networks import PresetOption, RunsDir
from alexplore.cli.notify_options import NotifyOption, NotifyOptions, OnEndOption, read_notify_options
from alexplore.cli.output import console, deliver, narrate, say, say_json
from alexplore.cli.recipe_options import recipe_changes
from alexplore.core.errors import FAILED, WRONG_USE, WrongUseError
from alexplore.core.home import expand
from alexplore.network.graph import parse_input
from alexplore.presets.library import find_preset
from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.precisions import PRECISIONS
from alexplore.presets.preset import PresetError
from alexplore.presets.sources import open_preset
from alexplore.runs import service
from alexplore.runs.config import DEVICES, PARALLEL, RunConfig, started_by_torchrun
from alexplore.runs.directory import RunDirectory, RunError, find_run, runs_folder, timed_name
from alexplore.runs.image_layout import no_folder_text
from alexplore.runs.lines import last_sequence
from alexplore.runs.occasion_kinds import USUAL
from alexplore.runs.starting_weights import find_weights


def train(
    preset: PresetOption,
    gpus: Annotated[int | None, typer.Option(metavar="N", help="Ranks: GPUs, or CPU processes without any.")] = None,
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
        int | None, typer.Option(metavar="N", help="Give the network so many outputs, one for each class.")
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
    limit_train: Annotated[int | None, typer.Option(metavar="N", help="Use so many training images.")] = None,
    limit_val: Annotated[int | None, typer.Option(metavar="N", help="Use so many validation images.")] = None,
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
        bool, typer.Option("--queue", help="Return at once; train when the runs in the queue before it have ended.")
    ] = False,
    on_end: OnEndOption = None,
    notify: NotifyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics and events as JSON lines.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Train a preset in the background and follow it. Ctrl-C stops after a checkpoint; again, at once."""
    opened = open_preset(preset, narrate)
    options = {
        "epochs": epochs, "batch_size": batch_size, "lr": lr, "optimizer": optimizer, "precision": precision,
        "dataset": dataset, "seed": seed, "weights": weights, "freeze": freeze or None,
    }  # fmt: skip
    given = {
        "device": device, "gpus": gpus, "parallel": parallel, "folder": str(data) if data else None,
        "limit_train": limit_train, "limit_val": limit_val, "val_share": val_share,
    }  # fmt: skip
    network = opened.network
    if input_size is not None:
        network = network.with_input(*parse_input(input_size))
    if classes is not None:
        network = network.with_classes(classes)
    config = RunConfig(opened.name, network, opened.recipe).change(
        {
            **recipe_changes(options, assignments),
            **{key: value for key, value in given.items() if value is not None},
        }
    )
    notify_options = read_notify_options(on_end, notify)
    folder = runs_folder(runs_dir)
    planned = service.plan(config, folder)
    if started_by_torchrun():
        if on_end:
            raise RunError("--on-end is not possible under torchrun: let the command that starts torchrun do it")
        service.join(planned, folder, name)
    if queued:
        planned.raise_problem()
        _add_to_queue(planned.config, folder, name, notify_options)
        return
    run = service.create(planned, folder, name)
    start_and_follow(
        run, lambda: service.start(run), detach=detach, as_json=as_json, notify_options=notify_options, new=True
    )


def _add_to_queue(config: RunConfig, folder: Path, name: str | None, notify_options: NotifyOptions) -> None:
    """Add a run to the queue, and start its runner if there is none."""
    from alexplore.runs.queue import Queue
    from alexplore.runs.queue_runner import start_runner

    queue = Queue(folder)
    occasions = USUAL if notify_options.occasions is None else notify_options.occasions
    item = queue.add(config, name or timed_name(config.preset), command=notify_options.command, occasions=occasions)
    start_runner(queue)
    say(item.name)
    narrate("in the queue; see it with: alexplore queue list")


def start_and_follow(
    run: RunDirectory,
    start: Callable[[], subprocess.Popen[bytes]],
    *,
    detach: bool,
    as_json: bool,
    notify_options: NotifyOptions,
    new: bool = False,
) -> None:
    """Start a worker on a run, and follow the run to its end unless it is detached.

    A `new` run that fails before its first step is removed, and a resumed one that fails before it trains gets its
    state back: nothing was trained, and the reason was shown.
    """
    if detach:
        start()
        notify_options.start_on_end(run)
        say(run.name)
        narrate(f"training in the background; watch with: {run.command('watch')}")
        return
    from alexplore.cli.bell import Bell
    from alexplore.cli.follow import Interrupts, follow

    after, before = last_sequence(run.events_file), service.state_before(run)
    interrupts = Interrupts()
    with interrupts.counted():  # before the worker starts, so that it is never left behind
        process = start()
        notify_options.start_on_end(run)
        narrate(f"run {run.name}")

        def kill() -> None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

        code = follow(
            run, owner=True, as_json=as_json, kill=kill, interrupts=interrupts, after=after, bell=Bell(notify_options)
        )
    # The worker's exit code tells wrong use, such as more GPUs than there are, from a failure.
    refused = code == FAILED and process.wait() == WRONG_USE
    if code == FAILED and not notify_options.command:  # it may use the run
        if new and service.discard_untrained(run):
            narrate("nothing was trained, and the run was removed")
        elif not new and before is not None and service.restore_untrained(run, before):
            narrate("nothing was trained, and the run is as it was before")
    raise typer.Exit(WRONG_USE if refused else code)


SourceArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run, `last`, a path to one; with --weights also a preset.")
]
WeightsOption = Annotated[
    str | None, typer.Option(metavar="FILE|RUN", help="Weights to use instead: .safetensors, .pth, or another run's.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def predict(
    run: SourceArgument,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE…", help="Image files of any size and mode, or folders of them.")
    ],
    invert: Annotated[
        bool, typer.Option("--invert", help="Classify the negatives: for dark on light where the data set is light.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Draw each image as the network is shown it.")] = False,
    weights: WeightsOption = None,
    as_json: JsonOption = False,
    runs_dir: RunsDir = None,
) -> None:
    """Print the five likeliest classes of images."""
    from alexplore.render.predictions import prediction_lines
    from alexplore.runs.predictions import Predictions

    source, out, answers = _source(run, weights, runs_dir), console(), {}
    files = [str(expand(image)) for image in images]
    file = find_weights(weights, runs_folder(runs_dir)) if weights else None
    with Predictions(source, files, weights=file, invert=invert, pictures=show) as predictions:
        for prediction in predictions:
            if prediction.dark_on_light and not invert:
                narrate(f"{prediction.image}: dark on light, where the data set is light on dark; try --invert")
            answers[prediction.image] = prediction.to_dict() if show else prediction.classes
            if not as_json:
                for line in prediction_lines(prediction, out):
                    out.print(line)
    if as_json:
        say_json(answers, indent=1)
    raise typer.Exit(predictions.returncode)


def evaluate(
    run: SourceArgument,
    ten_crop: Annotated[bool, typer.Option("--ten-crop", help="Average over the paper's ten crops.")] = False,
    weights: WeightsOption = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where its data set is, if elsewhere now, or a folder of test images."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the predictions for each image to a CSV file.")
    ] = None,
    as_json: JsonOption = False,
    runs_dir: RunsDir = None,
) -> None:
    """Measure accuracy, calibration, precision and recall on the validation images; show the worst mistakes.

    --json adds the probabilities of each image. For a folder of images without folders of classes, the predictions are
    printed as CSV.
    """
    from alexplore.render.evaluations import evaluation_lines
    from alexplore.runs.evaluation import ask_for_evaluation, predictions_csv
    from alexplore.runs.launch import CommandError

    if data is not None and not expand(data).is_dir():
        raise WrongUseError(f"--data {data}: {no_folder_text(expand(data))}")
    options = [*(["--ten-crop"] if ten_crop else []), *(["--data", str(expand(data))] if data else [])]
    if weights is not None:
        options += ["--weights", str(find_weights(weights, runs_folder(runs_dir)))]
    if as_json or output:
        options.append("--probabilities")
    try:
        answer = ask_for_evaluation([*options, "--", str(_source(run, weights, runs_dir))])
    except CommandError as error:  # the process has reported why
        raise typer.Exit(error.exit_code) from None
    if output:
        deliver(predictions_csv(answer), expand(output))
    if as_json:
        say_json(answer.values)
    elif answer.evaluation is not None:
        out = console()
        for line in evaluation_lines(answer.evaluation):
            out.print(line)
    elif not output:
        deliver(predictions_csv(answer), None)


def _source(run: str, weights: str | None, runs_dir: Path | None) -> Path:
    """Return the folder of a run; if weights are given, the file of the preset with that name, if there is one."""
    preset = _preset_file(run)
    if preset is not None and weights:
        return preset
    try:
        found = find_run(run, runs_folder(runs_dir))
    except RunError as error:
        if preset is None:
            raise
        raise RunError(f"{error}. {run} is a preset: its network can be asked with --weights FILE") from None
    if preset is not None and found.name != run:
        narrate(f"{run} is taken as the run {found.name}; the preset {run} can be asked with --weights FILE")
    return found.path


def _preset_file(name: str) -> Path | None:
    try:
        return find_preset(name)
    except PresetError:
        return None
