"""Estimate the memory of a training before it starts, and its time from earlier runs. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alexplore.core.cpu_count import processors
from alexplore.core.formatting import bytes_text
from alexplore.network.analysis import analyse
from alexplore.runs.config import RunConfig
from alexplore.runs.data.dataset_shapes import drawn_bytes
from alexplore.runs.gpus import has_nvidia_driver
from alexplore.runs.preflight import Fix, Problem
from alexplore.runs.summary import Summary

PROCESS_BYTES = 300 * 2**20
"""Bytes of a rank without a network: Python, PyTorch, and the images of a usual data set, up to `USUAL_IMAGES`."""

USUAL_IMAGES = 64 * 2**20

PASSES = 3
"""Passes of a training step over a layer: its output, the gradient of its input, and the gradient of its weights."""

CORE_MACS = 5e9
"""Multiply-accumulates a second of a CPU core in training: a rough guess, used when nothing was measured."""

SPEED = "images_per_second"


def may_use_gpu(config: RunConfig) -> bool:
    """Return whether a run may train on a GPU of this machine; only PyTorch can tell for certain."""
    return config.hardware.device != "cpu" and has_nvidia_driver()


@dataclass(frozen=True)
class CpuMemory:
    """Bytes that training on the CPU takes: `per_rank`, and the activations of the whole batch."""

    per_rank: int
    activations: int
    ranks: int

    @property
    def total(self) -> int:
        """Bytes of all ranks together."""
        return self.ranks * self.per_rank + self.activations


def cpu_memory(config: RunConfig, ranks: int) -> CpuMemory:
    """Return the memory that training on the CPU with `ranks` ranks takes."""
    recipe, towers = config.recipe, config.hardware.parallel == "towers"
    at_once = recipe.images_at_once(1 if towers else ranks)
    memory = analyse(config.network).memory(at_once, recipe.optimizer_state, recipe.activation_bits)
    per_rank = PROCESS_BYTES + memory.total - memory.activations
    if towers:
        share = (memory.total - memory.activations) // ranks
        per_rank = PROCESS_BYTES + share + memory.weights + memory.optimizer  # collected to save a checkpoint
    return CpuMemory(per_rank, memory.activations, ranks)


def cpu_ranks(config: RunConfig) -> int:
    """Return how many ranks train on the CPU: one for each tower, else as many as are set, else one."""
    return config.network.towers if config.hardware.parallel == "towers" else config.hardware.gpus or 1


def memory_problems(config: RunConfig, ranks: int, free: int) -> Iterator[Problem]:
    """Yield a problem if training on the CPU doesn't fit into `free` bytes: Linux would then kill processes."""
    memory, towers = cpu_memory(config, ranks), config.hardware.parallel == "towers"
    batch = config.recipe.images_at_once(1 if towers else ranks)
    if memory.total <= free:
        yield from _drawn_image_problems(config, ranks, free - memory.total)
        return
    change: Fix | None
    beginning = f"training would take {bytes_text(memory.total)} of memory for "
    fitting_ranks = (free - memory.activations) // memory.per_rank
    if 0 < fitting_ranks < ranks and not towers:
        fix = f"--gpus {fitting_ranks} or less"
        change = Fix(f"use --gpus {fitting_ranks}", {"gpus": fitting_ranks})
        setting = "gpus"
    else:
        fix, setting = "a smaller --batch-size", "batch_size"
        fitting_batch = int((free - ranks * memory.per_rank) * batch // max(1, memory.activations))
        if fitting_batch >= ranks:
            part = fitting_batch if towers else fitting_batch // ranks
            fix += f", or keep it and compute it in parts with --set training.micro_batch_size={part}"
        change = Fix(f"set batch_size to {fitting_batch}", {"batch_size": fitting_batch}) if fitting_batch > 0 else None
    processes = f"{ranks} processes" if ranks > 1 else f"a batch of {batch} images"
    yield Problem(setting, f"{beginning}{processes}, and {bytes_text(free)} are free: use {fix}", change)


def _drawn_image_problems(config: RunConfig, ranks: int, free: int) -> Iterator[Problem]:
    """Yield a problem if the images that every rank draws don't fit into `free` bytes beside the network."""
    size = drawn_bytes(config)
    if ranks * (size - USUAL_IMAGES) > free:
        larger = "limit_train" if (config.data.limit_train or 0) >= (config.data.limit_val or 0) else "limit_val"
        yield Problem(
            larger,
            f"the drawn images would take {bytes_text(ranks * size)} of memory beside the network, and "
            f"{bytes_text(free)} are free: use a smaller --{larger.replace('_', '-')}",
        )


@dataclass(frozen=True)
class Speed:
    """Images a second in training, and where the number is from.

    `measured` means measured with the same network on the same hardware; `guessed` means that nothing was measured.
    """

    images_per_second: float
    source: str
    measured: bool = False
    guessed: bool = False


def expected_speed(config: RunConfig, earlier: Sequence[Summary], measured: Speed | None = None) -> Speed | None:
    """Return how fast a run will be, from the first of these that there is.

    1. The speed of the newest earlier run of the same network on the same hardware.
    2. What was `measured` for this config.
    3. The speed of the newest run of another network on the same hardware, scaled by the networks' MACs.
    4. A guess for the CPU; None for a GPU.
    """
    recorded = [
        (summary, summary.config, summary.latest[SPEED])
        for summary in earlier
        if summary.config is not None
        and summary.config.hardware == config.hardware
        and summary.latest.get(SPEED, 0) > 0
    ]
    for summary, other, speed in recorded:
        if other.network == config.network:
            return Speed(speed, f"as fast as {summary.run.name}", measured=True)
    if measured is not None:
        return measured
    macs = analyse(config.network).totals.macs
    for summary, other, speed in recorded:
        other_macs = analyse(other.network).totals.macs
        if macs and other_macs:
            return Speed(speed * other_macs / macs, f"by the speed of {summary.run.name}")
    if not macs or may_use_gpu(config) or config.hardware.device in ("cuda", "mps"):
        return None
    return Speed(CORE_MACS * processors() / (PASSES * macs), "a guess", guessed=True)


def epoch_seconds(speed: Speed, train: int, val: int) -> float:
    """Return the seconds of an epoch with `train` training and `val` validation images, evaluation included."""
    return (train + val / PASSES) / speed.images_per_second
