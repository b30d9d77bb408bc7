"""Whether kernels written in Triton can be used on this machine."""

from __future__ import annotations

from functools import cache

import torch


@cache
def why_no_triton() -> str | None:
    """Return why Triton can't be used on this process's GPU; None if a small kernel runs there."""
    try:
        from alexplore.training.kernels import lrn_triton
    except ImportError:
        return "Triton is not installed"
    works = lrn_triton.works(torch.device("cuda"))
    return None if works else "Triton can't compile and run a kernel on the GPU; it needs a C compiler"
