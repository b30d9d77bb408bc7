"""The memory that cuBLAS works in, on which it depends whether it gives the same bits each time.

Source: cuBLAS's manual, "Results Reproducibility". It is read when CUDA starts; this module does not import torch.
"""

from __future__ import annotations

import os

from alexplore.training.errors import UsageError

VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
ALLOWED = (":4096:8", ":16:8")


def set_deterministic_workspace() -> None:
    """Let cuBLAS give the same bits each time, in this process and the ranks that it starts.

    Raises:
        UsageError: the environment has another value.
    """
    value = os.environ.setdefault(VARIABLE, ALLOWED[0])
    if value not in ALLOWED:
        raise UsageError(f"deterministic: {VARIABLE}={value}: allowed: {' or '.join(ALLOWED)}; unset it, or use one")
