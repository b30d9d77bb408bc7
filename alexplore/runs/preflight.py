"""Check a run's config and its data set, as far as that needs no torch.

A worker checks the rest: GPUs, memory, and whether each image can be read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alexplore.core.boundary import os_error_text
from alexplore.core.formatting import count_text
from alexplore.core.home import NoHomeError, expand
from alexplore.core.settings import found_text, nearest
from alexplore.network.analysis import Analysis, analyse
from alexplore.network.graph import Network, can_freeze, channels_first
from alexplore.network.limits import ADDRESSABLE_BYTES, memory_problem
from alexplore.network.shapes import Shape, elements, shape_text
from alexplore.presets.recipe import BALANCED, Recipe
from alexplore.runs.config import RunConfig
from alexplore.runs.data.dataset_files import check_folder
from alexplore.runs.data.dataset_shapes import DatasetShape, dataset_need, dataset_shape
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import no_folder_text
from alexplore.runs.kernel_choice import KernelError, asked_kernels

RGB = 3

CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
DETERMINISTIC_WORKSPACES = (":4096:8", ":16:8")


@dataclass(frozen=True)
class Fix:
    """A change that removes a problem: `text` describes it, and `RunConfig.change(changes)` makes it."""

    text: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """Why a run can't be started.

    `setting` is the setting at fault: one of `Recipe`, `Hardware` or `DataSource`, `network`, or `environment`.
    `message` is one sentence, which names the fix if there is one. `failure` means that something is damaged or can't
    be read, and not that the run was described wrongly.
    """

    setting: str
    message: str
    fix: Fix | None = None
    failure: bool = False


def read_problem(values: Mapping[str, Any]) -> Problem:
    """Return the problem that `dataclasses.asdict` has made a table of."""
    fix = values["fix"]
    return Problem(**{**values, "fix": fix if fix is None else Fix(**fix)})


def find_problems(config: RunConfig) -> tuple[Problem, ...]:
    """Return everything that prevents a run with this config from being trained."""
    analysis = analyse(config.network)
    network_problems = tuple(_network_problems(config, analysis))
    return (
        *network_problems,
        *_freeze_problems(config, analysis),
        *averaging_problems(config.recipe),
        *rank_problems(config, config.hardware.gpus),
        *_data_problems(config, compare_outputs=not network_problems),
        *_environment_problems(),
        *workspace_problems(config.recipe),
    )


NO_TOWERS = "--parallel towers: this network has no towers; set towers = 2, or train with --parallel data"


def no_classes_text(output: Shape) -> str:
    """Return why a network whose output is not a vector can't be trained, and what to do."""
    return (
        f"the network ends in a {shape_text(output)} map, not in one number for each class: end it with flatten and "
        "linear layers"
    )


def rank_problems(config: RunConfig, ranks: int | None) -> Iterator[Problem]:
    """Yield why the work can't be shared among `ranks` ranks; None means as many as suit the network."""
    towers, batch = config.network.towers, config.recipe.batch_size
    if config.hardware.parallel == "towers":
        if towers < 2:
            yield Problem(
                "parallel",
                NO_TOWERS,
                Fix("train with --parallel data", {"parallel": "data"}),
            )
        elif ranks not in (None, towers):
            yield Problem(
                "gpus",
                f"--parallel towers: this network has {towers} towers, each for one rank, not for {ranks}",
                Fix(f"use --gpus {towers}", {"gpus": towers}),
            )
    elif ranks is not None and ranks > batch:
        yield Problem(
            "gpus",
            f"{ranks} ranks: a batch of {batch} images can't be shared among so many; use --gpus {batch} or less",
            Fix(f"use --gpus {batch}", {"gpus": batch}),
        )


def fit_problems(network: Network, shape: DatasetShape) -> Iterator[Problem]:
    """Yield why a network doesn't fit a data set: the channels of its input, or its outputs."""
    if network.input[0] != shape.channels:
        turned = channels_first(network.input)
        sizes = turned[1:] if turned and turned[0] == shape.channels else network.input[1:]
        fitting = network.with_input(shape.channels, *sizes)
        text = f"set input to {shape_text(fitting.input)}"
        yield Problem(
            "network",
            f"images of {shape.name} have {count_text(shape.channels, 'channel')}, the network reads "
            f"{network.input[0]}: {text} (--input {shape_text(fitting.input).replace('×', 'x')})",
            Fix(text, {"network": fitting}),
        )
    outputs = count_outputs(network)
    if outputs is None or outputs == shape.classes:
        return
    if network.classes is not None and outputs > network.classes:
        yield Problem(
            "network",
            f"the network tells {network.classes} classes apart but has {outputs:,} outputs: its last maps are not 1×1 "
            f"with an input of {shape_text(network.input)}; use another input, or an adaptive_avg_pool2d with "
            "output_size = 1",
        )
        return
    if shape.classes is None:
        return
    what = f"{shape.name} has {shape.classes} classes"
    if network.classifier is None:
        last = network.layers[-1].name
        yield Problem("network", f"{what}, the network's last layer {last} has {outputs} outputs: change the network")
        return
    classifier = network.layers[network.classifier]
    text = f"set its {classifier.produces} to {shape.classes}"
    yield Problem(
        "network",
        f"{what}, the network's last layer with weights {classifier.name} has {outputs} outputs: {text} "
        f"(--classes {shape.classes})",
        Fix(text, {"network": network.with_classes(shape.classes)}),
    )


def image_problems(recipe: Recipe, network_input: tuple[int, int, int]) -> Iterator[Problem]:
    """Yield why images can't be resized before they are cropped to the network's input."""
    _, height, width = network_input
    if recipe.resize is not None and recipe.resize < max(height, width):
        side = max(height, width)
        yield Problem(
            "resize",
            f"resize = {recipe.resize} is less than the network's input of {height}×{width}, which is cropped from "
            f"it: set resize to {side} or more, or leave it out",
            Fix(f"set resize to {side}", {"resize": side}),
        )


def pixel_problems(recipe: Recipe, dataset: str, channels: int) -> Iterator[Problem]:
    """Yield why images with `channels` channels can't be normalised as the recipe says."""
    if recipe.normalize == "imagenet" and channels != RGB:
        yield Problem(
            "normalize",
            f'normalize = "imagenet" is for images of {RGB} channels, and those of {dataset} have {channels}: set '
            'normalize to "dataset" or "unit"',
            Fix('set normalize to "dataset"', {"normalize": "dataset"}),
        )


def class_weight_problems(recipe: Recipe, classes: int | None) -> Iterator[Problem]:
    """Yield why a recipe's class weights don't fit the number of classes, which is None if it is not known."""
    if isinstance(recipe.class_weights, tuple) and classes is not None and len(recipe.class_weights) != classes:
        yield Problem(
            "class_weights",
            f"class_weights: {len(recipe.class_weights)} weights, but the data set has {classes} classes: give one for "
            f'each, or "{BALANCED}"',
            Fix(f'set class_weights to "{BALANCED}"', {"class_weights": BALANCED}),
        )


def averaging_problems(recipe: Recipe) -> Iterator[Problem]:
    """Yield why weights can't be averaged as the recipe says."""
    if recipe.swa_epochs is None:
        return
    if recipe.ema_decay is not None:
        yield Problem(
            "swa_epochs",
            "swa_epochs and ema_decay are two averages of the weights, and a run has one: leave one of them out",
            Fix("leave ema_decay out", {"ema_decay": None}),
        )
    if recipe.swa_epochs > recipe.epochs:
        yield Problem(
            "swa_epochs",
            f"swa_epochs = {recipe.swa_epochs} are to be averaged, but the run has {recipe.epochs} epochs: set "
            f"swa_epochs to {recipe.epochs} or less",
            Fix(f"set swa_epochs to {recipe.epochs}", {"swa_epochs": recipe.epochs}),
        )


def micro_batch_problems(network: Network, recipe: Recipe) -> Iterator[Problem]:
    """Yield why micro-batches can't have one image: a layer normalises over the images of a micro-batch."""
    if recipe.micro_batch_size != 1 or recipe.batch_size == 1:
        return
    for row in analyse(network).computed:
        if row.layer.fewest_images(row.inputs) > 1:
            yield Problem(
                "micro_batch_size",
                f"{row.layer.name} normalises over the images that are computed at once, and micro_batch_size = 1 is "
                "one image: set micro_batch_size to 2 or more",
                Fix("set micro_batch_size to 2", {"micro_batch_size": 2}),
            )
            return


def batch_problems(network: Network, images: int, batch_size: int) -> Iterator[Problem]:
    """Yield why `images` can't be trained in batches of `batch_size`.

    The last batch is one image, and a layer can't be trained on one: see `Layer.fewest_images`.
    """
    if batch_size != 1 and images % batch_size != 1:
        return
    for row in analyse(network).computed:
        if row.layer.fewest_images(row.inputs) > 1:
            fitting = next((size for size in range(batch_size + 1, batch_size + 10) if images % size != 1), None)
            yield Problem(
                "batch_size",
                f"{row.layer.name} normalises over a batch, and the last batch of {images:,} images by {batch_size} is "
                "one image: choose another batch_size",
                Fix(f"set batch_size to {fitting}", {"batch_size": fitting}) if fitting else None,
            )
            return


def workspace_problems(recipe: Recipe) -> Iterator[Problem]:
    """Yield that the environment configures cuBLAS in a way that is not deterministic.

    Source: cuBLAS's manual, "Results Reproducibility".
    """
    value = os.environ.get(CUBLAS_WORKSPACE, DETERMINISTIC_WORKSPACES[0])
    if recipe.deterministic and value not in DETERMINISTIC_WORKSPACES:
        yield Problem(
            "deterministic",
            f"deterministic: {CUBLAS_WORKSPACE}={value}: allowed: {' or '.join(DETERMINISTIC_WORKSPACES)}; unset it, "
            "or use one",
            Fix("train without deterministic", {"deterministic": False}),
        )


def recorded_text(names: Sequence[str]) -> str:
    """Return why a network with opaque layers can't be trained."""
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    verb = "is opaque: an operator" if len(names) == 1 else "are opaque: operators"
    return f"{listed} {verb} of an imported model that no layer type describes; remove or replace what is opaque"


def count_outputs(network: Network) -> int | None:
    """Return the number of the network's outputs for an image; None if a broken layer makes it unknown."""
    output = analyse(network).output
    return network.classes if output is None else elements(output)


def _network_problems(config: RunConfig, analysis: Analysis) -> Iterator[Problem]:
    broken = analysis.broken
    if broken is not None:
        fix = broken.fixes[0] if broken.fixes else None
        yield Problem(
            "network",
            f"{config.preset} can't train: {broken.error}",
            Fix(fix.text, {"network": fix.network}) if fix else None,
        )
        return
    if reason := memory_problem(analysis, ADDRESSABLE_BYTES, "no machine has more than"):
        yield Problem("network", f"{config.preset} can't train: {reason}")
        return
    opaque = [layer.name for layer in config.network.layers if layer.recorded]
    if opaque:
        yield Problem("network", f"{config.preset} can't train: {recorded_text(opaque)}")
        return
    output = analysis.rows[-1].output
    if output is not None and len(output) != 1:
        yield Problem("network", f"{config.preset} can't train: {no_classes_text(output)}")


def _freeze_problems(config: RunConfig, analysis: Analysis) -> Iterator[Problem]:
    """Yield the patterns that freeze no layer, and that no parameter is left to train."""
    network = config.network
    for pattern in config.recipe.freeze or ():
        if not network.freezable(pattern):
            names = [layer.name for layer in network.layers if can_freeze(layer)]
            yield Problem(
                "freeze",
                f"freeze: {found_text(pattern)} matches no layer with parameters{nearest(pattern, names)} "
                f"Layers: {', '.join(names)}",
            )
    if analysis.broken is None and analysis.totals.params and not analysis.totals.trainable_params:
        last = network.classifier
        name = "" if last is None else f", such as {network.layers[last].name}"
        yield Problem(
            "freeze", f"every layer with parameters is frozen: there is nothing to train; leave one out of freeze{name}"
        )


def _data_problems(config: RunConfig, *, compare_outputs: bool) -> Iterator[Problem]:
    folder = config.data.folder
    try:
        if folder is not None and not expand(folder).is_dir():
            yield Problem("folder", f"--data {folder}: {no_folder_text(expand(folder))}")
            return
        shape = dataset_shape(config)
        if folder is not None:
            check_folder(config.recipe.dataset, expand(folder))
    except DataError as error:
        yield Problem("folder", str(error), failure=error.failure)
        return
    except NoHomeError as error:
        yield Problem("folder", f"--data {error}")
        return
    except OSError as error:  # such as a file system that does not answer
        yield Problem("folder", f"--data {os_error_text(error)}", failure=True)
        return
    yield from _download_problems(config)
    if compare_outputs:
        yield from fit_problems(config.network, shape)
    yield from image_problems(config.recipe, config.network.input)
    yield from pixel_problems(config.recipe, shape.name, shape.channels)
    yield from class_weight_problems(config.recipe, shape.classes or count_outputs(config.network))
    yield from micro_batch_problems(config.network, config.recipe)
    if shape.train_images is not None:
        yield from batch_problems(config.network, shape.train_images, config.recipe.batch_size)


def _download_problems(config: RunConfig) -> Iterator[Problem]:
    """Yield that a data set is not here and may not be downloaded."""
    name, source = config.recipe.dataset, config.data
    if not source.download and source.folder is None and dataset_need(name) == "to fetch":
        yield Problem(
            "download",
            f"{name} is not here, and download is false: set it to true, or name a folder that has it",
            Fix("set download to true", {"download": True}),
        )


def _environment_problems() -> Iterator[Problem]:
    """Yield what is wrong with the environment variables that a worker reads."""
    try:
        asked_kernels()
    except KernelError as error:
        yield Problem("environment", str(error))
