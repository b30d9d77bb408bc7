"""What every part of the machine that is measured offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Source(Protocol):
    """A part of the machine that is measured. What it has no counter for is left out."""

    def read(self) -> Mapping[str, float]:
        """Return the present values by their keys in `protocol.MACHINE_METRICS`."""
        ...

    def joules(self) -> float | None:
        """Return the energy in joules since an arbitrary time; None if it is not measured."""
        ...
