"""The workspace of cuBLAS, whose configuration decides whether cuBLAS is deterministic.

The environment variable is read when CUDA starts, so this module does not import torch.
"""

from __future__ import annotations

import os

from alexplore.presets.recipe import Recipe
from alexplore.runs.preflight import CUBLAS_WORKSPACE, DETERMINISTIC_WORKSPACES, workspace_problems
from alexplore.training.errors import UsageError


def set_deterministic_workspace() -> None:
    """Make cuBLAS deterministic in this process and in the ranks that it starts.

    Raises:
        UsageError: the environment has another value.
    """
    for problem in workspace_problems(Recipe(deterministic=True)):
        raise UsageError(problem.message)
    os.environ.setdefault(CUBLAS_WORKSPACE, DETERMINISTIC_WORKSPACES[0])
