"""The machine that a worker runs on: devices, threads, memory."""

from __future__ import annotations

import ctypes
import os

import psutil
import torch

from alexplore.core.cpu_count import processors
from alexplore.core.formatting import bytes_text
from alexplore.network.analysis import analyse
from alexplore.runs.config import Hardware, RunConfig, in_group
from alexplore.runs.preflight import rank_problems
from alexplore.runs.protocol import StartEvent
from alexplore.training.errors import UsageError
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import place
from alexplore.training.run_writer import History

NICE = 10
PROCESS_BYTES = 300 * 2**20  # of a rank before it has a network: Python, torch, its share of the images
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def choose_device(hardware: Hardware) -> torch.device:
    """The device to train on; with several GPUs, any of them.

    Raises:
        UsageError: cuda was asked for and there is none, or more GPUs than there are.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if hardware.device == "cuda" and not there:
        raise UsageError("--device cuda: PyTorch finds no GPU on this machine; use --device cpu, or auto")
    if hardware.device == "cpu" or not there:
        return torch.device("cpu")
    if hardware.gpus is not None and hardware.gpus > there and not in_group():
        raise UsageError(f"--gpus {hardware.gpus}: this machine has {there}; use --gpus {there} or less")
    return torch.device("cuda")


def choose_ranks(config: RunConfig, device: torch.device) -> int:
    """How many ranks to start: as many as asked for; else one for each tower, one for each GPU, or one CPU rank.

    Raises:
        UsageError: a batch can't be shared among so many, or the network can't be split into towers.
    """
    gpus = torch.cuda.device_count() if device.type == "cuda" else None
    ranks = config.hardware.gpus
    if config.hardware.parallel == "towers":
        towers = config.network.towers
        check_ranks(config, ranks or towers)
        if gpus is not None and towers > gpus:
            raise UsageError(f"--parallel towers: {towers} towers need as many GPUs, this machine has {gpus}")
        return towers
    if ranks is None:
        ranks = min(gpus or 1, config.recipe.batch_size)
    check_ranks(config, ranks)
    return ranks


def check_ranks(config: RunConfig, ranks: int) -> None:
    """Refuse a number of ranks, chosen here or by torchrun, among which the work can't be shared.

    Raises:
        UsageError: a batch has fewer images, or the network can't be split into as many towers.
    """
    for problem in rank_problems(config, ranks):
        raise UsageError(problem.message)
    if config.hardware.parallel == "towers":
        place(config.network)


def check_memory(config: RunConfig, ranks: int) -> None:
    """Check that training on the CPU fits into the memory that is free; else Linux may kill it or other programs.

    Raises:
        UsageError: it does not fit.
    """
    recipe = config.recipe
    memory = analyse(config.network).memory(recipe.batch_size, recipe.optimizer_state, recipe.activation_bits)
    each = PROCESS_BYTES + memory.total - memory.activations
    if config.hardware.parallel == "towers":
        share = (memory.total - memory.activations) // ranks
        each = PROCESS_BYTES + share + memory.weights + memory.optimizer  # collected to save a checkpoint
    needed, free = ranks * each + memory.activations, psutil.virtual_memory().available
    if needed <= free:
        return
    fitting = (free - memory.activations) // each
    fix = f"--gpus {fitting} or less" if 0 < fitting < ranks else "a smaller --batch-size"
    processes = f"{ranks} processes" if ranks > 1 else f"a batch of {recipe.batch_size} images"
    raise UsageError(
        f"training would take {bytes_text(needed)} of memory for {processes}, and {bytes_text(free)} are free: "
        f"use {fix}"
    )


def device_name(device: torch.device) -> str:
    """What people call it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def set_threads(device: torch.device, ranks: Ranks, history: History) -> int:
    """Give this rank its share of the cores, or as many threads as the run began with, whose sums add up alike."""
    earlier = history.last(StartEvent)
    if earlier and device.type == earlier.device == "cpu" and earlier.ranks == ranks.size:
        torch.set_num_threads(earlier.threads)
    elif ranks.size > 1:
        torch.set_num_threads(max(1, processors() // ranks.local_size))
    return torch.get_num_threads()


def prepare(device: torch.device) -> None:
    """Set this process up to train on a device."""
    if device.type == "cpu":
        _be_nice()
        _keep_memory()
    else:
        # The shapes stay: cuDNN may try its ways once. Products as convolutions: in TF32, PyTorch's default for the
        # latter (its manual's "TensorFloat-32 on Ampere").
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def _be_nice() -> None:
    """Let whoever watches come first: training takes what others leave."""
    os.nice(max(0, NICE - os.nice(0)))


def _keep_memory() -> None:
    """Have malloc keep what is freed.

    A step allocates and frees the same gigabytes as the one before. Left alone, glibc gives them back to the system
    each time, which clears every page again before the next step: several times the work of an activation function.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)  # never
