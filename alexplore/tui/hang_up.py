"""End the program when its terminal is gone, also if nobody sends it SIGHUP.

The kernel sends that signal to the session of the terminal. Under `setsid` or in a container the program may be outside
of it, and Textual would read the closed terminal in an endless loop.
"""

from __future__ import annotations

import os
import select
import signal

CHECK_SECONDS = 2.0


def is_hung_up(file: int) -> bool:
    """Return whether the other end of a terminal or pipe is closed."""
    poll = select.poll()
    poll.register(file, 0)
    return any(mask & select.POLLHUP for _, mask in poll.poll(0))


def end_by_hang_up() -> None:
    """End this process at once as SIGHUP does, without writing to the terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGHUP)
