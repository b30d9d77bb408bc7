"""Workers that end with the benchmark that started them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from alexplore.runs import service
from alexplore.runs.directory import RunDirectory
from alexplore.runs.launch import WaitingWorker


@contextmanager
def started_worker(run: RunDirectory, waiting: WaitingWorker | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Start a run's worker, or use a waiting one, and stop it at last, also if SIGTERM ends this program."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    process = service.start(run, waiting=waiting)
    try:
        yield process
    finally:
        process.terminate()  # not killed: it ends its ranks
        process.wait()
        signal.signal(signal.SIGTERM, before)
