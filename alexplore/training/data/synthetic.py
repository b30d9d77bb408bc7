"""Images drawn from patterns that depend on the class: data without files, to try a training with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from alexplore.runs.config import RunConfig
from alexplore.runs.data.dataset_shapes import synthetic_counts, synthetic_size
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.trained_on import TrainedOn
from alexplore.runs.preflight import count_outputs
from alexplore.training.data.dataset import Dataset, Report, ResidentSplit, mean_and_std

PATTERN_CELLS = 4  # along each side of a class's pattern
SHIFT = 2  # pixels that a pattern is moved by at most
SEED = 2012


def open_synthetic(config: RunConfig, device: torch.device, _: Report, __: TrainedOn | None = None) -> Dataset:
    """Return images with as many channels and classes as the network has.

    Raises:
        DataError: the network has no output because a layer is broken.
    """
    network = config.network
    classes = count_outputs(network)
    if classes is None:
        raise DataError("the network's last layer has no output: fix the network before training it")
    channels = network.input[0]
    size = synthetic_size(config)
    counts = synthetic_counts(config.data, classes)
    train, val = (
        ResidentSplit(*draw_images(classes, channels, size, count, part), device) for part, count in enumerate(counts)
    )
    names = tuple(f"pattern {i + 1}" for i in range(classes))
    return Dataset("synthetic", names, channels, *mean_and_std(train), train, val, synthetic=True, size=size)


def draw_images(classes: int, channels: int, size: tuple[int, int], count: int, part: int) -> tuple[Tensor, Tensor]:
    """Return uint8 images (count, channels, *size) and int64 labels (count,), the classes in turn.

    Each class has a smooth pattern of random colours. An image is that pattern, moved a little, with a contrast of its
    own and noise. Equal arguments give equal images. `part` is 0 for training and 1 for validation images, which have
    the same patterns.
    """
    height, width = size
    generator = torch.Generator().manual_seed(SEED)
    patterns = torch.rand(classes, channels, PATTERN_CELLS, PATTERN_CELLS, generator=generator) - 0.5
    patterns = F.interpolate(patterns, size=(height + 2 * SHIFT, width + 2 * SHIFT), mode="bilinear")
    generator.manual_seed(SEED + 1 + part)
    labels = torch.arange(count) % classes
    images = torch.empty(count, channels, height, width, dtype=torch.uint8)
    for chosen in torch.split(torch.arange(count), 1024):
        n = len(chosen)
        top, left = (torch.randint(2 * SHIFT + 1, (n, 1), generator=generator) for _ in range(2))
        rows, columns = top + torch.arange(height), left + torch.arange(width)
        moved = patterns.permute(0, 2, 3, 1)[labels[chosen][:, None, None], rows[:, :, None], columns[:, None, :]]
        contrast = 0.5 + torch.rand(n, 1, 1, 1, generator=generator)
        noise = 0.15 * torch.randn(n, channels, height, width, generator=generator)
        images[chosen] = ((0.5 + contrast * moved.permute(0, 3, 1, 2) + noise) * 256).clamp(0, 255).to(torch.uint8)
    return images, labels
