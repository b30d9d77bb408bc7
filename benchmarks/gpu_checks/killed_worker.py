"""A worker that kills itself: `python killed_worker.py RUN_DIR SAVED KILLED`.

It trains a run, gets a request for a checkpoint at its batch SAVED, and kills itself by SIGKILL at its batch KILLED.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from alexplore.runs.control import write_request
from alexplore.runs.directory import RunDirectory
from alexplore.training import worker


def main(run: str, saved_at: int, killed_at: int) -> int:
    """Train until batch number `killed_at` of this process begins; a shorter run ends normally."""
    from torch import Tensor

    from alexplore.training import sync_points
    from alexplore.training.data.preprocess import Preprocess

    plain, seen = Preprocess.draw, 0

    def draw(self: Preprocess, count: int, seed: int, before: int = 0) -> tuple[Tensor, ...]:
        nonlocal seen
        seen += 1
        if seen == saved_at:
            write_request(RunDirectory(Path(run)), "checkpoint")
        if seen == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, count, seed, before)

    sync_points.INTERVAL_SECONDS = 0.0  # requests are read after every step
    Preprocess.draw = draw  # type: ignore[method-assign]
    return worker.main([run])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
