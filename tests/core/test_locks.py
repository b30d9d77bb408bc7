"""Whether a lock file is held by another process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from alexplore.core.locks import is_held

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("heavy")
def test_it_is_held_for_as_long_as_the_process_lives(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    assert is_held(path)
    holder.kill()
    holder.wait()
    assert not is_held(path)


def test_what_is_no_regular_file_is_not_held(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # to open it for reading would wait for a writer
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder").mkdir()
    assert not any(is_held(tmp_path / name) for name in ("fifo", "link", "folder", "missing"))
