"""Commands that ask a trained network: predict, evaluate. Torch runs in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alexplore.cli.options import RunsDir
from alexplore.cli.output import check_writable, console, deliver, narrate, say_json
from alexplore.core.errors import WrongUseError
from alexplore.core.home import expand
from alexplore.core.processes import CommandError, check_killed
from alexplore.presets.library import find_preset
from alexplore.presets.preset import PresetError
from alexplore.runs.data.image_layout import no_folder_text
from alexplore.runs.directory import RunError, find_run, runs_folder
from alexplore.runs.starting_weights import find_weights

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
    check_killed("the process that predicts", predictions.returncode)
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

    if data is not None and not expand(data).is_dir():
        raise WrongUseError(f"--data {data}: {no_folder_text(expand(data))}")
    if output is not None:
        check_writable(output)
    options = [*(["--ten-crop"] if ten_crop else []), *(["--data", str(expand(data))] if data else [])]
    if weights is not None:
        options += ["--weights", str(find_weights(weights, runs_folder(runs_dir)))]
    if as_json or output:
        options.append("--probabilities")
    try:
        answer = ask_for_evaluation([*options, "--", str(_source(run, weights, runs_dir))])
    except CommandError as error:  # the process has reported why
        raise typer.Exit(error.exit_code) from None
    if as_json:
        say_json(answer.values)
    elif answer.evaluation is not None:
        out = console()
        for line in evaluation_lines(answer.evaluation):
            out.print(line)
    elif not output:
        deliver(predictions_csv(answer), None)
    if output:  # at last: what was measured is shown even if the file can't be written
        deliver(predictions_csv(answer), expand(output))


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
    if not weights:
        found.check_weights()
    return found.path


def _preset_file(name: str) -> Path | None:
    try:
        return find_preset(name)
    except PresetError:
        return None
