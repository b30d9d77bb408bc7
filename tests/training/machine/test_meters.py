"""What is read of processors, RAPL counters and GPUs; hardware that is not there is left out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from alexplore.training.machine.nvidia import QUANTITIES, open_gpus
from alexplore.training.machine.processor import Processor
from alexplore.training.machine.rapl import Rapl

GIB = 2**30


class FakeNvml:
    """The functions of `pynvml` that are used, for two GPUs; `missing` are those that a GPU does not support."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    def __init__(self, *missing: str) -> None:
        self.missing = missing
        self.millijoules = {"GPU-a": 5_000_000, "GPU-b": 1_000_000}
        self.milliwatts = {"GPU-a": 300_000, "GPU-b": 200_000}

    def nvmlInit(self) -> None:
        self._check("nvmlInit")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid not in self.millijoules:
            raise self.NVMLError("not found")
        return uuid

    def nvmlDeviceGetUtilizationRates(self, gpu: str) -> Any:
        self._check("utilization")
        return SimpleNamespace(gpu={"GPU-a": 90, "GPU-b": 70}[gpu], memory=1)

    def nvmlDeviceGetMemoryInfo(self, gpu: str) -> Any:
        self._check("memory")
        return SimpleNamespace(used={"GPU-a": 3 * GIB, "GPU-b": 2 * GIB}[gpu], total=80 * GIB)

    def nvmlDeviceGetPowerUsage(self, gpu: str) -> int:
        self._check("power")
        return self.milliwatts[gpu]

    def nvmlDeviceGetTemperature(self, gpu: str, sensor: int) -> int:
        assert sensor == self.NVML_TEMPERATURE_GPU
        self._check("temperature")
        return {"GPU-a": 61, "GPU-b": 64}[gpu]

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: str) -> int:
        self._check("energy")
        return self.millijoules[gpu]

    def _check(self, name: str) -> None:
        if name in self.missing:
            raise self.NVMLError("not supported")


def test_two_gpus_are_measured_together() -> None:
    gpus = open_gpus(["GPU-a", "GPU-b"], FakeNvml())
    assert gpus is not None
    assert gpus.read() == {
        "machine/gpu": pytest.approx(0.8),
        "machine/gpu_memory": 5.0,
        "machine/gpu_power": 500.0,
        "machine/gpu_temperature": 64.0,
    }
    assert gpus.joules() == 6000.0


@pytest.mark.parametrize(
    ("missing", "key"),
    zip(("utilization", "memory", "power", "temperature"), QUANTITIES, strict=True),
)
def test_what_a_gpu_does_not_support_is_left_out(missing: str, key: str) -> None:
    gpus = open_gpus(["GPU-a"], FakeNvml(missing))
    assert gpus is not None
    assert gpus.read().keys() == QUANTITIES.keys() - {key}
    assert gpus.joules() == 5000.0


def test_without_a_counter_energy_is_power_times_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    nvml = FakeNvml("energy")
    gpus = open_gpus(["GPU-a", "GPU-b"], nvml)
    assert gpus is not None
    assert gpus.joules() == 0.0
    now = 102.0
    gpus.read()
    nvml.milliwatts["GPU-b"] = 0
    now = 105.0
    gpus.read()
    assert gpus.joules() == 2 * 500 + 3 * 300


def test_without_counter_and_power_there_is_no_energy() -> None:
    gpus = open_gpus(["GPU-a"], FakeNvml("energy", "power"))
    assert gpus is not None
    assert gpus.joules() is None


@pytest.mark.parametrize("uuids", [[], ["GPU-of another machine"]])
def test_gpus_that_are_not_there_are_left_out(uuids: list[str]) -> None:
    assert open_gpus(uuids, FakeNvml()) is None


def test_a_machine_without_driver_has_no_gpus() -> None:
    assert open_gpus(["GPU-a"], FakeNvml("nvmlInit")) is None


def test_without_the_package_no_gpu_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    assert open_gpus(["GPU-a"]) is None


def test_load_and_memory_are_psutils(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda: 37.5)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=16 * GIB, available=12 * GIB))
    assert Processor().read() == {"machine/cpu": 0.375, "machine/memory": 4.0}


def test_a_system_that_hides_its_load_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden() -> float:
        raise PermissionError("/proc/stat")

    monkeypatch.setattr(psutil, "cpu_percent", hidden)
    assert Processor().read() == {}


def powercap(folder: Path, **domains: tuple[str, int]) -> Path:
    """Write counters as the kernel shows them: the name of a folder, the domain's name and its microjoules."""
    for name, (domain, microjoules) in domains.items():
        path = folder / name.replace("_", ":").replace("rapl", "intel-rapl")
        path.mkdir(parents=True)
        (path / "name").write_text(f"{domain}\n")
        (path / "max_energy_range_uj").write_text("10000000\n")
        (path / "energy_uj").write_text(f"{microjoules}\n")
    return folder


def test_packages_and_memory_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 10.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    folder = powercap(
        tmp_path, rapl_0=("package-0", 1_000_000), rapl_0_0=("core", 0), rapl_0_1=("dram", 0), rapl_1=("psys", 0)
    )
    rapl = Rapl(folder)
    assert rapl.joules() == 0
    assert rapl.read() == {}
    now = 12.0
    for name, microjoules in {"0": 7_000_000, "0:0": 5_000_000, "0:1": 2_000_000, "1": 9_000_000}.items():
        (folder / f"intel-rapl:{name}" / "energy_uj").write_text(str(microjoules))
    assert rapl.read() == {"machine/cpu_power": pytest.approx((6 + 2) / 2)}
    assert rapl.joules() == pytest.approx(8)


def test_a_counter_that_starts_again_goes_on(tmp_path: Path) -> None:
    folder = powercap(tmp_path, rapl_0=("package-0", 9_500_000))
    rapl = Rapl(folder)
    (folder / "intel-rapl:0" / "energy_uj").write_text("500000")
    assert rapl.joules() == pytest.approx(1.0)


def test_counters_that_are_not_there_or_not_readable_are_left_out(tmp_path: Path) -> None:
    assert Rapl(tmp_path / "none").joules() is None
    folder = powercap(tmp_path, rapl_0=("package-0", 1))
    (folder / "intel-rapl:0" / "energy_uj").unlink()
    (folder / "intel-rapl:0" / "energy_uj").mkdir()  # can't be read by root either
    assert Rapl(folder).joules() is None
    assert Rapl(folder).read() == {}
