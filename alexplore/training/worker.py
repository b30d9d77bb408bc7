"""`python -m alexplore.training.worker RUN_DIR`: the process that trains a run.

It takes the run's lock and writes its first status before it imports torch, so that its parent sees it at once.
For several ranks it launches them and holds the lock while they train: each rank is this same program with RANK and
WORLD_SIZE set, as under torchrun.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from alexplore.core.boundary import os_error_text, print_error, run_guarded
from alexplore.core.errors import DONE, FAILED, STOPPED, WRONG_USE, AlexploreError
from alexplore.core.formatting import count_text
from alexplore.core.process_exit import exit_process
from alexplore.core.regular_files import read_json
from alexplore.runs.control import remove_requests, write_request
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.protocol import EXPLAINED, NOT_FINITE, ErrorEvent
from alexplore.runs.status import ENDED, worker_lock
from alexplore.runs.torchrun import started_by_torchrun
from alexplore.training.console import print_patiently
from alexplore.training.cublas_workspace import set_deterministic_workspace
from alexplore.training.errors import (
    ANOTHER_RANK,
    NotFiniteError,
    RankError,
    Stopped,
    is_out_of_memory,
    killed_decoder_text,
)
from alexplore.training.parallel.launched import Launch, die_with_parent, read_launch
from alexplore.training.run_writer import NullRunWriter, RunWriter, read_history, read_position
from alexplore.training.signals import Signals
from alexplore.training.temporary import own_temporary_folder
from alexplore.training.watchdog import Watchdog

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# Idle threads spin for 0.2 ms and then sleep; OpenMP reads this when torch is imported. Its default of 5 ms
# makes training many times slower as soon as another program needs one of the processors.

PEER_GONE = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "recv operation to complete")
"""Parts of the messages of gloo and of the store when the process at the other end of a connection is gone."""


def main(arguments: list[str]) -> int:
    """Train the run whose directory is the only argument, and return the exit code."""
    print_patiently()
    if len(arguments) != 1:
        print("usage: python -m alexplore.training.worker RUN_DIR", file=sys.stderr)
        return WRONG_USE
    run, launch = RunDirectory(Path(arguments[0]).resolve()), read_launch()

    def work() -> int:
        if launch:
            return _run_rank(run, launch)
        with own_temporary_folder():
            if started_by_torchrun():
                return _run_rank(run, None)
            with _locked(run):
                return _run_worker(run)

    return run_guarded(work, print_error)


@contextmanager
def _locked(run: RunDirectory) -> Iterator[None]:
    """Hold the run's lock, and delete the requests to earlier workers. Nobody else writes the run's config meanwhile.

    If the run had no worker before, its requests are for this one and are kept.
    """
    with worker_lock(run) as had_worker:
        if had_worker:
            remove_requests(run)
        yield


def _run_worker(run: RunDirectory) -> int:
    """Train as the only rank, or launch several, and return the exit code."""
    config = run.config()
    signals = Signals()
    history, position = read_history(run), read_position(run)
    writer = RunWriter(run, history.attempts, position=position)
    if position.epochs >= config.recipe.epochs:
        writer.end("finished", f"there is nothing left to do after {count_text(config.recipe.epochs, 'epoch')}")
        return DONE
    writer.starting("importing torch")
    watchdog = Watchdog(None, None, lambda reason: _report_failure(writer, reason))

    def work() -> int:
        if config.recipe.deterministic:
            set_deterministic_workspace()
        from alexplore.training import hardware, session
        from alexplore.training.parallel.ranks import SINGLE_RANK

        device = hardware.choose_device(config.hardware)
        ranks = hardware.choose_ranks(config, device)
        if device.type == "cpu":
            hardware.check_memory(config, ranks)
        if ranks > 1:
            return _launch(run, ranks, writer, signals)
        hardware.prepare(device, deterministic=config.recipe.deterministic)
        watchdog.start()
        session.train(run, config, SINGLE_RANK, device, writer, history, signals, watchdog.progress)
        return DONE

    return _report_end(writer, work)


def _launch(run: RunDirectory, ranks: int, writer: RunWriter, signals: Signals) -> int:
    """Launch ranks, wait for them, and return the exit code; the first rank writes the run's files."""
    from alexplore.training.parallel.launcher import launch_ranks

    writer.starting(f"starting {ranks} ranks")
    if signals.stop:
        raise Stopped
    try:
        launch_ranks(run, ranks, _pass_on_stop(run, signals))
    except RankError as error:
        status = _raw_status(run)
        if status.get("state") not in ENDED:  # the first rank did not know the reason
            writer.at("running", int(status.get("step", 0)), float(status.get("epoch", 0)))
            raise
        return error.exit_code
    return {"finished": DONE, "stopped": STOPPED}.get(str(_raw_status(run).get("state")), FAILED)


def _pass_on_stop(run: RunDirectory, signals: Signals) -> Callable[[], None]:
    """Return a function that passes a signal to stop on to the first rank, once, as a request."""
    asked = False

    def pass_on() -> None:
        nonlocal asked
        if signals.stop and not asked:
            try:
                write_request(run, "stop")
            except RunError as error:  # a full disk: tried again
                print(f"warning: {error}", file=sys.stderr)
            else:
                asked = True

    return pass_on


def _raw_status(run: RunDirectory) -> dict[str, Any]:
    """Return the contents of status.json, without testing the lock: that would release this process's own."""
    return read_json(run.status_file) or {}


def _run_rank(run: RunDirectory, launch: Launch | None) -> int:
    """Train as one of several ranks, launched by a worker or by torchrun; return the exit code."""
    if launch:
        die_with_parent()
    rank = int(os.environ["RANK"])
    parent = launch.launcher if launch else os.getppid()
    signals = Signals()
    with _locked(run) if rank == 0 and not launch else nullcontext():
        config = run.config()
        history, position = read_history(run), read_position(run)
        pid = launch.launcher if launch else os.getpid()
        writer = RunWriter(run, history.attempts, pid, position) if rank == 0 else NullRunWriter()
        writer.starting("importing torch")
        watchdog = Watchdog(launch, parent, lambda reason: _report_failure(writer, reason, f"rank {rank}: "))

        def work() -> int:
            if config.recipe.deterministic:
                set_deterministic_workspace()
            from alexplore.training import hardware, session
            from alexplore.training.parallel import ranks as group

            watchdog.start()
            device = hardware.choose_device(config.hardware)
            hardware.check_ranks(config, int(os.environ["WORLD_SIZE"]))
            hardware.prepare(device, deterministic=config.recipe.deterministic)
            ranks = group.join(device, towers=config.hardware.parallel == "towers")
            first_config, first_history = ranks.broadcast((config, history))  # those that rank 0 has read
            session.train(
                run, first_config, ranks, ranks.device(device), writer, first_history, signals, watchdog.progress
            )
            group.leave()
            return DONE

        code = _report_end(writer, work, f"rank {rank}: ")
    return DONE if code == STOPPED else code  # the launcher treats every other code as a failure


def _report_failure(writer: RunWriter, reason: str, prefix: str = "", cause: str | None = None) -> None:
    """Write the reason of a failure to the run's files and to stderr."""
    if reason == ANOTHER_RANK and read_launch():
        return  # the launcher reports which one; if the launcher has died, readers see that the run has crashed
    print(f"error: {prefix}{reason}", file=sys.stderr, flush=True)
    writer.event(ErrorEvent(reason, cause))
    writer.end("failed", reason)


def _report_end(writer: RunWriter, work: Callable[[], int], prefix: str = "") -> int:
    """Do the work and return the exit code. If it ends early, write the reason to the run's files and to stderr."""
    try:
        with _children_reported():
            return work()
    except Stopped as stopped:
        writer.end("stopped", stopped.failure)
        return STOPPED
    except AlexploreError as error:
        _report_failure(writer, str(error), prefix, _cause(error))
        return error.exit_code
    except OSError as error:
        _report_failure(writer, os_error_text(error), prefix, EXPLAINED)
    except Exception as error:
        known = _explain(error)
        if known is None:
            traceback.print_exc()
        unknown = "; ".join([f"{type(error).__name__}: {error}".splitlines()[0], *getattr(error, "__notes__", ())])
        _report_failure(
            writer,
            known or unknown,
            prefix,
            EXPLAINED if known not in (None, ANOTHER_RANK) else None,
        )
    return FAILED


def _cause(error: AlexploreError) -> str | None:
    """Return the cause that the event of an error has: see `ErrorEvent`."""
    if isinstance(error, NotFiniteError):
        return NOT_FINITE
    # a rank's failure may be a crash; one that refuses its work has said why
    return None if isinstance(error, RankError) and error.exit_code == FAILED else EXPLAINED


@contextmanager
def _children_reported() -> Iterator[None]:
    """Let PyTorch raise errors about ended child processes only in the `with` block, after which they are reported."""
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _explain(error: Exception) -> str | None:
    """Return a message for an exception of PyTorch that has a known cause outside the program, else None."""
    text = str(error)
    if is_out_of_memory(error):
        detail = text.splitlines()[0] if text else "the machine has no more"
        return f"out of memory: {detail}; try a smaller --batch-size, or end other programs"
    if killed := killed_decoder_text(text):
        return killed
    return ANOTHER_RANK if any(sign in text for sign in PEER_GONE) else None


if __name__ == "__main__":
    exit_process(main(sys.argv[1:]))
