"""Describe the machine, and measure how fast it multiplies matrices."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
from functools import partial

import torch

from alexplore.training.precision import TYPES
from gpu_checks.backend import backend_flags, timed
from gpu_checks.bench import Bench, Check, Outcome, attempt, expect

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
PEAK_SIZE, TINY_PEAK_SIZE = 8192, 256
WARM_UPS, ROUNDS = 3, 10


def run(bench: Bench) -> Outcome:
    """Describe the machine and measure the peaks of its matrix multiplication, in FLOP/s by precision."""
    device = torch.device(bench.device)
    peaks: dict[str, float] = {}

    def measure(precision: str) -> Check:
        peaks[precision] = matmul_rate(device, precision, TINY_PEAK_SIZE if bench.dry else PEAK_SIZE)
        return expect(f"matrix product in {precision}", peaks[precision] > 0, f"{peaks[precision] / 1e12:.4g} TFLOP/s")

    checks = attempt({f"matrix product in {one}": partial(measure, one) for one in PRECISIONS})
    return Outcome(checks, {**describe(device), "peak_flops": peaks})


def matmul_rate(device: torch.device, precision: str, size: int) -> float:
    """Return the FLOP/s of a product of two `size`×`size` matrices of random numbers, the median of several."""
    tf32 = precision == "tf32"
    dtype = TYPES["fp32" if tf32 else precision]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    with backend_flags(cudnn_benchmark=False, matmul_tf32=tf32, conv_tf32=tf32):
        multiply = partial(torch.matmul, left, right)
        seconds = [timed(multiply, device) for _ in range(WARM_UPS + ROUNDS)]
        return 2 * size**3 / statistics.median(seconds[WARM_UPS:])


def describe(device: torch.device) -> dict[str, object]:
    """Return names and versions of the machine's hardware and software."""
    facts: dict[str, object] = {
        "device": device.type,
        "name": platform.processor() or platform.machine(),
        "gpus": torch.cuda.device_count(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "driver": _driver(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "name": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_bytes": properties.total_memory,
            "multiprocessors": properties.multi_processor_count,
        }
    return facts


def _driver() -> str | None:
    """Return the version of NVIDIA's driver, None if `nvidia-smi` does not report it."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.split("\n")[0].strip() or None
