"""`runs doctor`: what it finds, what it repairs, and that a whole run has no findings."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from alexplore.runs.checkup import check, repair
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError
from tests.support.processes import Alexplore
from tests.support.runs import finished_run


def checkpoint(folder: Path, content: bytes = b"weights") -> Path:
    """Make a checkpoint folder of one file."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(content)
    digests = {"model.safetensors": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "sha256": digests}))
    return folder


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    """A finished run with a checkpoint."""
    made = finished_run(config, tmp_path / "runs", "run", 0.5)
    checkpoint(made.checkpoints_folder / "last")
    return made


def found(run: RunDirectory) -> list[str]:
    """Return the findings as `file: what`."""
    return [f"{finding.path.relative_to(run.path)}: {finding.what}" for finding in check(run)]


def test_a_whole_run_has_no_findings(run: RunDirectory, alexplore: Alexplore) -> None:
    assert found(run) == []
    assert alexplore("runs", "doctor").stdout == "✓ run: whole\n"


def test_torn_damaged_and_missing_lines(run: RunDirectory) -> None:
    whole = run.metrics_file.read_bytes()
    lines = whole.splitlines(keepends=True)
    run.metrics_file.write_bytes(whole + b'{"v": 1')
    assert found(run) == ["metrics.jsonl: half a line at the end, 7 bytes"]
    repair(run, check(run))
    assert run.metrics_file.read_bytes() == whole
    run.metrics_file.write_bytes(b"".join((*lines[:2], b"nonsense\n", *lines[3:])))
    assert found(run) == ["metrics.jsonl: line 3 can't be read"]
    run.metrics_file.write_bytes(b"".join((*lines[:2], *lines[4:])))
    assert found(run) == ["metrics.jsonl: 2 lines are missing, the first is number 2"]
    run.metrics_file.write_bytes(b"".join((*lines[:2], lines[1], *lines[2:])))
    assert found(run) == ["metrics.jsonl: numbers of lines that don't rise"]
    assert repair(run, check(run)) == []


@pytest.mark.parametrize("event", [[1], {"start": 1}, None, 3, "of a later version"])
def test_an_event_of_an_unknown_kind_is_no_damage(run: RunDirectory, event: object) -> None:
    lines = run.events_file.read_text().splitlines() if run.events_file.exists() else []
    record = {"v": 1, "seq": len(lines), "attempt": 0, "time": 1.0, "event": event}
    run.events_file.write_text("".join(f"{line}\n" for line in (*lines, json.dumps(record))))
    assert found(run) == []


def test_checkpoints(run: RunDirectory) -> None:
    folder = run.checkpoints_folder
    (folder / "last" / "model.safetensors").write_bytes(b"others")
    checkpoint(folder / ".saving-abc")
    checkpoint(folder / ".old-best")
    checkpoint(folder / ".old-last")
    assert found(run) == [
        "checkpoints/last/model.safetensors: its checksum is not the one in manifest.json",
        "checkpoints/.old-best: the checkpoint best, renamed",
        "checkpoints/.old-last: an unfinished checkpoint",
        "checkpoints/.saving-abc: an unfinished checkpoint",
    ]
    assert len(repair(run, check(run))) == 3
    assert sorted(path.name for path in folder.iterdir()) == ["best", "last"]
    assert found(run) == ["checkpoints/last/model.safetensors: its checksum is not the one in manifest.json"]


def test_leftovers_and_permissions(run: RunDirectory, alexplore: Alexplore) -> None:
    (run.path / ".status.json.ab12").write_text("half")
    (run.control_folder / "1.json").write_text("{}")
    (run.path / "photo.jpg").write_text("")
    run.path.chmod(0o777)
    reported = alexplore("runs", "doctor", "run", "--json")
    assert reported.returncode == 1
    assert {finding["repair"] for finding in json.loads(reported.stdout)} == {
        None,
        "delete it",
        "set its permissions to 755",
    }
    repaired = alexplore("runs", "doctor", "run", "--repair")
    assert repaired.returncode == 1  # the photo stays
    assert found(run) == ["photo.jpg: not a file of a run"]
    assert run.path.stat().st_mode & 0o777 == 0o755


@contextmanager
def training(run: RunDirectory) -> Iterator[None]:
    """Hold the lock of a run's worker in another process."""
    hold = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); input()"
    )
    command = [sys.executable, "-c", hold, os.fspath(run.lock_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield
        holder.communicate(b"\n")


@pytest.mark.usefixtures("heavy")
def test_nothing_is_repaired_while_a_worker_trains(run: RunDirectory, alexplore: Alexplore) -> None:
    run.path.chmod(0o777)
    with training(run):
        with pytest.raises(RunError, match="is being trained"):
            repair(run, check(run))
        looked = alexplore("runs", "doctor", "--repair")
    assert looked.returncode == 1
    assert "  it is being trained: nothing in it is repaired" in looked.stdout.splitlines()
    assert len(repair(run, check(run))) == 1


@pytest.mark.usefixtures("heavy")
def test_what_a_worker_is_writing_is_no_finding(run: RunDirectory) -> None:
    def write(run: RunDirectory) -> None:
        (run.path / ".status.json.ab12").write_text("half")
        checkpoint(run.checkpoints_folder / ".saving-ab12")
        with run.metrics_file.open("a") as file:
            file.write('{"v": 1, "se')

    write(run)
    assert len(found(run)) == 3
    with training(run):
        assert found(run) == []


def test_what_a_worker_removes_meanwhile_is_no_hindrance(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker replaces its status every second, by a file that has another name before."""
    walk = os.walk

    def late(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for path, folders, files in walk(folder):
            yield path, folders, [*files, ".status.json.gone"]

    monkeypatch.setattr(os, "walk", late)
    assert found(run) == []


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_read_again(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, last = hashlib.file_digest, run.checkpoints_folder / "last"

    def replaced(*arguments: Any) -> Any:
        monkeypatch.setattr(hashlib, "file_digest", digest)
        shutil.rmtree(last)
        checkpoint(last, b"other weights")
        return digest(io.BytesIO(b"of neither"), "sha256")

    monkeypatch.setattr(hashlib, "file_digest", replaced)
    assert found(run) == []


def test_what_can_not_be_read_is_a_finding(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other checks, and other runs, follow."""
    listing = Path.iterdir

    def refused(path: Path) -> Iterator[Path]:
        if path == run.checkpoints_folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    (run.path / "photo.jpg").write_text("")
    assert found(run) == ["checkpoints: Permission denied", "photo.jpg: not a file of a run"]
