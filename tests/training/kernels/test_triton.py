"""The kernels for GPUs, on a machine without one: what they compute, and whether they can be compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("script", ["interpreted.py", "compiled_for_gpu.py"])
def test_the_kernels_equal_pytorchs_and_compile(heavy: None, script: str, tmp_path: Path) -> None:
    """Each runs in a process of its own, since the interpreter is chosen when Triton is imported."""
    pytest.importorskip("triton")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TRITON_CACHE_DIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
