"""Choose the precision that a run trains in: the recipe's, or for `auto` the one that is faster on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from alexplore.presets.precisions import MARGIN
from alexplore.presets.recipe import Recipe
from alexplore.training.data import Dataset, Preprocess
from alexplore.training.loop import Objective
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import count_anew
from alexplore.training.precision import Precision, matmul_peak
from alexplore.training.timing import Comparison, compare

EXACT, FASTER = "fp32", "bf16"
FEW_IMAGES = 4
FAR = 2.0
"""A speedup on `FEW_IMAGES`, of either precision, that more images will not reverse."""

PASS_SECONDS = 1.0
"""Processor time on a CPU that a forward and a backward pass over the timed images should take at most."""


@dataclass(frozen=True)
class PrecisionChoice:
    """A precision with what it was chosen by: the fields of the event `precision`."""

    precision: str
    """fp32, bf16 or fp16."""

    device: str
    """cpu or cuda."""

    peak_flops: float
    """Floating-point operations a second of a large matrix multiplication in this precision, on one device."""

    images: int = 0
    """Images in the forward and backward pass that was timed; 0 if the recipe names the precision."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Time of that pass by precision, of the slowest rank: on a CPU the processor time of one thread."""

    speedup: float | None = None
    """Time in fp32 divided by that in bf16; None if the recipe names the precision."""

    kept: bool = False
    """Whether an earlier attempt of the run made this choice."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def kept_choice(recipe: Recipe, device: torch.device, earlier: Mapping[str, Any] | None) -> PrecisionChoice | None:
    """Return the choice that an earlier attempt made, or None if it was for another device or another precision.

    `earlier` is the run's last event `precision`. A resumed run keeps the choice, so that it ends with the same bits.
    """
    if earlier is None or earlier.get("device") != device.type:
        return None
    if recipe.precision not in ("auto", earlier.get("precision")):
        return None
    known = {name: earlier[name] for name in PrecisionChoice.__dataclass_fields__ if name in earlier}
    return PrecisionChoice(**{**known, "kept": True})


def choose_precision(
    recipe: Recipe, model: nn.Module, dataset: Dataset, preprocess: Preprocess, ranks: Ranks
) -> PrecisionChoice:
    """Return the recipe's precision, or for `auto` the faster one; the same on all ranks.

    bf16 is chosen if a forward and a backward pass over real images are `MARGIN` times faster in it than in fp32.
    """
    device = preprocess.device
    if recipe.precision != "auto":
        return PrecisionChoice(recipe.precision, device.type, matmul_peak(device, recipe.precision))
    images, comparison = _compare_precisions(recipe, model, dataset, preprocess, ranks)
    name = FASTER if comparison.speedup >= MARGIN else EXACT
    return PrecisionChoice(
        precision=name,
        device=device.type,
        peak_flops=matmul_peak(device, name),
        images=images,
        seconds={key: round(value, 6) for key, value in comparison.seconds.items()},
        speedup=round(comparison.speedup, 4),
    )


def _compare_precisions(
    recipe: Recipe, model: nn.Module, dataset: Dataset, preprocess: Preprocess, ranks: Ranks
) -> tuple[int, Comparison]:
    """Time both precisions; return the number of images timed and the comparison. The model stays as it is.

    The images are this rank's share of a batch. On a CPU, `FEW_IMAGES` of them are timed first. Then as many as take
    `PASS_SECONDS` are, unless one precision is `FAR` ahead: a processor without bf16 instructions can take minutes for
    a batch in bf16.
    """
    device = preprocess.device
    share = min(ranks.share_size(recipe.batch_size), len(dataset.train))
    images, labels = next(dataset.train.batches(torch.arange(share), share))
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.train()

    def compare_on(count: int) -> Comparison:
        inputs = preprocess.train(images[:count], seed=0)
        tasks = {
            name: partial(_forward_and_backward, model, recipe, Precision(name, device), inputs, labels[:count])
            for name in (EXACT, FASTER)
        }
        return compare(tasks, device, ranks.slowest)

    few_first = device.type == "cpu" and recipe.batch_size > FEW_IMAGES * ranks.data_size  # the same on all ranks
    count = min(FEW_IMAGES, share) if few_first else share
    comparison = compare_on(count)
    more = int(count * PASS_SECONDS / max(comparison.seconds.values()))
    if few_first and more > count and 1 / FAR < comparison.speedup < FAR:
        count = min(more, share)
        comparison = compare_on(count)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    count_anew(model)
    return count, comparison


def _forward_and_backward(
    model: nn.Module, recipe: Recipe, precision: Precision, inputs: Tensor, labels: Tensor
) -> None:
    loss, _ = Objective(model, recipe, precision)(inputs, labels)
    torch.autograd.backward(loss)
    model.zero_grad()
