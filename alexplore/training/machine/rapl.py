"""The energy of processor packages and memory, by Intel's and AMD's RAPL counters, which Linux offers as files.

The files are described in the kernel's documentation, power/powercap. Since Linux 5.10 only root can read them by
default.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path("/sys/class/powercap")

COUNTED = ("package", "dram")
"""Prefixes of the names of counted domains. Other domains are parts of a package, or contain packages."""


class Rapl:
    """Measures with the counters that this process can read; there may be none."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._domains = [domain for path in sorted(folder.glob("intel-rapl:*")) if (domain := _open(path))]
        self._total = 0.0
        self._read_at: tuple[float, float] | None = None  # time, joules

    def joules(self) -> float | None:
        """Return the energy since this object was created; None without a counter.

        A counter restarts from 0 after about 260 kJ, which takes at least minutes: call this more often.
        """
        if not self._domains:
            return None
        self._total += sum(domain.joules_since() for domain in self._domains)
        return self._total

    def read(self) -> Mapping[str, float]:
        """Return the mean power since the last call."""
        total, now, before = self.joules(), time.monotonic(), self._read_at
        if total is None:
            return {}
        self._read_at = now, total
        if before is None or now <= before[0]:
            return {}
        return {"machine/cpu_power": (total - before[1]) / (now - before[0])}


class _Domain:
    """One counter, in microjoules, which restarts from 0 after `largest`."""

    def __init__(self, file: Path, largest: int, before: int) -> None:
        self._file, self._largest, self._before = file, largest, before

    def joules_since(self) -> float:
        """Return the energy since the last call; 0 if the counter can't be read any more."""
        try:
            now = int(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0.0
        used = now - self._before
        self._before = now
        return (used if used >= 0 else used + self._largest) / 1e6


def _open(path: Path) -> _Domain | None:
    """Return the counter in a folder; None if it can't be read or is not counted."""
    try:
        if not (path / "name").read_text(encoding="ascii").startswith(COUNTED):
            return None
        largest = int((path / "max_energy_range_uj").read_text(encoding="ascii"))
        return _Domain(path / "energy_uj", largest, int((path / "energy_uj").read_text(encoding="ascii")))
    except (OSError, ValueError):
        return None
