"""A thread that samples the machine every few seconds, and the energy of an epoch."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean

import torch

from alexplore.training.machine.meter import Meter
from alexplore.training.machine.nvidia import open_gpus
from alexplore.training.machine.processor import Processor
from alexplore.training.machine.rapl import Rapl
from alexplore.training.parallel.ranks import Ranks

SECONDS = 2.0
"""Time between two samples."""


class MachineSampler:
    """Samples meters in a thread, and measures the energy of an epoch.

    The training takes the existing samples without waiting. Only at the start and the end of an epoch does it read the
    energy counters itself.
    """

    def __init__(self, meters: Sequence[Meter], *, one_machine: bool = True, seconds: float = SECONDS) -> None:
        """`one_machine` is whether all ranks are on this machine; else the energy of an epoch is not known."""
        self._meters, self._one_machine, self._seconds = meters, one_machine, seconds
        self._lock = threading.Lock()  # held while the meters are read
        self._samples = deque[Mapping[str, float]]()  # since they were last taken
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="machine", daemon=True)
        self._start: float | None = None  # joules at the start of the epoch, plus those of excluded blocks
        self._images = 0  # images of the epoch that an earlier attempt trained

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sample until the end of the `with` block."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            self.sample()

    def sample(self) -> None:
        """Read the meters, and keep the sample until it is taken."""
        with self._lock:
            self._samples.append({key: value for meter in self._meters for key, value in meter.read().items()})

    def take(self) -> Mapping[str, float]:
        """Return the means of the samples since the last call by the keys of metrics; empty without a sample."""
        samples = [self._samples.popleft() for _ in range(len(self._samples))]
        keys = dict.fromkeys(key for sample in samples for key in sample)
        return {key: round(fmean(one[key] for one in samples if key in one), 4) for key in keys}

    def start_epoch(self, images: int) -> None:
        """Start to measure the energy of an epoch, `images` of which an earlier attempt trained."""
        self._start, self._images = self._joules(), images

    def epoch(self, images: int) -> Mapping[str, float]:
        """Return the energy since the start of the epoch, by the keys of metrics; empty if it can't be measured.

        `images` is the number of the whole epoch. The energy of an epoch that an earlier attempt started is not known.
        """
        now = self._joules()
        if self._start is None or now is None or images <= self._images:
            return {}
        used = max(0.0, now - self._start)
        values = {"machine/joules_per_image": float(f"{used / (images - self._images):.6g}")}
        return values if self._images else {**values, "machine/energy": round(used, 1)}

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """Exclude the energy of the `with` block from the epoch's."""
        before = self._joules()
        yield
        after = self._joules()
        if self._start is not None and before is not None and after is not None:
            self._start += after - before

    def _joules(self) -> float | None:
        """Return the sum of the meters' counters; None without a counter."""
        if not self._one_machine:
            return None
        with self._lock:
            known = [joules for meter in self._meters if (joules := meter.joules()) is not None]
        return sum(known) if known else None


class NoSampler(MachineSampler):
    """A sampler for all ranks but the first, which samples nothing."""

    def __init__(self) -> None:
        super().__init__(())

    @contextmanager
    def running(self) -> Iterator[None]:
        yield


def machine_sampler(device: torch.device, ranks: Ranks) -> MachineSampler:
    """Return the sampler of rank 0's machine, with the GPUs of the ranks on it; other ranks sample nothing."""
    if ranks.rank:
        return NoSampler()
    meters: list[Meter] = [Processor(), Rapl()]
    if gpus := open_gpus(_uuids(ranks) if device.type == "cuda" else ()):
        meters.append(gpus)
    return MachineSampler(meters, one_machine=ranks.local_size == ranks.size)


def _uuids(ranks: Ranks) -> list[str]:
    """Return the UUIDs of the GPUs of this machine's ranks, as NVML writes them."""
    return [f"GPU-{torch.cuda.get_device_properties(number).uuid}" for number in range(ranks.local_size)]
