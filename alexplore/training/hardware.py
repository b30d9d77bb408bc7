"""The machine that a worker runs on: its devices, threads and memory."""

from __future__ import annotations

import ctypes
import os

import psutil
import torch

from alexplore.core.cpu_count import processors
from alexplore.runs.accelerators import Accelerators, device_problems, network_problems
from alexplore.runs.config import Hardware, RunConfig
from alexplore.runs.estimate import memory_problems
from alexplore.runs.preflight import rank_problems
from alexplore.training.compute_setup import ComputeSetup
from alexplore.training.deterministic import make_deterministic
from alexplore.training.errors import UsageError
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import place

NICE = 10

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt."""


def find_accelerators() -> Accelerators:
    """Return the accelerators that PyTorch finds on this machine: what `torch.accelerator` names."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return Accelerators() if found is None else Accelerators(found.type, torch.accelerator.device_count())


def choose_device(hardware: Hardware) -> torch.device:
    """Return the device to train on, without an index, as each rank has its own: the CPU, or an accelerator.

    Raises:
        UsageError: an accelerator was requested and there is none, or more GPUs than there are.
    """
    found = find_accelerators()
    for problem in device_problems(hardware, found):
        raise UsageError(problem.message)
    return torch.device(found.chosen(hardware.device))


def choose_ranks(config: RunConfig, device: torch.device) -> int:
    """Return how many ranks to start: as many as requested, else one for each tower or GPU, else one.

    Raises:
        UsageError: a batch has fewer images, the device can't do a layer, or the network can't be split into towers, or
            not among so few GPUs.
    """
    ranks, towers = config.hardware.gpus, config.network.towers
    in_towers = config.hardware.parallel == "towers"
    if in_towers:
        check_ranks(config, ranks or towers)
    check_network(config)
    if in_towers:
        return towers
    if ranks is None:
        usable = 1 if device.type == "cpu" else find_accelerators().usable
        ranks = min(usable, config.recipe.batch_size)
    check_ranks(config, ranks)
    return ranks


def check_network(config: RunConfig) -> None:
    """Check that the device that a config asks for can do the layers of the network.

    Raises:
        UsageError: it can't do one, or there are fewer GPUs than towers.
    """
    for problem in network_problems(config, find_accelerators()):
        raise UsageError(problem.message)


def check_ranks(config: RunConfig, ranks: int) -> None:
    """Check that the work can be shared among a number of ranks, chosen here or by torchrun.

    Raises:
        UsageError: a batch has fewer images, or the network can't be split into as many towers.
    """
    for problem in rank_problems(config, ranks):
        raise UsageError(problem.message)
    if config.hardware.parallel == "towers":
        place(config.network)


def check_memory(config: RunConfig, ranks: int) -> None:
    """Check that training on the CPU fits into the free memory. If it does not, Linux may kill it or other programs.

    Raises:
        UsageError: it does not fit.
    """
    for problem in memory_problems(config, ranks, psutil.virtual_memory().available):
        raise UsageError(problem.message)


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or what kind of device it is: "CPU", "MPS"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()


def set_threads(device: torch.device, ranks: Ranks, earlier: ComputeSetup | None) -> int:
    """Set and return this rank's number of threads: that of earlier attempts, else its share of the processors.

    A resumed run keeps the number because sums are rounded differently with another one.
    """
    if earlier and earlier.threads and device.type == earlier.device == "cpu" and earlier.ranks == ranks.size:
        torch.set_num_threads(earlier.threads)
    elif ranks.size > 1:
        torch.set_num_threads(max(1, processors() // ranks.local_size))
    return torch.get_num_threads()


def prepare(device: torch.device, *, deterministic: bool = False) -> None:
    """Set up this process to train on a device.

    Raises:
        UsageError: it can't be `deterministic`.
    """
    if device.type == "cpu":
        _lower_priority()
        _keep_freed_memory()
    elif device.type == "cuda":
        # Shapes don't change, so cuDNN may time its algorithms once. Matrix products are done in TF32 as convolutions
        # are by PyTorch's default (its manual's "TensorFloat-32 on Ampere").
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if deterministic:
        make_deterministic()


def first_steps_text(device: torch.device) -> str | None:
    """Return what takes seconds in the first step on a device, for the status; None for a CPU, where nothing does."""
    return None if device.type == "cpu" else "choosing and compiling kernels in the first step"


def _lower_priority() -> None:
    """Give other programs, such as the app, priority."""
    os.nice(max(0, NICE - os.nice(0)))


def _keep_freed_memory() -> None:
    """Let malloc keep freed memory for later allocations.

    A step allocates and frees the same gigabytes as the one before. By default glibc returns them to the system each
    time, which clears every page for the next step; that takes several times as long as an activation function.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)  # never
