"""The settings that the rounding of a run's results depends on: checkpoints contain them, resumed runs reuse them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alexplore.core.formatting import count_text
from alexplore.core.settings import found_text
from alexplore.runs.protocol import PrecisionEvent, StartEvent, event_record, is_step, read_event
from alexplore.training.run_writer import History

MOST_THREADS = 4096
"""A larger number in a checkpoint means that it is damaged; so many threads would overload the machine."""


@dataclass(frozen=True)
class ComputeSetup:
    """The type of the device, the number of ranks, the threads of each rank, the chosen precision, and the kernels.

    `kernels` are names of `training.kernels.table`, None if an earlier version did not record them.
    """

    device: str
    ranks: int
    threads: int
    choice: PrecisionEvent | None
    kernels: frozenset[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as state.pt contains them, under the key "means"."""
        choice = event_record(self.choice) if self.choice else None
        kernels = {} if self.kernels is None else {"kernels": kernels_text(self.kernels)}
        return {"device": self.device, "ranks": self.ranks, "threads": self.threads, "choice": choice, **kernels}

    def change_text(self, device: str, ranks: int) -> str:
        """Return a note that an attempt with this setup is continued on a device or ranks that differ; else empty."""
        if not self.device or (device, ranks) == (self.device, self.ranks):
            return ""
        now, before = (
            f"{count_text(number, 'rank')} on {kind.upper()}"
            for kind, number in ((device, ranks), (self.device, self.ranks))
        )
        return (
            f"continued with {now}, before with {before}: the training goes on correctly, but sums are rounded "
            "differently, so its bits may differ from those of a run on the same hardware"
        )


def kernels_text(kernels: frozenset[str]) -> str:
    """Return the names of kernels as checkpoints and events contain them."""
    return " ".join(sorted(kernels))


def _read_kernels(text: Any) -> frozenset[str] | None:
    return None if text is None else frozenset(str(text).split())


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
        kernels = _read_kernels(setup.get("kernels"))
        return ComputeSetup(device, ranks, threads, choice if isinstance(choice, PrecisionEvent) else None, kernels)
    start, choice = history.last(StartEvent), history.last(PrecisionEvent)
    if start is not None:
        return ComputeSetup(start.device, start.ranks, start.threads, choice, _read_kernels(start.kernels))
    return ComputeSetup("", 0, 0, choice) if choice else None
