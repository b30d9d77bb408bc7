"""Choose the precision that a run trains in: the recipe's, or for `auto` the one that is faster on this machine."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from alexplore.presets.precisions import MARGIN
from alexplore.presets.recipe import Recipe
from alexplore.runs.protocol import PrecisionEvent
from alexplore.training.cuda_graphs import WARM_UP, Capture, CapturedWork, Results, make_capture
from alexplore.training.data.dataset import Dataset
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.kernels.table import NONE, Kernels
from alexplore.training.objective import Objective
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import reset_counts
from alexplore.training.precision import Precision, matmul_peak
from alexplore.training.timing import Comparison, Task, compare

EXACT, FASTER = "fp32", "bf16"
FEW_IMAGES = 4
FAR = 2.0
"""If one precision is faster by this factor on `FEW_IMAGES` images, it is taken to be faster on more images too."""

PASS_SECONDS = 1.0
"""The most seconds of processor time for a forward and a backward pass over the timed images, on a CPU."""


def kept_choice(recipe: Recipe, device: torch.device, earlier: PrecisionEvent | None) -> PrecisionEvent | None:
    """Return the choice of an earlier attempt, or None if it was for another device or another precision.

    `earlier` is the run's last event of this kind. A resumed run keeps the choice, so that it ends with the same bits.
    """
    if earlier is None or earlier.device != device.type or recipe.precision not in ("auto", earlier.precision):
        return None
    return replace(earlier, kept=True)


def choose_precision(
    recipe: Recipe, model: nn.Module, dataset: Dataset, preprocess: Preprocess, ranks: Ranks, kernels: Kernels = NONE
) -> PrecisionEvent:
    """Return the recipe's precision, or for `auto` the faster one; the same on all ranks.

    bf16 is chosen if a forward and a backward pass over real images are `MARGIN` times faster in it than in fp32. They
    are captured as CUDA graphs if steps will be with these kernels: the time of launching would hide the difference.
    """
    device = preprocess.device
    if recipe.precision != "auto":
        return PrecisionEvent(recipe.precision, device.type, matmul_peak(device, recipe.precision))
    capture = make_capture(device, ranks.size, kernels)
    images, comparison = _compare_precisions(recipe, model, dataset, preprocess, ranks, capture)
    speedup = round(comparison.speedup, 4)
    name = FASTER if speedup >= MARGIN else EXACT
    return PrecisionEvent(
        precision=name,
        device=device.type,
        peak_flops=matmul_peak(device, name),
        images=images,
        seconds={key: round(value, 6) for key, value in comparison.seconds.items()},
        speedup=speedup,
    )


def _compare_precisions(
    recipe: Recipe,
    model: nn.Module,
    dataset: Dataset,
    preprocess: Preprocess,
    ranks: Ranks,
    capture: Capture | None,
) -> tuple[int, Comparison]:
    """Time both precisions, and return the number of images timed and the comparison. The model is not changed.

    The images are this rank's share of a batch. On a CPU, `FEW_IMAGES` of them are timed first, and then as many as
    take `PASS_SECONDS`, unless one precision is faster by the factor `FAR`: a processor
    without bf16 instructions can take minutes for a batch in bf16.
    """
    device = preprocess.device
    share = min(ranks.share_size(recipe.images_at_once(ranks.data_size)), len(dataset.train))
    images, labels = next(dataset.train.batches(torch.arange(share), share))
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.train()

    def compare_on(count: int) -> Comparison:
        inputs = preprocess.train(images[:count], seed=0)
        tasks = {
            name: _task(model, recipe, Precision(name, device), inputs, labels[:count], capture)
            for name in (EXACT, FASTER)
        }
        # By turns: what is captured first would keep its memory while the other one warms up.
        for _ in range(WARM_UP + 1 if capture else 0):
            for task in tasks.values():
                task()
        return compare(tasks, device, ranks.slowest)

    few_first = device.type == "cpu" and recipe.batch_size > FEW_IMAGES * ranks.data_size  # the same on all ranks
    count = min(FEW_IMAGES, share) if few_first else share
    comparison = compare_on(count)
    more = int(count * PASS_SECONDS / max(1e-9, *comparison.seconds.values()))
    if few_first and more > count and 1 / FAR < comparison.speedup < FAR:
        count = min(more, share)
        comparison = compare_on(count)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    reset_counts(model)
    return count, comparison


def _task(
    model: nn.Module, recipe: Recipe, precision: Precision, inputs: Tensor, labels: Tensor, capture: Capture | None
) -> Task:
    """Return a forward and a backward pass, which is captured after its warm-up if `capture` is given."""
    objective, captured = Objective(model, recipe, precision), CapturedWork(capture)

    def work(inputs: Tensor, labels: Tensor) -> Results:
        loss, _ = objective(inputs, labels)
        torch.autograd.backward(loss)
        model.zero_grad()
        return ()

    def task() -> None:
        captured.run("pass", work, inputs, labels)

    return task
