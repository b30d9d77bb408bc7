"""Make the worker's stdout and stderr robust: a full disk, a closed pipe or a lost terminal must not end a training."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from alexplore.core.boundary import reopen_closed_streams

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _PatientFile(io.FileIO):
    """A file that ignores errors of writing."""

    def write(self, content: ReadableBuffer) -> int:
        """Write bytes, and return their number, also if they could not be written."""
        try:
            return super().write(content)
        except OSError:
            return len(memoryview(content).cast("B"))


def print_patiently() -> None:
    """Make printing never fail in this process, neither for names that are not valid text nor if writing fails."""
    reopen_closed_streams(writable=True)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw = _PatientFile(descriptor, "w", closefd=False)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        setattr(sys, name, stream)
