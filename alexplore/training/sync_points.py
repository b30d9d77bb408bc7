"""The moments at which training looks up: ranks read their metrics together and agree on what is asked of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from alexplore.runs.control import Request, pending
from alexplore.runs.directory import RunDirectory
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.signals import Signals

LOOK_SECONDS = 0.4


@dataclass(frozen=True)
class Wishes:
    """What all ranks are to do now. `requests` are those that rank 0 owes an answer; other ranks have none."""

    stop: bool = False
    checkpoint: bool = False
    paused: bool = False
    requests: tuple[Request, ...] = ()


class Pulse:
    """Counts steps, and says when it is time to look: about every 0.4 s, at the same step on every rank.

    The ranks agree at one look on the step of the next, so none of the steps between waits for another rank.
    """

    def __init__(self, ranks: Ranks, run: RunDirectory | None, signals: Signals) -> None:
        """Without a run, as in ranks other than 0, only signals are listened to."""
        self._ranks = ranks
        self._run = run
        self._signals = signals
        self._until_look = 1
        self._steps = 0
        self._looked_at = time.monotonic()
        self._paused = False

    def due(self) -> bool:
        """Count one step; whether all ranks look now."""
        self._steps += 1
        return self._steps >= self._until_look

    def look(self, checkpoint: bool = False) -> Wishes:
        """Hear what is asked and agree on it; `checkpoint` is this rank's own wish for one."""
        requests = tuple(pending(self._run)) if self._run else ()
        asked = [request.action for request in requests]
        for action in asked:
            if action in ("pause", "resume"):
                self._paused = action == "pause"
        elapsed = time.monotonic() - self._looked_at
        wanted = round(self._steps * LOOK_SECONDS / max(elapsed, 1e-3))
        stop = self._signals.stop or "stop" in asked
        mine: Sequence[int] = (stop, checkpoint or "checkpoint" in asked, self._paused, 0)
        if self._ranks.rank == 0:
            mine = (*mine[:3], min(max(1, wanted), 4 * max(1, self._steps)))
        agreed = self._ranks.largest(torch.tensor(mine)).tolist()
        self._until_look = agreed[3]
        self._steps = 0
        self._looked_at = time.monotonic()
        return Wishes(bool(agreed[0]), bool(agreed[1]), bool(agreed[2]), requests)
