"""The hardware of this machine, found without PyTorch, for the welcome card."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

from alexplore.core.cpu_count import processors
from alexplore.core.formatting import bytes_text

NVIDIA = Path("/proc/driver/nvidia/gpus")
ROCM = Path("/sys/class/kfd/kfd/topology/nodes")


def hardware_text() -> str:
    """Return Python, processors, free memory and GPUs in one line."""
    import psutil

    cores = processors()
    return " · ".join(
        (
            f"Python {platform.python_version()}",
            f"{cores} core{'s' if cores > 1 else ''}",
            f"{bytes_text(psutil.virtual_memory().available)} free",
            ", ".join(gpus()) or "no GPU",
        )
    )


def gpus() -> Iterator[str]:
    """Yield the names of GPUs that the system's drivers report."""
    try:
        for file in sorted(NVIDIA.glob("*/information")):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            yield next((line.partition(":")[2].strip() for line in lines if line.startswith("Model")), "NVIDIA GPU")
        for node in sorted(ROCM.glob("*/gpu_id")):
            if node.read_text(encoding="ascii", errors="replace").strip() not in ("", "0"):  # 0 is a processor
                yield "AMD GPU"
    except OSError:
        return
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        yield "Apple GPU"
