"""A thread that ends its process when the parent process is gone, or when the training hangs.

No torch here: the worker starts it before it imports torch. The thread counts time in its own rounds, so that
a process that was suspended does not count as hanging.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from alexplore.training.parallel.launched import Launch

ROUND_SECONDS = 0.5

HANG_SECONDS = 600.0
"""A training hangs if no step and no batch of an evaluation ends within this many seconds, nor within `HANG_FACTOR`
times the longest one before. There is no limit for the time before the first step."""

HANG_FACTOR = 20.0

WAITING_FACTOR = 1.2
"""The limit is longer by this factor for a rank that waits for another, so that the report names the other rank."""

REPORT_TIMEOUT = 5.0
"""Seconds that writing the reason may take: in a process that hangs, it may hang too."""

PACKAGE = Path(__file__).parents[1]


class Watchdog:
    """Ends this process when its parent is gone or its training hangs, and sends heartbeats to its launcher."""

    def __init__(self, launch: Launch | None, parent: int | None, on_hang: Callable[[str], None]) -> None:
        """`parent` is the id of the process whose end ends this one, None for a worker that runs on its own.

        `on_hang` is called in another thread with the reason before the process ends.
        """
        self._launch, self._parent, self._on_hang = launch, parent, on_hang
        self._main = threading.main_thread().ident
        self._progress = 0  # steps and batches done by the main thread
        self._seen = 0
        self._idle = 0.0  # seconds since the last progress
        self._longest = 0.0  # seconds between two steps
        if launch:
            os.set_blocking(launch.heartbeat, False)

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def progress(self) -> None:
        """Count a step, a batch of an evaluation, or a round of a pause."""
        self._progress += 1

    def _watch(self) -> None:
        while self._parent is None or os.getppid() == self._parent:
            self._send_heartbeat()
            if self.count(ROUND_SECONDS):
                self._end()
            time.sleep(ROUND_SECONDS)
        os._exit(1)

    def _send_heartbeat(self) -> None:
        if self._launch:
            with suppress(OSError):  # the pipe is full while the launcher is stopped
                os.write(self._launch.heartbeat, b".")

    def count(self, seconds: float) -> bool:
        """Count a round of `seconds`, and return whether the training hangs."""
        if self._progress != self._seen:
            if self._seen:
                self._longest = max(self._longest, self._idle)
            self._seen, self._idle = self._progress, 0.0
        self._idle += seconds
        return self._seen > 0 and self._idle > self.limit

    @property
    def limit(self) -> float:
        """The seconds without progress after which the training hangs."""
        limit = max(HANG_SECONDS, HANG_FACTOR * self._longest)
        return limit * WAITING_FACTOR if _waits_for_others(self._main_frame()) else limit

    def _end(self) -> None:
        place = _place(self._main_frame())
        reason = f"the training hangs: no step for {self._idle:,.0f} s, in {place}; resume it from the last checkpoint"
        report = threading.Thread(target=self._on_hang, args=(reason,), daemon=True)
        report.start()
        report.join(REPORT_TIMEOUT)
        os._exit(1)

    def _main_frame(self) -> FrameType | None:
        return sys._current_frames().get(self._main or 0)


def _waits_for_others(frame: FrameType | None) -> bool:
    """Return whether a frame is inside a collective operation, or a backward pass, which may contain one."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if "torch" in path.parts and ("distributed" in path.parts or "autograd" in path.parts):
            return True
        if path.is_relative_to(PACKAGE):
            return False
        frame = frame.f_back
    return False


def _place(frame: FrameType | None) -> str:
    """Return the innermost place of this program in a stack, as `training/loop.py:190 (step)`."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE):
            return f"{path.relative_to(PACKAGE)}:{frame.f_lineno} ({frame.f_code.co_name})"
        frame = frame.f_back
    return "an unknown place"
