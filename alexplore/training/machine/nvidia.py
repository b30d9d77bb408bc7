"""Load, memory, power, temperature and energy of NVIDIA GPUs, by NVIDIA's library NVML.

NVML is called through the package nvidia-ml-py (module `pynvml`), which the extra `gpu` installs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from statistics import fmean
from typing import Any

GIB = 2.0**30


@dataclass(frozen=True)
class Quantity:
    """How a quantity is read from a GPU, and how the values of several GPUs are combined."""

    read: Callable[[Any, Any], float]
    """Takes the module `pynvml` and a GPU's handle."""

    combine: Callable[[Iterable[float]], float]


QUANTITIES: Mapping[str, Quantity] = {
    "machine/gpu": Quantity(lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100, fmean),
    "machine/gpu_memory": Quantity(lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used / GIB, sum),
    "machine/gpu_power": Quantity(lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000, sum),
    "machine/gpu_temperature": Quantity(
        lambda nvml, gpu: float(nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)), max
    ),
}
"""Quantities by their keys in `MACHINE_METRICS`. NVML's units are per cent, bytes, milliwatts and °C."""


class NvidiaGpus:
    """Measures some GPUs of this machine. A quantity that one of them doesn't support is left out."""

    def __init__(self, nvml: Any, gpus: Sequence[Any]) -> None:
        """`nvml` is the module `pynvml`, initialised; `gpus` are handles."""
        self._nvml, self._gpus = nvml, gpus
        self._counts = self._counted() is not None
        self._summed = 0.0  # joules, from the power: used without an energy counter
        self._read_at = time.monotonic()

    def read(self) -> Mapping[str, float]:
        """Return the current values."""
        found = {key: value for key, quantity in QUANTITIES.items() if (value := self._ask(quantity)) is not None}
        now = time.monotonic()
        self._summed += found.get("machine/gpu_power", 0.0) * (now - self._read_at)
        self._read_at = now
        return found

    def joules(self) -> float | None:
        """Return the energy since the driver was loaded; of GPUs before Volta, the power summed over the reads."""
        if self._counts:
            return self._counted()
        return self._summed if self._ask(QUANTITIES["machine/gpu_power"]) is not None else None

    def _counted(self) -> float | None:
        return self._ask(Quantity(lambda nvml, gpu: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000, sum))

    def _ask(self, quantity: Quantity) -> float | None:
        try:
            return quantity.combine([quantity.read(self._nvml, gpu) for gpu in self._gpus])
        except self._nvml.NVMLError:  # not supported by this GPU, or the GPU is lost
            return None


def open_gpus(uuids: Sequence[str], nvml: Any = None) -> NvidiaGpus | None:
    """Return the GPUs with these UUIDs; None without GPUs, without the package, or if NVML does not know them.

    `nvml` is the module `pynvml`, which is imported if it is left out.
    """
    if not uuids:
        return None
    try:
        nvml = nvml or import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        return NvidiaGpus(nvml, [nvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids])
    except nvml.NVMLError:
        return None
