"""CUDA graphs: the kernels of a training step are captured once, and launched together from then on.

Python takes some milliseconds to launch the hundred kernels of a step, longer than a GPU takes to compute them for a
small network. A captured step is one launch. It repeats the captured kernels on the same memory, so the inputs are
copied there first.

A captured step must not read from the device or copy from unpinned host memory, and must change whatever outlives it,
such as weights, in place. Nothing may keep the autograd graph of an earlier step alive: PyTorch would then compute the
next gradients on that step's stream, which is not captured.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from alexplore.runs.kernel_choice import PLAIN, VARIABLE
from alexplore.training.errors import is_out_of_memory
from alexplore.training.kernels.table import Kernels

T = TypeVar("T")

Results = tuple[Tensor, ...]
Work = Callable[..., Results]
"""Takes tensors on the device and returns tensors on the device."""

Capture = Callable[[Callable[[], Results]], tuple[Results, Callable[[], object]]]
"""Captures the kernels that a function launches, without running them.

Returns the function's results, and the function that computes them.
"""

WARM_UP = 3
"""Steps before the first capture, in which libraries choose algorithms and allocate memory."""

MOST = 4
"""The most different steps that are captured: each keeps memory on the device."""


@dataclass(frozen=True)
class _Captured:
    inputs: tuple[Tensor, ...]
    replay: Callable[[], object]
    results: Results


class CapturedWork:
    """Runs work on a device, from the fourth time on by a CUDA graph: one for each kind of work and shapes of inputs.

    If `capture` is None, nothing is captured.
    """

    def __init__(self, capture: Capture | None, on_failure: Callable[[str], None] = lambda _: None) -> None:
        """`on_failure` is called with the reason if work can't be captured; from then on nothing is."""
        self._capture, self._on_failure = capture, on_failure
        self._times: dict[Hashable, int] = {}
        self._captured: dict[Hashable, _Captured] = {}

    @property
    def active(self) -> bool:
        """Whether work is captured."""
        return self._capture is not None

    @property
    def kinds(self) -> int:
        """The number of captured graphs."""
        return len(self._captured)

    def run(self, kind: Hashable, work: Work, *inputs: Tensor) -> Results:
        """Return the results of `work(*inputs)`. They are overwritten by the next run.

        All work of one kind must be the same function of its inputs.
        """
        if self._capture is None:
            return work(*inputs)
        key = kind, tuple((value.shape, value.stride(), value.dtype) for value in inputs)
        if (captured := self._captured.get(key)) is None:
            self._times[key] = self._times.get(key, 0) + 1
            if self._times[key] <= WARM_UP or len(self._captured) == MOST:
                return self.beside(lambda: work(*inputs))
            if (captured := self._try_capture(work, inputs)) is None:
                return work(*inputs)
            self._captured[key] = captured
        for kept, value in zip(captured.inputs, inputs, strict=True):
            kept.copy_(value, non_blocking=True)
        captured.replay()
        return captured.results

    def beside(self, action: Callable[[], T]) -> T:
        """Return the result of work that is not captured; if the graphs leave no memory for it, do it without them.

        The graphs keep the memory of a whole step, which nothing else can use. The action is then done twice. Most
        memory of a step is needed before anything is changed but the random numbers and the statistics of batch norms,
        which then differ from those of a first try.
        """
        try:
            return action()
        except RuntimeError as error:
            if not self._captured or not is_out_of_memory(error):
                raise
            reason = _first_line(error)
        self._give_up(reason)  # outside of `except`, where the error holds what the work had allocated
        return action()

    def _give_up(self, reason: str) -> None:
        self._on_failure(reason)
        self._capture = None
        self._captured.clear()
        gc.collect()  # the error and the frames that it went through hold each other, and the memory of the failed step

    def _try_capture(self, work: Work, inputs: tuple[Tensor, ...]) -> _Captured | None:
        assert self._capture is not None
        kept = tuple(torch.empty_like(value).copy_(value) for value in inputs)
        try:
            results, replay = self._capture(lambda: work(*kept))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            reason = _first_line(error)
        else:
            return _Captured(kept, replay, results)
        self._give_up(reason)
        return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def make_capture(device: torch.device, ranks: int, kernels: Kernels) -> Capture | None:
    """Return the function that captures training steps on a device; None if they can't be captured.

    With several ranks they can't: the ranks exchange gradients in a step. `kernels` must contain "graphs", and
    "fused": PyTorch's other optimizers read values back.
    """
    return _CudaCapture() if device.type == "cuda" and ranks == 1 and kernels >= {"graphs", "fused"} else None


class _CudaCapture:
    """Captures CUDA graphs that share memory: they are never replayed at the same time."""

    def __init__(self) -> None:
        self._pool: Any = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], Results]) -> tuple[Results, Callable[[], object]]:
        graph = torch.cuda.CUDAGraph()
        failures: list[Exception] = []

        def kept() -> Results:
            try:
                return work()
            except Exception as error:  # else hidden by the failure of the capture, which it causes
                failures.append(error)
                raise

        gc.collect()
        gc.disable()  # graphs and events must not be freed during a capture
        try:
            # Meanwhile other threads allocate pinned memory for the next batches, which "global" would forbid.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                results = kept()
        except Exception as error:
            self._pool = torch.cuda.graph_pool_handle()  # PyTorch refuses to use the pool of a failed capture again
            found = (failures or [error])[0]
            if not is_out_of_memory(found):
                found.add_note(f"while a step was captured as a CUDA graph; {VARIABLE}={PLAIN} trains without")
            raise found from None
        finally:
            gc.enable()
        return results, graph.replay
