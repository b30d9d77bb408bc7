"""The hardware of this machine, found without PyTorch, for the welcome card."""

from __future__ import annotations

import platform

from alexplore.core.cpu_count import processors
from alexplore.core.formatting import bytes_text, count_text
from alexplore.runs.gpus import gpu_names


def hardware_text() -> str:
    """Return Python, processors, free memory and GPUs in one line."""
    import psutil

    cores = processors()
    return " · ".join(
        (
            f"Python {platform.python_version()}",
            count_text(cores, "core"),
            f"{bytes_text(psutil.virtual_memory().available)} free",
            ", ".join(gpu_names()) or "no GPU",
        )
    )
