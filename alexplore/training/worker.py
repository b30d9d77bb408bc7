"""`python -m alexplore.training.worker RUN_DIR`: the process that trains a run.

It takes the run's lock and writes its first status before it imports torch, so that whoever started it sees it at once.
For several ranks it launches them and holds the lock while they train: each rank is this same program with RANK and
WORLD_SIZE set, as under torchrun.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from alexplore.core.boundary import os_error_text, print_error, run_guarded
from alexplore.core.errors import DONE, FAILED, STOPPED, WRONG_USE, AlexploreError
from alexplore.core.regular_files import read_json
from alexplore.runs.config import RunConfig, in_group
from alexplore.runs.control import forget_requests, leave_request
from alexplore.runs.directory import RunDirectory
from alexplore.runs.protocol import ErrorEvent
from alexplore.runs.status import ENDED, worker_lock
from alexplore.training.errors import RankError, Stopped
from alexplore.training.run_writer import NullRunWriter, RunWriter, read_history
from alexplore.training.signals import Signals

LAUNCHER = "ALEXPLORE_LAUNCHER"
"""Environment variable of a rank: the id of the process that launched it, which holds the run's lock."""

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# Idle threads wait actively for 0.2 ms and then sleep; OpenMP reads this when torch is imported. Its default of 5 ms
# makes training many times slower as soon as another program needs one of the processors.

PEER_GONE = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "recv operation to complete")
"""Parts of the messages of gloo and of the store when the process at the other end of a connection is gone."""

ANOTHER_RANK = "another rank ended before its work was done; console.log has its last words"


def main(arguments: list[str]) -> int:
    """Train the run in the directory that is the one argument, and return the exit code."""
    if len(arguments) != 1:
        print("usage: python -m alexplore.training.worker RUN_DIR", file=sys.stderr)
        return WRONG_USE
    run = RunDirectory(Path(arguments[0]).resolve())
    for stream in (sys.stdout, sys.stderr):  # file names may not be valid text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def work() -> int:
        config = run.config()
        if in_group():
            return _run_rank(run, config)
        with worker_lock(run):
            return _run_worker(run, config)

    return run_guarded(work, print_error)


def _run_worker(run: RunDirectory, config: RunConfig) -> int:
    """Train as the only rank, or launch several; return the exit code."""
    history = read_history(run)
    writer = RunWriter(run, history.attempts)
    if history.attempts:
        forget_requests(run)  # they were for a worker that is gone
    if _epochs_done(run) >= config.recipe.epochs:
        writer.end("finished", f"all {config.recipe.epochs} epochs are trained: there is nothing left to do")
        return DONE
    writer.starting("importing torch")
    signals = Signals()

    def work() -> int:
        from alexplore.training import hardware, session
        from alexplore.training.parallel.ranks import SINGLE_RANK

        device = hardware.choose_device(config.hardware)
        ranks = hardware.choose_ranks(config, device)
        if device.type == "cpu":
            hardware.check_memory(config, ranks)
        if ranks > 1:
            return _launch(run, ranks, writer, signals)
        hardware.prepare(device)
        session.train(run, config, SINGLE_RANK, device, writer, history, signals)
        return DONE

    return _report_end(writer, work)


def _launch(run: RunDirectory, ranks: int, writer: RunWriter, signals: Signals) -> int:
    """Launch ranks, wait for them, and return the exit code; the first rank writes the run's files."""
    from alexplore.training.parallel.launcher import launch_ranks

    writer.starting(f"starting {ranks} ranks")
    signals.on_stop = lambda: leave_request(run, "stop")
    if signals.stop:
        raise Stopped
    os.environ[LAUNCHER] = str(os.getpid())
    try:
        launch_ranks(run, ranks)
    except RankError:
        status = _raw_status(run)
        if status.get("state") not in ENDED:  # the first rank could not know the reason
            writer.at("running", int(status.get("step", 0)), float(status.get("epoch", 0)))
            raise
    return {"finished": DONE, "stopped": STOPPED}.get(str(_raw_status(run).get("state")), FAILED)


def _raw_status(run: RunDirectory) -> dict[str, Any]:
    """Return the contents of status.json without a check of the lock: to test it would release this process's own."""
    return read_json(run.status_file) or {}


def _run_rank(run: RunDirectory, config: RunConfig) -> int:
    """Train as one of several ranks, launched by a worker or by torchrun; return the exit code."""
    rank = int(os.environ["RANK"])
    launcher = int(os.environ.get(LAUNCHER, "0"))
    signals = Signals()
    with worker_lock(run) if rank == 0 and not launcher else nullcontext():
        history = read_history(run)
        writer = RunWriter(run, history.attempts, launcher or os.getpid()) if rank == 0 else NullRunWriter()
        writer.starting("importing torch")

        def work() -> int:
            from alexplore.training import hardware, session
            from alexplore.training.parallel import ranks as group

            group.exit_with_parent(launcher or os.getppid())
            device = hardware.choose_device(config.hardware)
            hardware.check_ranks(config, int(os.environ["WORLD_SIZE"]))
            hardware.prepare(device)
            ranks = group.join(device, towers=config.hardware.parallel == "towers")
            session.train(run, config, ranks, ranks.device(device), writer, ranks.broadcast(history), signals)
            group.leave()
            return DONE

        code = _report_end(writer, work, f"rank {rank}: ")
    return DONE if code == STOPPED else code  # the launcher takes every other code for a failure


def _report_end(writer: RunWriter, work: Callable[[], int], prefix: str = "") -> int:
    """Do the work and return the exit code. If it ends early, write why to the run's files and to stderr."""

    def report_failure(reason: str) -> None:
        if reason == ANOTHER_RANK and _was_launched():
            return  # the launcher knows which; if it died, readers find the run crashed
        print(f"error: {prefix}{reason}", file=sys.stderr, flush=True)
        writer.event(ErrorEvent(reason))
        writer.end("failed", reason)

    try:
        return work()
    except Stopped as stopped:
        writer.end("stopped", stopped.failure)
        return STOPPED
    except AlexploreError as error:
        report_failure(str(error))
        return error.exit_code
    except OSError as error:
        report_failure(os_error_text(error))
    except Exception as error:
        known = _explain(error)
        if known is None:
            traceback.print_exc()
        report_failure(known or f"{type(error).__name__}: {error}".splitlines()[0])
    return FAILED


def _was_launched() -> bool:
    """Return whether this is a rank that a worker launched."""
    return int(os.environ.get(LAUNCHER, "0")) not in (0, os.getpid())


def _explain(error: Exception) -> str | None:
    """Return a message for an exception of PyTorch that is no fault of the program, else None."""
    import torch

    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        detail = text.splitlines()[0] if text else "the machine has no more"
        return f"out of memory: {detail}; try a smaller --batch-size"
    return ANOTHER_RANK if any(sign in text for sign in PEER_GONE) else None


def _epochs_done(run: RunDirectory) -> int:
    epoch = (read_json(run.checkpoints_folder / "last" / "manifest.json") or {}).get("epoch")
    return epoch if isinstance(epoch, int) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
