"""The class of a processor, or of an accelerator: a key of `PROCESSORS`."""

from __future__ import annotations

import platform

import torch


def processor_class(device_type: str) -> str:
    """Return the class of this machine's processor, or of its accelerator: a key of `PROCESSORS`."""
    if device_type != "cpu":
        return "gpu" if device_type == "cuda" else "accelerator"
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "arm"
    capability = torch.backends.cpu.get_cpu_capability()
    if capability != "AVX512":
        return "avx2" if capability == "AVX2" else "other"
    if torch.cpu._is_amx_tile_supported():
        return "amx"
    return "avx512_bf16" if torch.cpu._is_avx512_bf16_supported() else "avx512"
