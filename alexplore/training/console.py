"""The worker's stdout and stderr: a full disk, a closed pipe or a terminal that is gone does not end a training."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

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
    """Let this process print whatever it likes: names that are not valid text, and where nothing can be written.

    Streams that are closed lead to /dev/null, so that no file that is opened later takes their place.
    """
    _open_missing_streams()
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw = _PatientFile(descriptor, "w", closefd=False)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        setattr(sys, name, stream)


def _open_missing_streams() -> None:
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
