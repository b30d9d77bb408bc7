"""What the rounding of a run's results depends on: checkpoints contain it, and resumed runs use it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alexplore.core.settings import found_text
from alexplore.runs.protocol import PrecisionEvent, StartEvent, event_record, is_step, read_event
from alexplore.training.run_writer import History

MOST_THREADS = 4096
"""A larger number in a checkpoint is damage; so many threads would bring the machine down."""


@dataclass(frozen=True)
class ComputeSetup:
    """The type of the device, the number of ranks, the threads of each rank, and the chosen precision."""

    device: str
    ranks: int
    threads: int
    choice: PrecisionEvent | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as state.pt contains them, under the key "means"."""
        choice = event_record(self.choice) if self.choice else None
        return {"device": self.device, "ranks": self.ranks, "threads": self.threads, "choice": choice}


def earlier_setup(saved: Mapping[str, Any] | None, history: History) -> ComputeSetup | None:
    """Return the setup of earlier attempts: from the state in a checkpoint, else from events.jsonl; None if unknown.

    `saved` is that state, or None without a checkpoint. Checkpoints of earlier versions contain no setup.

    Raises:
        ValueError, KeyError, TypeError: the state contains something else.
    """
    if saved is not None and isinstance(setup := saved.get("means"), dict):
        choice = read_event(setup["choice"]).event if setup["choice"] else None
        device, ranks, threads = str(setup["device"]), setup["ranks"], setup["threads"]
        if not (is_step(ranks) and is_step(threads) and threads <= MOST_THREADS):
            raise ValueError(f"ranks: found {found_text(ranks)}, threads: found {found_text(threads)}")
        return ComputeSetup(device, ranks, threads, choice if isinstance(choice, PrecisionEvent) else None)
    start, choice = history.last(StartEvent), history.last(PrecisionEvent)
    if start is not None:
        return ComputeSetup(start.device, start.ranks, start.threads, choice)
    return ComputeSetup("", 0, 0, choice) if choice else None
