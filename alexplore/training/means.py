"""What a run is computed with, which its bits depend on: a checkpoint keeps it for the attempts after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alexplore.core.settings import found_text
from alexplore.runs.protocol import PrecisionEvent, StartEvent, event_record, is_step, read_event
from alexplore.training.run_writer import History

MOST_THREADS = 4096
"""A larger number in a checkpoint is damage; to start so many would bring the machine down."""


@dataclass(frozen=True)
class Means:
    """The device, the number of ranks, the threads of each, and the choice of the precision."""

    device: str
    ranks: int
    threads: int
    choice: PrecisionEvent | None

    def to_dict(self) -> dict[str, Any]:
        """Return what a checkpoint contains of them."""
        choice = event_record(self.choice) if self.choice else None
        return {"device": self.device, "ranks": self.ranks, "threads": self.threads, "choice": choice}


def kept_means(saved: Mapping[str, Any] | None, history: History) -> Means | None:
    """Return the means of the earlier attempts: those in the state of a checkpoint, else those in events.jsonl.

    `saved` is None without a checkpoint; checkpoints of earlier versions contain none.

    Raises:
        ValueError, KeyError, TypeError: a checkpoint contains something else.
    """
    if saved is not None and isinstance(means := saved.get("means"), dict):
        choice = read_event(means["choice"]).event if means["choice"] else None
        device, ranks, threads = str(means["device"]), means["ranks"], means["threads"]
        if not (is_step(ranks) and is_step(threads) and threads <= MOST_THREADS):
            raise ValueError(f"ranks: found {found_text(ranks)}, threads: found {found_text(threads)}")
        return Means(device, ranks, threads, choice if isinstance(choice, PrecisionEvent) else None)
    start, choice = history.last(StartEvent), history.last(PrecisionEvent)
    if start is None and choice is None:
        return None
    return Means(start.device if start else "", start.ranks if start else 0, start.threads if start else 0, choice)
