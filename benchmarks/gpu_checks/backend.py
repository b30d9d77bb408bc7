"""Set PyTorch's settings of a GPU's arithmetic, and time tasks on a device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from alexplore.training import hardware


@contextmanager
def backend_flags(*, cudnn_benchmark: bool, matmul_tf32: bool, conv_tf32: bool) -> Iterator[None]:
    """Set cuDNN's search for the fastest algorithm, and TF32 in matrix products and convolutions; restore both."""
    with _restored_flags():
        _set_flags(cudnn_benchmark, matmul_tf32, conv_tf32)
        yield


@contextmanager
def plain_fp32() -> Iterator[None]:
    """Compute in fp32 without TF32, so that a GPU's results can be compared with a CPU's."""
    with backend_flags(cudnn_benchmark=False, matmul_tf32=False, conv_tf32=False):
        yield


@contextmanager
def pytorch_defaults() -> Iterator[None]:
    """Compute with PyTorch's defaults: TF32 in convolutions, not in matrix products, and no search."""
    with backend_flags(cudnn_benchmark=False, matmul_tf32=False, conv_tf32=True):
        yield


@contextmanager
def worker_settings(device: torch.device) -> Iterator[None]:
    """Compute with the worker's settings for a GPU. On a CPU nothing is set, as that would change the whole process."""
    with _restored_flags():
        if device.type == "cuda":
            hardware.prepare(device)
        yield


def timed(task: Callable[[], object], device: torch.device) -> float:
    """Return the seconds until the device has finished a task."""
    synchronize(device)
    started = time.perf_counter()
    task()
    synchronize(device)
    return time.perf_counter() - started


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all work; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _restored_flags() -> Iterator[None]:
    before = (
        torch.backends.cudnn.benchmark,
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
    )
    try:
        yield
    finally:
        _set_flags(*before)


def _set_flags(cudnn_benchmark: bool, matmul_tf32: bool, conv_tf32: bool) -> None:
    torch.backends.cudnn.benchmark = cudnn_benchmark
    torch.backends.cuda.matmul.allow_tf32 = matmul_tf32
    torch.backends.cudnn.allow_tf32 = conv_tf32
