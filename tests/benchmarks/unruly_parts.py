"""Parts that a process does not survive, for the tests of whoever waits for them."""

from __future__ import annotations

import os
import signal
import time

from gpu_checks.bench import Bench, DeviceLost, Outcome, expect


def hang(_: Bench) -> Outcome:
    """Take no notice of the deadline."""
    time.sleep(600)
    return Outcome()


def crash(_: Bench) -> Outcome:
    """Die as by a segmentation fault."""
    os.kill(os.getpid(), signal.SIGKILL)
    return Outcome()


def lose(_: Bench) -> Outcome:
    """Fail as CUDA does where the context is lost."""
    raise DeviceLost("CUDA error: an illegal memory access was encountered")


def work(bench: Bench) -> Outcome:
    """Tell which process this is."""
    return Outcome((expect("runs", bench.work.is_dir()),), {"pid": os.getpid()})
