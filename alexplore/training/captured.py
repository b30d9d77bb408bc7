"""CUDA graphs: the kernels of a training step are captured once, and from then on launched together.

Python takes some milliseconds to launch the hundred kernels of a step, longer than a GPU takes to compute a small
network's. A captured step is one launch. It computes the same as the step that was captured, from whatever is in the
same memory then; so its inputs are copied there first.

What is captured must not read from the device, not copy from the host's ordinary memory, and change what outlives a
step, such as weights, in place. Nothing may hold on to the graph of an earlier step's gradients: PyTorch would compute
the next ones on the stream of that step, which is not captured.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from alexplore.training.kernels.table import Kernels

Results = tuple[Tensor, ...]
Work = Callable[..., Results]
"""Takes tensors on the device and returns tensors on the device."""

Capture = Callable[[Callable[[], Results]], tuple[Results, Callable[[], object]]]
"""Captures what a function launches, without computing it; returns its results and what computes them."""

WARM_UP = 3
"""Steps before one is captured: libraries choose their algorithms and allocate their memory in them."""

MOST = 4
"""Different steps that are captured at most: each keeps memory on the device."""


@dataclass(frozen=True)
class _Captured:
    inputs: tuple[Tensor, ...]
    replay: Callable[[], object]
    results: Results


class CapturedWork:
    """Does work on a device, from the fourth time on by a CUDA graph, for each kind of work and shapes of its inputs.

    With `capture` None each kernel is always launched by itself.
    """

    def __init__(self, capture: Capture | None, on_failure: Callable[[str], None] = lambda _: None) -> None:
        """`on_failure` is called with the reason if work can't be captured; it is done without, from then on."""
        self._capture, self._on_failure = capture, on_failure
        self._times: dict[Hashable, int] = {}
        self._captured: dict[Hashable, _Captured] = {}

    @property
    def active(self) -> bool:
        """Whether work is captured."""
        return self._capture is not None

    @property
    def kinds(self) -> int:
        """How many kinds of work are captured."""
        return len(self._captured)

    def run(self, kind: Hashable, work: Work, *inputs: Tensor) -> Results:
        """Return the results of `work(*inputs)`. They are overwritten by the next run.

        Work of one kind must do the same except for its inputs.
        """
        if self._capture is None:
            return work(*inputs)
        key = kind, tuple((value.shape, value.stride(), value.dtype) for value in inputs)
        if (captured := self._captured.get(key)) is None:
            self._times[key] = self._times.get(key, 0) + 1
            if self._times[key] <= WARM_UP or len(self._captured) == MOST:
                return work(*inputs)
            if (captured := self._try_capture(work, inputs)) is None:
                return work(*inputs)
            self._captured[key] = captured
        for kept, value in zip(captured.inputs, inputs, strict=True):
            kept.copy_(value, non_blocking=True)
        captured.replay()
        return captured.results

    def _try_capture(self, work: Work, inputs: tuple[Tensor, ...]) -> _Captured | None:
        assert self._capture is not None
        kept = tuple(torch.empty_like(value).copy_(value) for value in inputs)
        try:
            results, replay = self._capture(lambda: work(*kept))
        except torch.OutOfMemoryError as error:
            self._on_failure(str(error).partition("\n")[0])
            self._capture = None
            self._captured.clear()
            return None
        return _Captured(kept, replay, results)


def make_capture(device: torch.device, ranks: int, kernels: Kernels) -> Capture | None:
    """Return what captures the steps of a training on a device with so many ranks; None if they are not captured.

    Ranks exchange gradients in a step, which is not captured. `kernels` must contain "graphs", and
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
            except Exception as error:  # which the failure of the capture, that follows from it, would hide
                failures.append(error)
                raise

        gc.collect()
        gc.disable()  # freeing what another graph or an event had is not allowed during a capture
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                results = kept()
        except Exception as error:
            raise (failures or [error])[0] from None
        finally:
            gc.enable()
        return results, graph.replay
