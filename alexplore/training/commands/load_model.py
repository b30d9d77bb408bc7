"""Load a trained model: a run's, or a preset's with weights from a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from alexplore.core.boundary import print_warning
from alexplore.core.regular_files import read_json_object
from alexplore.presets.datasets import DATASETS
from alexplore.presets.reader import read_preset
from alexplore.runs.config import Hardware, RunConfig
from alexplore.runs.data.trained_on import TrainedOn, read_trained_on
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.training import checkpoint
from alexplore.training.data.dataset import Dataset, read_dataset
from alexplore.training.data.decoders import choose_decoder
from alexplore.training.errors import CheckpointError, UsageError
from alexplore.training.hardware import check_network, choose_device
from alexplore.training.kernels.table import choose_kernels
from alexplore.training.model.build import build, check_classifier
from alexplore.training.weight_matching import load_weights

IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode on its device, and what it was trained with."""

    config: RunConfig

    dataset: Dataset
    """The data set that it was trained on, without the images."""

    model: nn.Module
    device: torch.device

    weights: Path
    """The file or checkpoint folder that its weights are from."""

    trained_on: TrainedOn | None = None
    """What the run was trained on; None for a preset."""


def load_model(source: Path, weights: Path | None) -> LoadedModel:
    """Load the network of a run's folder, or of a preset file.

    The weights are those in the file `weights`, or else, for a run, in its best or newest undamaged checkpoint.

    Raises:
        UsageError: there are no weights, or the run was never trained.
        RunError: its description of the data set is damaged or can't be read.
        CheckpointError: the weights are damaged or don't fit the network.
        PresetError: the preset can't be read.
        ShapeError: a layer of the network is broken.
    """
    if source.is_dir():
        run = RunDirectory(source)
        config = run.config()
        dataset, trained_on = _recorded_dataset(run), read_trained_on(run)
        if (outputs := check_classifier(config.network)) != len(dataset.classes):
            raise RunError(
                f"{run.dataset_file}: {len(dataset.classes)} classes, but the network has {outputs} outputs",
                failure=True,
            )
    else:
        preset = read_preset(source)
        config, trained_on = RunConfig(preset.name, preset.network, preset.recipe), None
        dataset = _assumed_dataset(config)
    found = (
        checkpoint.load_named_weights(weights, print_warning)
        if weights
        else checkpoint.load_best_weights(RunDirectory(source).checkpoints_folder, print_warning)
    )
    if found is None:
        raise UsageError(f"{source.stem} has no checkpoint yet; train it, or give --weights FILE")
    where, tensors = found
    # The GPUs that a run was trained on may be on another machine, and one device is enough.
    device = _device(config)
    model = build(config.network, kernels=choose_kernels(device.type))
    load_weights(model, tensors, where)
    return LoadedModel(config, dataset, model.eval().to(device), device, where, trained_on)


def _device(config: RunConfig) -> torch.device:
    """Return the device that the network is asked on: the CPU if the accelerator can't do one of its layers."""
    hardware = Hardware("cpu" if config.hardware.device == "cpu" else "auto")
    try:
        check_network(replace(config, hardware=hardware))
    except UsageError:
        return torch.device("cpu")
    return choose_device(hardware)


def _recorded_dataset(run: RunDirectory) -> Dataset:
    try:
        dataset = read_dataset(read_json_object(run.dataset_file, links=False))
    except FileNotFoundError:
        raise UsageError(f"{run.name} has no {run.dataset_file.name}: it was never trained") from None
    except OSError as error:
        raise RunError(f"{run.dataset_file}: {error.strerror}", failure=True) from None
    except ValueError as error:  # also a SettingError
        raise RunError(f"{run.dataset_file}: {error}", failure=True) from None
    decoder, warning = choose_decoder(dataset.decoder)
    if warning:
        print_warning(warning)
    return replace(dataset, decoder=decoder)


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
    mean = std = (0.0,) * channels
    if published and published.channels == channels:
        mean, std = published.mean, published.std
    elif config.recipe.normalize == "dataset":
        raise UsageError(
            f"{config.preset} normalises pixels by the statistics of its images, which only a run records: give a run"
        )
    return read_dataset(
        {"name": name, "classes": classes, "channels": channels, "mean": list(mean), "std": list(std),
         "synthetic": False, "size": None}
    )  # fmt: skip


def check_outputs(probabilities: Tensor, loaded: LoadedModel) -> None:
    """Check the probabilities that a network gives, or their logarithms.

    Raises:
        CheckpointError: one is NaN, because the weights are so large that the network's outputs overflow.
    """
    if probabilities.isnan().any():
        raise CheckpointError(f"{loaded.weights}: with these weights, the network's outputs overflow to NaN")


def _imagenet_classes() -> tuple[str, ...]:
    """Return the names of the classes in the order of torchvision's published weights."""
    from torchvision.models import AlexNet_Weights  # type: ignore[import-untyped]

    return tuple(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])
