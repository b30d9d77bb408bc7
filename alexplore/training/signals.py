"""SIGTERM and SIGINT: the first asks for a stop, the second ends the process at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

INTERRUPTED_TWICE = 130


class Signals:
    """What this process was told by signals. Made in the main thread."""

    def __init__(self) -> None:
        self.stop = False
        self.on_stop: Callable[[], object] = lambda: None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._received)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self.stop:
            os._exit(INTERRUPTED_TWICE)
        self.stop = True
        self.on_stop()
