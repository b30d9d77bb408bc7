"""Pauses of the threads that read files again and again."""

from __future__ import annotations

import time
from threading import Event
from typing import Any

from textual.worker import Worker

SLICE_SECONDS = 0.1


def pause(worker: Worker[Any], seconds: float, wake: Event | None = None) -> None:
    """Wait for some seconds; less if the worker is cancelled, or `wake` is set."""
    wake = wake or Event()
    deadline = time.monotonic() + seconds
    while not worker.is_cancelled and (left := deadline - time.monotonic()) > 0:
        if wake.wait(min(SLICE_SECONDS, left)):
            return
