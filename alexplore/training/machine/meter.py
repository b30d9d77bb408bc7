"""The interface of everything that measures a part of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Meter(Protocol):
    """Measures a part of the machine. Values that the machine doesn't offer are left out."""

    def read(self) -> Mapping[str, float]:
        """Return the current values by their keys in `runs.metrics.MACHINE_METRICS`."""
        ...

    def joules(self) -> float | None:
        """Return the energy in joules since an arbitrary time; None if it is not measured."""
        ...
