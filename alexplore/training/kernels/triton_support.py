"""Whether kernels written in Triton can be used on this machine."""

from __future__ import annotations

import os
from functools import cache

import torch

from alexplore.runs.kernel_choice import PLAIN, VARIABLE


@cache
def has_triton() -> bool:
    """Return whether Triton is installed and works, by running a small kernel on the GPU; it needs a C compiler.

    With `ALEXPLORE_KERNELS=plain` it is not used.
    """
    if os.environ.get(VARIABLE) == PLAIN:
        return False
    try:
        from alexplore.training.kernels import lrn_triton
    except ImportError:
        return False
    return lrn_triton.works(torch.device("cuda"))
