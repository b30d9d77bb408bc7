"""The worker's stdout and stderr: a full disk, a closed pipe or a terminal that is gone does not end a training."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from alexplore.core.boundary import reopen_closed_streams

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _PatientFile(io.FileIO):
    """A file that drops what it can't write."""

    def write(self, content: ReadableBuffer) -> int:
        """Write bytes, and return how many there were."""
        try:
            return super().write(content)
        except OSError:
            return len(memoryview(content).cast("B"))


def print_patiently() -> None:
    """Let this process print whatever it likes: names that are not valid text, and where nothing can be written."""
    reopen_closed_streams(writable=True)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw = _PatientFile(descriptor, "w", closefd=False)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        setattr(sys, name, stream)
