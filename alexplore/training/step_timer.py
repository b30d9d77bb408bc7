"""Time the parts of a training step without waiting for the device.

On a CPU every step is timed. On a GPU some steps are timed, by events that are recorded between the kernels and read
together with the metrics. A part's time is the GPU's, so waiting for images counts only while the GPU is idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from alexplore.runs.metrics import SLOWEST_RANK, layer_key
from alexplore.training.collectives import time_collectives
from alexplore.training.model.hooks import MarkHook
from alexplore.training.parallel.ranks import Ranks

Mark = Any
"""A point in time: seconds on a CPU, an event on a GPU."""

PARTS = ("input", "copy", "forward", "backward", "exchange", "optimizer", "step", "other")
"""The parts of a step; with `time/` in front they are keys of `runs.metrics.TIME_METRICS`."""

INNER = ("forward", "backward", "exchange", "optimizer")
"""Parts that are timed together, as `step`, if a whole step is one unit, such as a captured graph."""

GPU_STRIDE = 7
"""On a GPU one of this many steps is timed: a prime, so that periodic delays of the input don't distort the times."""

TIMED_AN_EPOCH = 10
"""The approximate number of metrics lines with times in an epoch; together they add about 3 kB."""

LAYERS_STRIDE = 151
"""In one of this many timed steps, and in the second, the forward pass of each layer is timed too."""


@dataclass
class StepTimes:
    """Seconds of some steps by part, and of the forward pass of some of them by layer."""

    steps: int = 0
    parts: dict[str, float] = field(default_factory=dict)
    layer_steps: int = 0
    layers: dict[str, float] = field(default_factory=dict)


class StepTimer:
    """Times the parts of steps.

    Call `start` before the first step, `enter` at the start of each part, and `end_step` after each step.
    """

    def __init__(self, device: torch.device, model: nn.Module | None = None, *, stride: int | None = None) -> None:
        """The children of `model` are the layers whose forward passes are timed.

        One of `stride` steps is timed; by default it depends on the device.
        """
        self._mark: Callable[[], Mark] = _event if device.type == "cuda" else time.perf_counter
        self._seconds = _event_seconds if device.type == "cuda" else _difference
        self._stride = stride or (GPU_STRIDE if device.type == "cuda" else 1)
        self._layers = {} if model is None else dict(model.named_children())
        self.whole_steps = False
        """Whether the parts in `INNER` are timed together: set it before a step that is captured as a whole."""
        self._part: str | None = None  # None if the current step is not timed
        self._since: Mark = None
        self._last_gradient: Mark = None
        self._hooks: list[Any] = []
        self._number = 0
        self._spans: list[tuple[str, Mark, Mark]] = []
        self._layer_spans: list[tuple[str, Mark, Mark]] = []
        self._steps = self._layer_steps = 0

    def start(self) -> None:
        """Start timing, with the wait for the first images."""
        self._begin()

    def stop(self) -> None:
        """Time nothing until the next `start`; the current part is discarded."""
        self._part = None
        self._unhook()

    def enter(self, part: str) -> None:
        """End the current part of the step and start another; see `PARTS`."""
        if self._part is None:
            return
        if self.whole_steps and part in INNER:
            part = "step"
        if part != self._part:
            now = self._mark()
            self._spans.append((self._part, self._since, now))
            self._part, self._since = part, now

    @contextmanager
    def inside(self, part: str) -> Iterator[None]:
        """Count the time of the `with` block to another part of the step."""
        before = self._part
        self.enter(part)
        try:
            yield
        finally:
            if before is not None:
                self.enter(before)
            self._last_gradient = None  # an exchange of the gradients until then has been counted

    def end_backward(self) -> None:
        """End the backward pass; the time since the last gradient was complete counts as exchange of gradients."""
        if self._part == "backward" and self._last_gradient is not None:
            self._spans.append((self._part, self._since, self._last_gradient))
            self._part, self._since = "exchange", self._last_gradient
        self._last_gradient = None

    def mark_gradient(self, _: Tensor) -> None:
        """Record that a gradient is complete. This is a hook of the parameters whose gradients are exchanged."""
        if self._part == "backward":
            self._last_gradient = self._mark()

    def end_step(self) -> None:
        """End a step and start timing the wait for the next images."""
        if self._part is not None:
            self.enter("input")
            self._steps += 1
        self._unhook()
        self._number += 1
        self._begin()

    def _begin(self) -> None:
        timed = self._number % self._stride == 0
        if not timed:
            self._part = None
        elif self._part is None:
            self._part, self._since = "input", self._mark()
        if timed and self._layers and not self.whole_steps and (self._number // self._stride) % LAYERS_STRIDE == 1:
            self._hook()

    def _hook(self) -> None:
        """Time each layer's forward pass in this step."""
        self._layer_steps += 1
        started: dict[str, Mark] = {}

        def begin(name: str) -> None:
            started[name] = self._mark()

        def end(name: str) -> None:
            self._layer_spans.append((name, started[name], self._mark()))

        for name, layer in self._layers.items():
            before, after = MarkHook(partial(begin, name)), MarkHook(partial(end, name))
            self._hooks += [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]

    def _unhook(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def take(self) -> StepTimes:
        """Return the times since the last call. The device must have finished the timed steps."""
        times = StepTimes(self._steps, self._sums(self._spans), self._layer_steps, self._sums(self._layer_spans))
        self._spans, self._layer_spans, self._steps, self._layer_steps = [], [], 0, 0
        return times

    def _sums(self, spans: Sequence[tuple[str, Mark, Mark]]) -> dict[str, float]:
        sums: dict[str, float] = {}
        for name, start, end in spans:
            sums[name] = sums.get(name, 0.0) + self._seconds(start, end)
        return sums


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _event_seconds(start: torch.cuda.Event, end: torch.cuda.Event) -> float:
    return float(start.elapsed_time(end)) / 1000


def _difference(start: float, end: float) -> float:
    return end - start


def make_timer(device: torch.device, model: nn.Module, ranks: Ranks) -> StepTimer:
    """Return the timer of a rank's steps, to which collective operations report."""
    timer = StepTimer(device, model)
    if ranks.size > 1:
        time_collectives(lambda: timer.inside("exchange"))
    if ranks.data_size > 1:
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(timer.mark_gradient)  # type: ignore[no-untyped-call]
    return timer


class TimeLog:
    """Collects the times of all ranks until they are written to a line of metrics."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._clear()

    def _clear(self) -> None:
        self._rows = torch.zeros(self._ranks.size, 1 + len(PARTS), dtype=torch.float64)  # steps, seconds by part
        self._layer_steps = 0
        self._layers: dict[str, float] = {}

    def add(self, times: StepTimes) -> None:
        """Add a rank's times; all ranks must call this together. Times of layers are those of rank 0."""
        row = torch.tensor([times.steps, *(times.parts.get(part, 0.0) for part in PARTS)], dtype=torch.float64)
        rows = torch.zeros_like(self._rows)
        rows[self._ranks.rank] = row
        self._rows += self._ranks.total(rows)
        self._layer_steps += times.layer_steps
        for layer, seconds in times.layers.items():
            self._layers[layer] = self._layers.get(layer, 0.0) + seconds

    def take(self) -> dict[str, float]:
        """Return the milliseconds of a step by the keys of metrics, and start again; empty without a step."""
        rows, layers, layer_steps = self._rows.tolist(), self._layers, self._layer_steps
        self._clear()
        if not all(row[0] for row in rows):
            return {}
        values = step_times([{part: s / row[0] for part, s in zip(PARTS, row[1:], strict=True)} for row in rows])
        found = {layer_key("forward_time", name): 1000 * s / layer_steps for name, s in layers.items()}
        return {key: float(f"{value:.4g}") for key, value in {**values, **found}.items()}


def step_times(ranks: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over the ranks of each part, in milliseconds, by the keys of metrics.

    `ranks` has the seconds of each rank by part. In an exchange a rank waits for the slowest rank: its wait is the
    difference between their times of work. The rest is the exchange itself.
    """
    work = [sum(parts.values()) - parts["exchange"] for parts in ranks]
    waits = [min(parts["exchange"], max(work) - own) for parts, own in zip(ranks, work, strict=True)]
    values = {f"time/{part}": _mean(parts[part] for parts in ranks) for part in PARTS}
    values["time/wait"] = sum(waits) / len(ranks)
    values["time/exchange"] -= values["time/wait"]
    found = {key: 1000 * seconds for key, seconds in values.items() if seconds > 0}
    return {**found, SLOWEST_RANK: float(work.index(max(work)))} if len(ranks) > 1 else found


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
