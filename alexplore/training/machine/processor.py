"""The load of all processors, and the memory in use."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

GIB = 2.0**30


class Processor:
    """Measures the load of all processors and the main memory."""

    def __init__(self) -> None:
        self.read()  # the first call starts the measurement: psutil returns the load since the call before

    def read(self) -> Mapping[str, float]:
        """Return the load since the last call and the memory in use."""
        try:
            load, memory = psutil.cpu_percent(), psutil.virtual_memory()
        except OSError:  # a system that hides /proc
            return {}
        return {"machine/cpu": load / 100, "machine/memory": (memory.total - memory.available) / GIB}

    def joules(self) -> float | None:
        """Return None: the energy of processors is measured by `Rapl`."""
        return None
