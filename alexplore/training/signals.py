"""SIGTERM, SIGINT and SIGHUP: the first asks the worker to stop, the second ends the process at once."""

from __future__ import annotations

import os
import signal
from types import FrameType

from alexplore.core.errors import INTERRUPTED


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
            os._exit(INTERRUPTED)
        self.stop = True
