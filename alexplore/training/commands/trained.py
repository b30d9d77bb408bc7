"""A trained network, ready to be asked: a run's, or a preset's with weights from a file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from alexplore.network.shapes import Shape, shape_text
from alexplore.presets.reader import read_preset
from alexplore.runs.config import Hardware, RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.training import checkpoint
from alexplore.training.data import Dataset, read_dataset
from alexplore.training.data.record import KNOWN
from alexplore.training.errors import CheckpointError, UsageError
from alexplore.training.hardware import choose_device
from alexplore.training.model.build import build, check_classifier

IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Trained:
    """A model in evaluation mode on its device, and what it was trained with."""

    config: RunConfig
    dataset: Dataset
    model: nn.Module
    device: torch.device
    weights: Path


def load_trained(source: Path, weights: Path | None) -> Trained:
    """A run's network with the weights of a file, else its best checkpoint's, else its last one's; or a preset's.

    `source` is a run's folder or, with weights, a preset file. The data set is what it was like, without its images.

    Raises:
        TrainingError: there are no weights, they are damaged, or they don't fit the network.
        PresetError: the preset can't be read or used.
    """
    if source.is_dir():
        run = RunDirectory(source)
        config, where = run.config(), weights or _best_checkpoint(run)
        dataset = _remembered(run)
    else:
        config, where = _config_of(source), weights
        dataset = _presumed(config)
    if where is None:
        raise UsageError(f"{source.stem} has no checkpoint yet; train it, or give --weights FILE")
    # What a run was trained on may be elsewhere; asking takes one device.
    device = choose_device(Hardware("cpu" if config.hardware.device == "cpu" else "auto"))
    model = build(config.network)
    fit(model, checkpoint.read_weights(where), where)
    return Trained(config, dataset, model.eval().to(device), device, where)


def _best_checkpoint(run: RunDirectory) -> Path | None:
    folders = (run.checkpoints_folder / name for name in (checkpoint.BEST, checkpoint.LAST, checkpoint.PREVIOUS))
    return next((folder for folder in folders if folder.is_dir()), None)


def _config_of(file: Path) -> RunConfig:
    preset = read_preset(file)
    return RunConfig(preset.name, preset.network, preset.recipe)


def fit(model: nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Load weights by name; under other names, by the shapes of each layer's tensors (torchvision's: `features.0.…`).

    Layers of the same shapes come in the order of their names, where the file has them in that order too.

    Raises:
        CheckpointError: they don't fit, may be taken for one another, or are no finite numbers.
    """
    own = model.state_dict()
    if set(own) != set(tensors):
        tensors = _renamed(own, tensors, source)
    checkpoint.check_shapes(own, tensors, source)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() != own[name].is_floating_point():
            raise CheckpointError(f"{source}: {name} holds {str(tensor.dtype).removeprefix('torch.')} numbers")
        if not tensor.isfinite().all():
            raise CheckpointError(f"{source}: {name} holds numbers that are not finite: it can't be used")
    model.load_state_dict(tensors)


def _renamed(own: dict[str, Tensor], tensors: dict[str, Tensor], source: Path) -> dict[str, Tensor]:
    if len(own) != len(tensors):
        raise CheckpointError(f"{source}: holds {len(tensors)} tensors, the network has {len(own)}")
    theirs = _layers_by_shapes(tensors)
    renamed = {}
    for shapes, layers in _layers_by_shapes(own).items():
        fitting = theirs.get(shapes, [])
        if len(fitting) != len(layers):
            wanted = " and ".join(f"{kind} {shape_text(shape) or 'of one number'}" for kind, shape in sorted(shapes))
            raise CheckpointError(f"{source}: has {len(fitting)} layers that fit {', '.join(layers)} ({wanted})")
        if fitting != sorted(fitting, key=_natural):
            raise CheckpointError(
                f"{source}: {' and '.join(fitting)} have the same shapes, and neither names nor order tell which is "
                f"{layers[0]}: give them the network's names"
            )
        for layer, other in zip(layers, fitting, strict=True):
            renamed.update({f"{layer}.{kind}": tensors[f"{other}.{kind}"] for kind, _ in shapes})
    return renamed


def _layers_by_shapes(tensors: dict[str, Tensor]) -> dict[frozenset[tuple[str, Shape]], list[str]]:
    """Layers' names, in order, by the kinds and shapes of their tensors."""
    layers: dict[str, set[tuple[str, Shape]]] = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        layers.setdefault(layer, set()).add((kind, tuple(tensor.shape)))
    by_shapes: dict[frozenset[tuple[str, Shape]], list[str]] = {}
    for layer, shapes in layers.items():
        by_shapes.setdefault(frozenset(shapes), []).append(layer)
    return by_shapes


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts `b2` before `b10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _remembered(run: RunDirectory) -> Dataset:
    try:
        return read_dataset(json.loads(run.dataset_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{run.name} has no {run.dataset_file.name}: it was never trained") from None


def _presumed(config: RunConfig) -> Dataset:
    """What the weights of a preset are taken to have learned from: the recipe's data set, or ImageNet."""
    channels, name = config.network.input[0], config.recipe.dataset
    count = check_classifier(config.network)
    if name in KNOWN and len(KNOWN[name].classes) == count:
        classes = KNOWN[name].classes
    elif count == IMAGENET_CLASSES:
        classes = _imagenet_classes()
    else:
        classes = tuple(f"class {index}" for index in range(count))
    if config.recipe.normalize == "dataset":
        raise UsageError(
            f"{config.preset} standardises pixels by its data set's statistics, which only a run knows: give a run"
        )
    unknown = [0.0] * channels
    return read_dataset(
        {"name": name, "classes": classes, "channels": channels, "mean": unknown, "std": unknown, "synthetic": False,
         "size": None}
    )  # fmt: skip


def _imagenet_classes() -> tuple[str, ...]:
    """The names that torchvision's published weights come with, in order."""
    from torchvision.models import AlexNet_Weights  # type: ignore[import-untyped]

    return tuple(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])
