"""Which kernels the environment asks a training to use: `ALEXPLORE_KERNELS`. No torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from alexplore.core.errors import WrongUseError

VARIABLE, PLAIN = "ALEXPLORE_KERNELS", "plain"


class KernelError(WrongUseError):
    """`ALEXPLORE_KERNELS` has a value that is not allowed."""


@dataclass(frozen=True)
class Processor:
    """A class of processors on which the same kernels are faster."""

    title: str

    measured_on: str | None = None
    """The processor on which the speedups were measured; None if they were not."""


PROCESSORS: Mapping[str, Processor] = {
    "avx2": Processor("AVX2", "AMD EPYC 9004 (Zen 4) restricted to AVX2"),
    "avx512": Processor("AVX-512", "AMD EPYC 9004 (Zen 4) restricted to AVX-512 without BF16"),
    "avx512_bf16": Processor("AVX-512 BF16", "AMD EPYC 9004 (Zen 4)"),
    "amx": Processor("AMX"),
    "arm": Processor("Arm"),
    "gpu": Processor("GPU", "NVIDIA H100"),
    "other": Processor("another CPU"),
    "accelerator": Processor("another accelerator, such as Apple's mps"),
}


def asked_kernels() -> str | None:
    """Return what `ALEXPLORE_KERNELS` asks for: `plain` or a class of processor; None if it is not set.

    Raises:
        KernelError: it has another value.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked and asked != PLAIN and asked not in PROCESSORS:
        raise KernelError(
            f"{VARIABLE}={asked}: allowed: {PLAIN}, {', '.join(PROCESSORS)}; without it, this machine's own"
        )
    return asked or None
