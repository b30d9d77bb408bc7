"""The workspace of cuBLAS, whose configuration decides whether cuBLAS is deterministic.

Source: cuBLAS's manual, "Results Reproducibility". The environment variable is read when CUDA starts, so this module
does not import torch.
"""

from __future__ import annotations

import os

from alexplore.training.errors import UsageError

VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
ALLOWED = (":4096:8", ":16:8")


def set_deterministic_workspace() -> None:
    """Make cuBLAS deterministic in this process and in the ranks that it starts.

    Raises:
        UsageError: the environment has another value.
    """
    value = os.environ.setdefault(VARIABLE, ALLOWED[0])
    if value not in ALLOWED:
        raise UsageError(f"deterministic: {VARIABLE}={value}: allowed: {' or '.join(ALLOWED)}; unset it, or use one")
