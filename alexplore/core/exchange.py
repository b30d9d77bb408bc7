"""Exchanging the names of two folders in one step, which Python's standard library cannot do.

Linux: renameat2(2) with RENAME_EXCHANGE (since 3.15). macOS: renamex_np(2) with RENAME_SWAP (since 10.12). Some file
systems, such as NFS, support neither.
"""

from __future__ import annotations

import os
from pathlib import Path

RENAME_EXCHANGE, AT_FDCWD = 2, -100
"""From Linux's uapi/linux/fs.h and fcntl.h."""

RENAME_SWAP = 2
"""From macOS's sys/stdio.h."""


def exchange(a: Path, b: Path) -> bool:
    """Exchange what two paths name, so that both always exist; return False if the system cannot, or a path is missing.

    Nothing is changed when False is returned.
    """
    import ctypes  # only those who save a checkpoint wait for it

    library = ctypes.CDLL(None)
    first, second = os.fsencode(a), os.fsencode(b)
    if hasattr(library, "renameat2"):
        return bool(library.renameat2(AT_FDCWD, first, AT_FDCWD, second, ctypes.c_uint(RENAME_EXCHANGE)) == 0)
    if hasattr(library, "renamex_np"):
        return bool(library.renamex_np(first, second, ctypes.c_uint(RENAME_SWAP)) == 0)
    return False
