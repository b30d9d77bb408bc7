"""`python -m alexplore.training.worker RUN_DIR`: the process that trains.

It takes the run's lock and says that it is starting before it imports torch, so that whoever launched it sees it at
once. With several ranks it launches them and holds the lock while they train: each rank is this same program with RANK
and WORLD_SIZE set, as it is under torchrun.
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

from alexplore.core.atomic_files import read_json
from alexplore.core.boundary import os_error_text, print_error, run_guarded
from alexplore.core.errors import DONE, FAILED, STOPPED, WRONG_USE, AlexploreError
from alexplore.runs.config import RunConfig, in_group
from alexplore.runs.control import forget_requests, leave_request
from alexplore.runs.directory import RunDirectory
from alexplore.runs.protocol import ErrorEvent
from alexplore.runs.status import ENDED, worker_lock
from alexplore.training.errors import RankError, Stopped
from alexplore.training.run_writer import NullRunWriter, RunWriter, read_history
from alexplore.training.signals import Signals

LAUNCHER = "ALEXPLORE_LAUNCHER"
"""In a rank's environment: the process that launched it, which holds the run's lock and is the worker people see."""

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# Threads that have nothing to do wait actively for 0.2 ms and then sleep; read by OpenMP when torch is imported. The
# default of 5 ms makes training many times slower as soon as another program wants one of the cores.

# What gloo and the meeting's store say when the process at the other end of a connection is gone.
PEER_GONE = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "recv operation to complete")
ANOTHER_RANK = "another rank ended before its work was done; console.log has its last words"


def main(arguments: list[str]) -> int:
    """Train the run whose directory is the one argument; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m alexplore.training.worker RUN_DIR", file=sys.stderr)
        return WRONG_USE
    run = RunDirectory(Path(arguments[0]).resolve())
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def work() -> int:
        config = run.config()
        if in_group():
            return _be_rank(run, config)
        with worker_lock(run):
            return _be_worker(run, config)

    return run_guarded(work, print_error)


def _be_worker(run: RunDirectory, config: RunConfig) -> int:
    """Train as the only rank, or launch several."""
    history = read_history(run)
    journal = RunWriter(run, history.attempts)
    if history.attempts:
        forget_requests(run)  # asked of a worker that is gone
    if _epochs_done(run) >= config.recipe.epochs:
        journal.end("finished", f"all {config.recipe.epochs} epochs are trained: there is nothing left to do")
        return DONE
    journal.starting("importing torch")
    signals = Signals()

    def work() -> int:
        from alexplore.training import hardware, session
        from alexplore.training.parallel.ranks import ALONE

        device = hardware.choose_device(config.hardware)
        ranks = hardware.choose_ranks(config, device)
        if device.type == "cpu":
            hardware.check_memory(config, ranks)
        if ranks > 1:
            return _launch(run, ranks, journal, signals)
        hardware.prepare(device)
        session.train(run, config, ALONE, device, journal, history, signals)
        return DONE

    return _guarded(journal, work)


def _launch(run: RunDirectory, ranks: int, journal: RunWriter, signals: Signals) -> int:
    """Launch ranks and wait for them; the first of them writes how it goes, and how it ended."""
    from alexplore.training.parallel.launcher import launch_ranks

    journal.starting(f"starting {ranks} ranks")
    signals.on_stop = lambda: leave_request(run, "stop")
    if signals.stop:
        raise Stopped
    os.environ[LAUNCHER] = str(os.getpid())
    try:
        launch_ranks(run, ranks)
    except RankError:
        written = _written(run)
        if written.get("state") not in ENDED:  # the first rank could not know why
            journal.at("running", int(written.get("step", 0)), float(written.get("epoch", 0)))
            raise
    return {"finished": DONE, "stopped": STOPPED}.get(str(_written(run).get("state")), FAILED)


def _written(run: RunDirectory) -> dict[str, Any]:
    """What status.json says, without the look at the lock that would give the lock up."""
    return read_json(run.status_file) or {}


def _be_rank(run: RunDirectory, config: RunConfig) -> int:
    """Train as one of several ranks, launched by a worker or by torchrun."""
    rank = int(os.environ["RANK"])
    launcher = int(os.environ.get(LAUNCHER, "0"))
    signals = Signals()
    with worker_lock(run) if rank == 0 and not launcher else nullcontext():
        history = read_history(run)
        journal = RunWriter(run, history.attempts, launcher or os.getpid()) if rank == 0 else NullRunWriter()
        journal.starting("importing torch")

        def work() -> int:
            from alexplore.training import hardware, session
            from alexplore.training.parallel import ranks as group

            group.end_with_parent(launcher or os.getppid())
            device = hardware.choose_device(config.hardware)
            hardware.check_ranks(config, int(os.environ["WORLD_SIZE"]))
            hardware.prepare(device)
            ranks = group.join(device, towers=config.hardware.parallel == "towers")
            session.train(run, config, ranks, ranks.device(device), journal, ranks.tell(history), signals)
            group.leave()
            return DONE

        code = _guarded(journal, work, f"rank {rank}: ")
    return DONE if code == STOPPED else code  # whoever launched it takes all else for a failure


def _guarded(journal: RunWriter, work: Callable[[], int], who: str = "") -> int:
    """Do the work, and write down how it ended where it ended early; the exit code."""

    def failed(reason: str) -> None:
        if reason == ANOTHER_RANK and _launched():
            return  # the launcher knows which; if it died without a word, that is for readers to say
        print(f"error: {who}{reason}", file=sys.stderr, flush=True)
        journal.event(ErrorEvent(reason))
        journal.end("failed", reason)

    try:
        return work()
    except Stopped as stopped:
        journal.end("stopped", stopped.failure)
        return STOPPED
    except AlexploreError as error:
        failed(str(error))
        return error.exit_code
    except OSError as error:
        failed(os_error_text(error))
    except Exception as error:
        known = _explanation(error)
        if known is None:
            traceback.print_exc()
        failed(known or f"{type(error).__name__}: {error}".splitlines()[0])
    return FAILED


def _launched() -> bool:
    """Whether this is a rank that a worker launched."""
    return int(os.environ.get(LAUNCHER, "0")) not in (0, os.getpid())


def _explanation(error: Exception) -> str | None:
    """What an exception of PyTorch's means to a person, where that is known."""
    import torch

    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return (
            f"out of memory: {text.splitlines()[0] if text else 'the machine has no more'}; try a smaller --batch-size"
        )
    return ANOTHER_RANK if any(sign in text for sign in PEER_GONE) else None


def _epochs_done(run: RunDirectory) -> int:
    epoch = (read_json(run.checkpoints_folder / "last" / "manifest.json") or {}).get("epoch")
    return epoch if isinstance(epoch, int) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
