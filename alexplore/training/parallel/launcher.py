"""Start ranks on this machine, watch over them, and end them all when one has failed or hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented, but not in its __all__

from alexplore.core.cpu_count import processors
from alexplore.runs.directory import RunDirectory
from alexplore.training.errors import RankError, gone_text
from alexplore.training.parallel.launched import LAUNCHER, SIGN

ADDRESS = "127.0.0.1"
POLL_SECONDS = 0.05

SILENT_SECONDS = 30.0
"""A rank that has given no sign of life for so long is stopped or hangs; it gives one twice a second."""

FIRST_SIGN_SECONDS = 300.0
"""The longest time until a rank's first sign; it starts Python and this program."""

GRACE_SECONDS = 1.5
"""How long the other ranks of one that has failed have to end by themselves, before they are killed."""

LEAVING_SECONDS = 30.0
"""How long the other ranks of one that has ended well have."""

GONE_SECONDS = 10.0
"""How long ranks have to end by themselves when the run's directory is gone."""


@dataclass
class Rank:
    """A rank's process, with the signs of life that it gives."""

    number: int
    process: subprocess.Popen[bytes]
    sign: int
    """The descriptor of the pipe that it writes to."""

    silent: float = 0.0
    """Seconds of this process's rounds since its last sign."""

    heard: bool = False
    """Whether it has given one."""

    def listen(self, seconds: float) -> None:
        """Read the signs of life since the last call, which was so many seconds ago."""
        try:
            new = os.read(self.sign, 4096)
        except BlockingIOError:
            new = b""
        self.heard = self.heard or bool(new)
        self.silent = 0.0 if new else self.silent + seconds

    @property
    def hangs(self) -> bool:
        """Whether it has given no sign of life for too long."""
        return self.silent > (SILENT_SECONDS if self.heard else FIRST_SIGN_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def failed(self) -> bool:
        """Whether it has ended with an error."""
        return self.process.poll() not in (None, 0)

    @property
    def ending(self) -> str:
        """How it has ended."""
        code = self.process.returncode
        return f"rank {self.number} ended with {f'exit code {code}' if code >= 0 else f'signal {-code}'}"


def launch_ranks(run: RunDirectory, count: int, on_round: Callable[[], None]) -> None:
    """Start `count` ranks of a run's worker and wait until they have ended. It must be called in the main thread.

    `on_round` is called several times a second.

    Raises:
        RankError: one failed or hung, or the run's directory is gone; all ranks are ended.
    """
    console_start = _console_size(run)
    store = TCPStore(ADDRESS, 0, is_master=True, wait_for_workers=False)
    with _started(run, count, store.port) as ranks:
        hung = _wait(run, ranks, on_round)
        if hung or any(rank.failed for rank in ranks):
            _wait_while(GRACE_SECONDS, lambda: any(rank.alive for rank in ranks))
            raise RankError(hung or _reason(run, ranks, console_start))


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
            os.close(rank.sign)


def _start(run: RunDirectory, number: int, count: int, port: int) -> Rank:
    sign, written = os.pipe()
    os.set_blocking(sign, False)
    environment = {
        "RANK": number, "WORLD_SIZE": count, "LOCAL_RANK": number, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": ADDRESS,
        "MASTER_PORT": port, "OMP_NUM_THREADS": max(1, processors() // count), LAUNCHER: os.getpid(), SIGN: written,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "alexplore.training.worker", str(run.path)],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **{key: str(value) for key, value in environment.items()}},
        pass_fds=(written,),
    )
    os.close(written)
    return Rank(number, process, sign)


def _wait(run: RunDirectory, ranks: list[Rank], on_round: Callable[[], None]) -> str | None:
    """Wait until all ranks have ended, or one has failed; return the reason if it is one that they can't give."""
    identity = run.identity()
    last = time.monotonic()
    gone = leaving = 0.0  # seconds
    while any(rank.alive for rank in ranks) and not any(rank.failed for rank in ranks):
        time.sleep(POLL_SECONDS)
        last, seconds = time.monotonic(), min(time.monotonic() - last, 1.0)  # this process may have been suspended
        on_round()
        gone = gone + seconds if run.is_gone(identity) else 0.0
        if gone > GONE_SECONDS:
            return gone_text(run)
        leaving = leaving + seconds if not all(rank.alive for rank in ranks) else 0.0
        if leaving > LEAVING_SECONDS:
            return f"{_names([rank for rank in ranks if rank.alive])} did not end after the others"
        for rank in ranks:
            if rank.alive:
                rank.listen(seconds)
        if hanging := [rank for rank in ranks if rank.alive and rank.hangs]:
            return f"{_names(hanging)} gave no sign of life for {hanging[0].silent:.0f} s: stopped, or hung"
    return None


def _names(ranks: list[Rank]) -> str:
    numbers = ", ".join(str(rank.number) for rank in ranks)
    return f"{'ranks' if len(ranks) > 1 else 'rank'} {numbers}"


def _wait_while(seconds: float, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _reason(run: RunDirectory, ranks: list[Rank], console_start: int) -> str:
    """Return why the ranks have ended: one was killed, or what one printed, or the exit code of one."""
    failed = [rank for rank in ranks if rank.failed]
    if killed := [rank for rank in failed if rank.process.returncode < 0]:
        # gloo aborts a rank whose peer is gone: that is not the first cause
        return min(killed, key=lambda rank: rank.process.returncode == -signal.SIGABRT).ending
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
    """Return the last lines of console.log, of those that were printed behind `start`."""
    with suppress(OSError):
        size = run.console_file.stat().st_size
        with run.console_file.open("rb") as file:
            file.seek(max(start, size - 64 * 1024))
            return file.read(64 * 1024).decode("utf-8", "replace").splitlines()
    return []
