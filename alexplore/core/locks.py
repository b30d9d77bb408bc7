"""Whether another process holds a lock file."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path


def is_held(path: Path) -> bool:
    """Return whether a process of this or another machine holds a lock file. Only regular files can be held.

    The holder itself must not call this: closing the file would give up its lock.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a process that holds a lock has made a regular file
            return False
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
