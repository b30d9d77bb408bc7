"""Sync points: the steps at which all ranks read their metrics together and agree on what was requested."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from alexplore.runs.control import Request, take_requests
from alexplore.runs.directory import RunDirectory
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.signals import Signals

INTERVAL_SECONDS = 0.4
"""Approximate time from one sync point to the next."""


@dataclass(frozen=True)
class AgreedActions:
    """What all ranks do at a sync point."""

    stop: bool = False
    checkpoint: bool = False

    paused: bool = False
    """Whether training pauses, or stays paused."""

    evaluate: bool = False
    """Whether the validation images are evaluated now."""

    stop_after_epoch: bool = False
    """Whether training stops at the end of this epoch; it stays so until a `resume` is requested."""

    steered: bool = False
    """Whether rank 0 has requests to change the recipe."""

    gone: bool = False
    """Whether the run's directory is gone."""

    requests: tuple[Request, ...] = ()
    """The requests that rank 0 acknowledges; other ranks have none."""


class SyncPoints:
    """Counts steps up to the next sync point, which is at the same step on every rank.

    At each sync point the ranks agree on the number of steps to the next one, so that no rank waits for another in
    between.
    """

    def __init__(
        self,
        ranks: Ranks,
        run: RunDirectory | None,
        signals: Signals,
        on_progress: Callable[[], None] = lambda: None,
        waiting: Sequence[Request] = (),
    ) -> None:
        """`run` is the directory whose requests rank 0 reads; other ranks pass None, and handle only their signals.

        `on_progress` is called at every step and sync point. `waiting` are requests that came before.
        """
        self._waiting = tuple(waiting)
        self._ranks = ranks
        self._run = run
        self._identity = run.identity() if run else (0, 0)
        self._signals = signals
        self._on_progress = on_progress
        self._interval = 1  # steps from the last sync point to the next
        self._steps = 0  # since the last sync point
        self._last = time.monotonic()
        self._paused = False
        self._stop_after_epoch = False

    def step(self) -> bool:
        """Count one step, and return whether this is a sync point."""
        self._steps += 1
        self._on_progress()
        return self._steps >= self._interval

    def report_progress(self) -> None:
        """Report that this rank is at work, without counting a step."""
        self._on_progress()

    def agree(self, checkpoint: bool = False) -> AgreedActions:
        """Agree with all ranks on what to do; `checkpoint` says whether this rank wants to save one."""
        self._on_progress()
        requests = (*self._waiting, *take_requests(self._run)) if self._run else ()
        self._waiting = ()
        gone = self._run is not None and self._run.is_gone(self._identity)
        asked = [request.action for request in requests]
        for action in asked:
            if action in ("pause", "resume"):
                self._paused = action == "pause"
            if action in ("stop_after_epoch", "resume"):
                self._stop_after_epoch = action == "stop_after_epoch"
        elapsed = time.monotonic() - self._last
        wanted = round(self._steps * INTERVAL_SECONDS / max(elapsed, 1e-3))
        stop = self._signals.stop or "stop" in asked
        wishes = {
            "stop": stop,
            "checkpoint": checkpoint or "checkpoint" in asked,
            "paused": self._paused,
            "evaluate": "evaluate" in asked,
            "stop_after_epoch": self._stop_after_epoch,
            "steered": "set" in asked,
            "gone": gone,
        }
        interval = min(max(1, wanted), 4 * max(1, self._steps)) if self._ranks.rank == 0 else 0
        *agreed, self._interval = self._ranks.max(torch.tensor([*map(int, wishes.values()), interval])).tolist()
        self._steps = 0
        self._last = time.monotonic()
        return AgreedActions(
            **{wish: bool(value) for wish, value in zip(wishes, agreed, strict=True)}, requests=requests
        )
