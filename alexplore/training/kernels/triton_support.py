"""Whether kernels written in Triton can be used on this machine."""

from __future__ import annotations

import os
from functools import cache

import torch

from alexplore.runs.kernel_choice import PLAIN, VARIABLE


@cache
def has_triton() -> bool:
    """Return whether Triton is installed and has what it needs, such as a C compiler. Tries a small kernel on the GPU.

    `ALEXPLORE_KERNELS=plain` does without it.
    """
    if os.environ.get(VARIABLE) == PLAIN:
        return False
    try:
        from alexplore.training.kernels import lrn_triton
    except ImportError:
        return False
    return lrn_triton.works(torch.device("cuda"))
