"""Start ranks on this machine, monitor them, and end all of them when one fails or hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented, but not in its __all__

from alexplore.core.cpu_count import processors
from alexplore.core.errors import FAILED, WRONG_USE
from alexplore.runs.directory import RunDirectory
from alexplore.runs.launch import worker_command
from alexplore.training.errors import RankError, gone_text
from alexplore.training.parallel.launched import HEARTBEAT, LAUNCHER

ADDRESS = "127.0.0.1"
POLL_SECONDS = 0.05

HEARTBEAT_TIMEOUT = 30.0
"""Seconds without a heartbeat after which a rank counts as hanging; it sends one twice a second."""

STARTUP_TIMEOUT = 300.0
"""Seconds until a rank's first heartbeat; it starts Python and this program first."""

FAILURE_TIMEOUT = 1.5
"""Seconds that the other ranks have to end by themselves after one has failed, before they are killed: one of them may
be about to report why."""

EXIT_TIMEOUT = 30.0
"""Seconds that the other ranks have to end after one has finished."""

GONE_TIMEOUT = 10.0
"""Seconds that the ranks have to end by themselves when the run's directory is gone."""


@dataclass
class Rank:
    """A rank's process and its heartbeats."""

    number: int
    process: subprocess.Popen[bytes]
    heartbeat: int
    """The file descriptor of the pipe that it writes heartbeats to."""

    heartbeat_age: float = 0.0
    """Seconds since its last heartbeat, without the time for which this process was suspended."""

    started: bool = False
    """Whether it has sent a heartbeat."""

    def read_heartbeats(self, seconds: float) -> None:
        """Read the heartbeats since the last call, which was `seconds` ago."""
        try:
            new = os.read(self.heartbeat, 4096)
        except BlockingIOError:
            new = b""
        self.started = self.started or bool(new)
        self.heartbeat_age = 0.0 if new else self.heartbeat_age + seconds

    @property
    def hangs(self) -> bool:
        """Whether its last heartbeat is too old."""
        return self.heartbeat_age > (HEARTBEAT_TIMEOUT if self.started else STARTUP_TIMEOUT)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process.poll() is None

    @property
    def failed(self) -> bool:
        """Whether its process has ended with an error."""
        return self.process.poll() not in (None, 0)

    @property
    def killed(self) -> bool:
        """Whether a signal from outside has ended its process; SIGABRT is not one: gloo aborts if a peer is gone."""
        code = self.process.poll()
        return code is not None and code < 0 and code != -signal.SIGABRT

    @property
    def ending(self) -> str:
        """A text with its exit code or the signal that ended it."""
        code = self.process.returncode
        return f"rank {self.number} ended with {f'exit code {code}' if code >= 0 else f'signal {-code}'}"


def launch_ranks(run: RunDirectory, count: int, on_round: Callable[[], None]) -> None:
    """Start `count` ranks of a run's worker and wait until they have ended. It must be called in the main thread.

    `on_round` is called 20 times a second.

    Raises:
        RankError: a rank failed or hung, or the run's directory is gone; all ranks are ended.
    """
    console_start = _console_size(run)
    store = TCPStore(ADDRESS, 0, is_master=True, wait_for_workers=False)
    with _started(run, count, store.port) as ranks:
        hung = _wait(run, ranks, on_round)
        if hung or any(rank.failed for rank in ranks):
            _wait_while(FAILURE_TIMEOUT, lambda: _may_report(ranks))
            refused = any(rank.process.returncode == WRONG_USE for rank in ranks)
            raise RankError(hung or _reason(run, ranks, console_start), WRONG_USE if refused else FAILED)


@contextmanager
def _started(run: RunDirectory, count: int, port: int) -> Iterator[list[Rank]]:
    """Start the ranks; at the end kill those that still run."""
    ranks: list[Rank] = []
    try:
        ranks.extend(_start(run, number, count, port) for number in range(count))
        yield ranks
    finally:
        for rank in ranks:
            rank.process.kill()
        for rank in ranks:
            rank.process.wait()
            os.close(rank.heartbeat)


def _start(run: RunDirectory, number: int, count: int, port: int) -> Rank:
    heartbeat, written = os.pipe()
    os.set_blocking(heartbeat, False)
    environment = {
        "RANK": number, "WORLD_SIZE": count, "LOCAL_RANK": number, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": ADDRESS,
        "MASTER_PORT": port, "OMP_NUM_THREADS": max(1, processors() // count), LAUNCHER: os.getpid(),
        HEARTBEAT: written,
    }  # fmt: skip
    process = subprocess.Popen(
        worker_command(run),
        stdin=subprocess.DEVNULL,
        env={**os.environ, **{key: str(value) for key, value in environment.items()}},
        pass_fds=(written,),
    )
    os.close(written)
    return Rank(number, process, heartbeat)


def _wait(run: RunDirectory, ranks: list[Rank], on_round: Callable[[], None]) -> str | None:
    """Wait until all ranks have ended or one has failed. If they hang or the run is gone, return the reason."""
    identity = run.identity()
    last = time.monotonic()
    gone = exiting = 0.0  # seconds
    while any(rank.alive for rank in ranks) and not any(rank.failed for rank in ranks):
        time.sleep(POLL_SECONDS)
        last, seconds = time.monotonic(), min(time.monotonic() - last, 1.0)  # this process may have been suspended
        on_round()
        gone = gone + seconds if run.is_gone(identity) else 0.0
        if gone > GONE_TIMEOUT:
            return gone_text(run)
        exiting = exiting + seconds if not all(rank.alive for rank in ranks) else 0.0
        if exiting > EXIT_TIMEOUT:
            return f"{_names([rank for rank in ranks if rank.alive])} did not end after the others"
        for rank in ranks:
            if rank.alive:
                rank.read_heartbeats(seconds)
        if hanging := [rank for rank in ranks if rank.alive and rank.hangs]:
            return f"{_names(hanging)} sent no heartbeat for {hanging[0].heartbeat_age:.0f} s: stopped, or hung"
    return None


def _names(ranks: list[Rank]) -> str:
    numbers = ", ".join(str(rank.number) for rank in ranks)
    return f"{'ranks' if len(ranks) > 1 else 'rank'} {numbers}"


def _wait_while(seconds: float, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _may_report(ranks: list[Rank]) -> bool:
    """Return whether a rank still runs that may report why another has failed; False if one was killed."""
    return any(rank.alive for rank in ranks) and not any(rank.killed for rank in ranks)


def _reason(run: RunDirectory, ranks: list[Rank], console_start: int) -> str:
    """Return why the ranks have failed: which one was killed, or else the error that one printed, or its exit code."""
    failed = [rank for rank in ranks if rank.failed]
    if ended := [rank for rank in failed if rank.process.returncode < 0]:
        return max(ended, key=lambda rank: rank.killed).ending
    for line in _console_lines(run, console_start):
        if line.startswith("error: rank "):
            return line.removeprefix("error: ")
    return failed[0].ending


def _console_size(run: RunDirectory) -> int:
    try:
        return run.console_file.stat().st_size
    except OSError:
        return 0


def _console_lines(run: RunDirectory, start: int) -> list[str]:
    """Return the last lines of console.log, of those printed after byte `start`."""
    with suppress(OSError):
        size = run.console_file.stat().st_size
        with run.console_file.open("rb") as file:
            file.seek(max(start, size - 64 * 1024))
            return file.read(64 * 1024).decode("utf-8", "replace").splitlines()
    return []
