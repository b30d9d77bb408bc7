"""Load a trained model: a run's, or a preset's with weights from a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from alexplore.core.boundary import print_note
from alexplore.core.regular_files import read_json_object
from alexplore.network.shapes import Shape, shape_text
from alexplore.presets.datasets import DATASETS
from alexplore.presets.reader import read_preset
from alexplore.runs.config import Hardware, RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.runs.trained_on import TrainedOn, read_trained_on
from alexplore.training import checkpoint
from alexplore.training.data import Dataset, read_dataset
from alexplore.training.errors import CheckpointError, UsageError
from alexplore.training.hardware import choose_device
from alexplore.training.model.build import build, check_classifier

IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode on its device, and what it was trained with."""

    config: RunConfig

    dataset: Dataset
    """What it was trained on, without the images."""

    model: nn.Module
    device: torch.device

    weights: Path
    """The file or checkpoint folder that its weights are from."""

    trained_on: TrainedOn | None = None
    """What the run was trained on; None for a preset."""


def load_model(source: Path, weights: Path | None) -> LoadedModel:
    """Load the network of a run's folder, or of a preset file.

    The weights are those in the file `weights`, or else, for a run, in its best or its last checkpoint that is whole.

    Raises:
        UsageError: there are no weights, or the run was never trained.
        CheckpointError: the weights are damaged or don't fit the network.
        PresetError: the preset can't be read.
        ShapeError: a layer of the network is broken.
    """
    if source.is_dir():
        run = RunDirectory(source)
        config = run.config()
        dataset, trained_on = _recorded_dataset(run), read_trained_on(run)
        if (outputs := check_classifier(config.network)) != len(dataset.classes):
            raise UsageError(
                f"{run.dataset_file}: {len(dataset.classes)} classes, but the network has {outputs} outputs"
            )
    else:
        preset = read_preset(source)
        config, trained_on = RunConfig(preset.name, preset.network, preset.recipe), None
        dataset = _assumed_dataset(config)
    found = (weights, checkpoint.read_weights(weights)) if weights else _weights_of_run(source)
    if found is None:
        raise UsageError(f"{source.stem} has no checkpoint yet; train it, or give --weights FILE")
    where, tensors = found
    # The GPUs that a run was trained on may be on another machine, and one device is enough.
    device = choose_device(Hardware("cpu" if config.hardware.device == "cpu" else "auto"))
    model = build(config.network)
    load_weights(model, tensors, where)
    return LoadedModel(config, dataset, model.eval().to(device), device, where, trained_on)


def _weights_of_run(source: Path) -> tuple[Path, dict[str, Tensor]] | None:
    """Return the weights of a run's folder, with their checkpoint; a damaged one is named in a warning."""
    folder = RunDirectory(source).checkpoints_folder
    return checkpoint.load_best_weights(folder, lambda message: print_note(f"warning: {message}"))


def load_weights(model: nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Load weights into a model, by name if the names are the model's, else by the shapes of each layer's tensors.

    So torchvision's weights fit, whose names are `features.0.weight` and so on. Layers with the same shapes are
    assigned in the order of their names, if the file has them in that order too. `source` is named in messages.

    Raises:
        CheckpointError: the tensors don't fit the model, their assignment is ambiguous, or a value is not finite.
    """
    own = model.state_dict()
    if set(own) != set(tensors):
        tensors = _rename(own, tensors, source)
    checkpoint.check_shapes(own, tensors, source)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() != own[name].is_floating_point():
            raise CheckpointError(f"{source}: {name} contains {str(tensor.dtype).removeprefix('torch.')} numbers")
        if not tensor.isfinite().all():
            raise CheckpointError(f"{source}: {name} contains numbers that are not finite, so it can't be used")
    model.load_state_dict(tensors)


def _rename(own: dict[str, Tensor], tensors: dict[str, Tensor], source: Path) -> dict[str, Tensor]:
    """Return the tensors under the names of the model's, `own`, that have the same shapes."""
    if len(own) != len(tensors):
        raise CheckpointError(f"{source}: contains {len(tensors)} tensors, the network has {len(own)}")
    theirs = _layers_by_shapes(tensors)
    renamed = {}
    for shapes, layers in _layers_by_shapes(own).items():
        fitting = theirs.get(shapes, [])
        if len(fitting) != len(layers):
            wanted = " and ".join(f"{kind} {shape_text(shape) or 'of one number'}" for kind, shape in sorted(shapes))
            raise CheckpointError(f"{source}: has {len(fitting)} layers that fit {', '.join(layers)} ({wanted})")
        if fitting != sorted(fitting, key=_natural_order):
            raise CheckpointError(
                f"{source}: {' and '.join(fitting)} have the same shapes, and neither their names nor their order show "
                f"which is {layers[0]}: give them the network's names"
            )
        for layer, other in zip(layers, fitting, strict=True):
            renamed.update({f"{layer}.{kind}": tensors[f"{other}.{kind}"] for kind, _ in shapes})
    return renamed


def _layers_by_shapes(tensors: dict[str, Tensor]) -> dict[frozenset[tuple[str, Shape]], list[str]]:
    """Return the names of layers, in order, by the kinds (weight, bias, …) and shapes of their tensors."""
    layers: dict[str, set[tuple[str, Shape]]] = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        layers.setdefault(layer, set()).add((kind, tuple(tensor.shape)))
    by_shapes: dict[frozenset[tuple[str, Shape]], list[str]] = {}
    for layer, shapes in layers.items():
        by_shapes.setdefault(frozenset(shapes), []).append(layer)
    return by_shapes


def _natural_order(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts `b2` before `b10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _recorded_dataset(run: RunDirectory) -> Dataset:
    try:
        return read_dataset(read_json_object(run.dataset_file, links=False))
    except FileNotFoundError:
        raise UsageError(f"{run.name} has no {run.dataset_file.name}: it was never trained") from None
    except OSError as error:
        raise UsageError(f"{run.dataset_file}: {error.strerror}") from None
    except ValueError as error:  # also a SettingError
        raise UsageError(f"{run.dataset_file}: {error}") from None


def _assumed_dataset(config: RunConfig) -> Dataset:
    """Return what the weights of a preset were probably trained on: the recipe's data set, or ImageNet."""
    channels, name = config.network.input[0], config.recipe.dataset
    count = check_classifier(config.network)
    published = DATASETS[name].images
    if published and len(published.classes) == count:
        classes = published.classes
    elif count == IMAGENET_CLASSES:
        classes = _imagenet_classes()
    else:
        classes = tuple(f"class {index}" for index in range(count))
    if config.recipe.normalize == "dataset":
        raise UsageError(
            f"{config.preset} normalises pixels by the statistics of its data set, which only a run records: give a run"
        )
    unknown = [0.0] * channels
    return read_dataset(
        {"name": name, "classes": classes, "channels": channels, "mean": unknown, "std": unknown, "synthetic": False,
         "size": None}
    )  # fmt: skip


def _imagenet_classes() -> tuple[str, ...]:
    """Return the names of the classes in the order of torchvision's published weights."""
    from torchvision.models import AlexNet_Weights  # type: ignore[import-untyped]

    return tuple(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])
