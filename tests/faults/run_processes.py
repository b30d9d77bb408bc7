"""The processes of a run: finding them, and starting those that follow it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from contextlib import suppress

import psutil

from alexplore.runs.directory import RunDirectory
from tests.support.waiting import wait_until

ONE_THREAD = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def processes_of(run: RunDirectory) -> list[psutil.Process]:
    """Return the processes that train or follow a run, zombies left out."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = any(str(run.path) in argument for argument in process.cmdline())
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def start_following(run: RunDirectory) -> subprocess.Popen[bytes]:
    """Start a run, or resume it, from a command line that follows it."""
    return subprocess.Popen(
        [sys.executable, "-m", "alexplore", "runs", "resume", str(run.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, **ONE_THREAD},
    )


class App:
    """The app on a terminal of its own, which watches a run."""

    def __init__(self, run: RunDirectory) -> None:
        self.printed = bytearray()
        self._terminal, inner = pty.openpty()
        os.set_blocking(self._terminal, True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "alexplore", "tui", "--run", str(run.path), "--runs-dir", str(run.path.parent)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            env={**os.environ, **ONE_THREAD, "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"},
        )
        os.close(inner)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_drawn(self) -> None:
        """Wait until the app has drawn its screen."""
        wait_until(lambda: b"palette" in self.printed or self.process.poll() is not None, "the app", self.text)

    def press(self, key: str) -> None:
        """Press a key, once the app has drawn its screen."""
        self.wait_until_drawn()
        os.write(self._terminal, key.encode())

    def _read(self) -> None:
        """Read what the app prints, so that it never waits for the terminal."""
        with suppress(OSError):  # nobody has the other end open any more
            while printed := os.read(self._terminal, 65536):
                self.printed += printed

    def text(self) -> str:
        """Return what was printed last."""
        return self.printed[-4000:].decode("utf-8", "replace")

    def close(self) -> None:
        """End the app, and close its terminal."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._terminal)


def worker_of(run: RunDirectory) -> psutil.Process | None:
    """Return the worker of a run, which is the launcher if it has several ranks."""
    return next((process for process, rank in _processes_by_role(run)[0] if rank is None), None)


def ranks_of(run: RunDirectory) -> list[psutil.Process]:
    """Return the ranks that a worker has launched, by number."""
    ranks = {rank: process for process, rank in _processes_by_role(run)[0] if rank is not None}
    return [ranks[rank] for rank in sorted(ranks)]


def decoders_of(run: RunDirectory) -> list[psutil.Process]:
    """Return the processes that decode images for a worker or a rank."""
    return _processes_by_role(run)[1]


def _processes_by_role(
    run: RunDirectory,
) -> tuple[list[tuple[psutil.Process, int | None]], list[psutil.Process]]:
    """Return the processes that train a run, each with its rank, None for no rank, and those that decode images."""
    found: list[tuple[psutil.Process, int | None]] = []
    for process in processes_of(run):
        with suppress(psutil.Error):
            if any("alexplore.training" in part for part in process.cmdline()):
                number = process.environ().get("RANK")
                found.append((process, None if number is None else int(number)))
    ranks = {process.pid: rank for process, rank in found}
    training, decoding = [], []
    for process, rank in found:
        with suppress(psutil.Error):
            if ranks.get(process.ppid(), -1) == rank:  # a process that decodes images is a copy of its parent
                decoding.append(process)
            else:
                training.append((process, rank))
    return training, decoding
