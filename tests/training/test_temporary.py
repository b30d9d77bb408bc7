"""Temporary files are in one folder, which a killed worker leaves to the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from alexplore.training.temporary import PREFIX, own_temporary_folder

HOLD = """
import os, sys, tempfile
from alexplore.training.temporary import own_temporary_folder
with own_temporary_folder():
    tempfile.mkdtemp()
    print(os.environ["TMPDIR"], flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_it_is_removed_at_the_end(base: Path) -> None:
    with own_temporary_folder():
        made = Path(tempfile.mkdtemp())
        (made / "file").write_text("x")
        assert os.environ["TMPDIR"] == str(made.parent)
        assert made.parent.parent == base
    assert not made.parent.exists()
    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(base)


def test_a_folder_that_another_worker_removes_meanwhile_is_passed_over(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = base / f"{PREFIX}gone"
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [gone])
    with own_temporary_folder():
        assert Path(tempfile.gettempdir()).parent == base


@pytest.mark.usefixtures("heavy")
def test_what_a_killed_worker_leaves_is_removed_by_the_next_one(base: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    killed, alive = (Path(worker.stdout.readline().strip()) for worker in workers if worker.stdout)
    workers[0].send_signal(signal.SIGKILL)
    workers[0].communicate()
    assert list(killed.iterdir())
    (base / "alexplore-of-somebody.txt").write_text("not a folder")
    with own_temporary_folder():
        assert not killed.exists()
        assert alive.exists()
    workers[1].communicate()
    assert [path.name for path in base.iterdir()] == ["alexplore-of-somebody.txt"]


def test_a_full_disk_is_no_harm(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with own_temporary_folder():
        assert os.environ["TMPDIR"] == str(base)
