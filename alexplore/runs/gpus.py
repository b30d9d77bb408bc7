"""The GPUs of this machine as its drivers report them, without PyTorch, which alone knows what it can use."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

NVIDIA = Path("/proc/driver/nvidia")
ROCM = Path("/sys/class/kfd/kfd/topology/nodes")


def has_nvidia_driver() -> bool:
    """Return whether the driver of NVIDIA's GPUs is loaded."""
    return (NVIDIA / "version").exists()


def visible_gpus() -> tuple[str, ...]:
    """Return NVIDIA's GPUs, by the names that CUDA_VISIBLE_DEVICES takes; those in it, if it is set."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(one.strip() for one in visible.split(",") if one.strip() not in ("", "-1"))
    try:
        return tuple(str(number) for number, _ in enumerate((NVIDIA / "gpus").iterdir()))
    except OSError:
        return ()


def gpu_names() -> Iterator[str]:
    """Yield the names of all GPUs."""
    try:
        for file in sorted((NVIDIA / "gpus").glob("*/information")):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            yield next((line.partition(":")[2].strip() for line in lines if line.startswith("Model")), "NVIDIA GPU")
        for node in sorted(ROCM.glob("*/gpu_id")):
            if node.read_text(encoding="ascii", errors="replace").strip() not in ("", "0"):  # 0 is a processor
                yield "AMD GPU"
    except OSError:
        return
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        yield "Apple GPU"
