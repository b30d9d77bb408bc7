"""A thread beside the training: it ends a process whose parent is gone, or whose training hangs.

No torch here: the worker starts it before it imports torch. Time is counted in the thread's own rounds, so that a
process that was suspended as a whole has not hung.
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
"""A training hangs if it has done no step and no batch of an evaluation for so long, and for `HANG_FACTOR` times as
long as the longest one took before. Before its first step it may take as long as it likes."""

HANG_FACTOR = 20.0

WAITING_FACTOR = 1.2
"""A rank that waits for another one is given so many times as long, so that the other is the one that is named."""

LAST_WORDS_SECONDS = 5.0
"""How long writing the reason may take, in a process in which something hangs."""

PACKAGE = Path(__file__).parents[1]


class Watchdog:
    """Ends this process when its parent is gone or its training hangs, and tells its launcher that it lives."""

    def __init__(self, launch: Launch | None, parent: int | None, on_hang: Callable[[str], None]) -> None:
        """`parent` is the process without which this one must not live, None for a worker of its own.

        `on_hang` is called in another thread with the reason before the process ends.
        """
        self._launch, self._parent, self._on_hang = launch, parent, on_hang
        self._main = threading.main_thread().ident
        self._progress = 0  # counts what the main thread has done
        self._seen = 0
        self._silent = 0.0  # seconds since the last progress
        self._longest = 0.0  # seconds between two signs of progress
        if launch:
            os.set_blocking(launch.sign, False)

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def progress(self) -> None:
        """Note that the training has done a step or a batch of an evaluation, or pauses."""
        self._progress += 1

    def _watch(self) -> None:
        while self._parent is None or os.getppid() == self._parent:
            self._send_sign()
            if self.count(ROUND_SECONDS):
                self._end()
            time.sleep(ROUND_SECONDS)
        os._exit(1)

    def _send_sign(self) -> None:
        if self._launch:
            with suppress(OSError):  # the pipe is full while the launcher is stopped
                os.write(self._launch.sign, b".")

    def count(self, seconds: float) -> bool:
        """Count a round of so many seconds, and return whether the training hangs."""
        if self._progress != self._seen:
            if self._seen:
                self._longest = max(self._longest, self._silent)
            self._seen, self._silent = self._progress, 0.0
        self._silent += seconds
        return self._seen > 0 and self._silent > self.limit

    @property
    def limit(self) -> float:
        """The seconds without progress after which the training hangs."""
        limit = max(HANG_SECONDS, HANG_FACTOR * self._longest)
        return limit * WAITING_FACTOR if _waits_for_others(self._main_frame()) else limit

    def _end(self) -> None:
        place = _place(self._main_frame())
        reason = (
            f"the training hangs: no step for {self._silent:,.0f} s, in {place}; resume it from the last checkpoint"
        )
        words = threading.Thread(target=self._on_hang, args=(reason,), daemon=True)
        words.start()
        words.join(LAST_WORDS_SECONDS)
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
