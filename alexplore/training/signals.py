"""SIGTERM, SIGINT and SIGHUP: the first asks the worker to stop, the second ends the process at once."""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED_TWICE = 130
"""Exit code after a second signal."""


class Signals:
    """The signals that this process has received. Creating one installs the handlers; the main thread must do it."""

    def __init__(self) -> None:
        self.stop = False
        """Whether a signal has requested a stop."""

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.stop:
            os._exit(INTERRUPTED_TWICE)
        self.stop = True
