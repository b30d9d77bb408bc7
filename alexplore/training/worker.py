"""`python -m alexplore.training.worker RUN_DIR`: the process that trains.

It takes the run's lock and says that it is starting before it imports torch, so that whoever launched it sees it at
once.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from alexplore.network.settings import SettingError
from alexplore.network.shape import ShapeError
from alexplore.runs.config import RunConfig
from alexplore.runs.control import forget_requests
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.files import read_json
from alexplore.runs.status import worker_lock
from alexplore.training.journal import History, Journal, read_history

DONE, FAILED, WRONG_USE, STOPPED = 0, 1, 2, 3


def main(arguments: list[str]) -> int:
    """Train the run whose directory is the one argument; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m alexplore.training.worker RUN_DIR", file=sys.stderr)
        return WRONG_USE
    run = RunDirectory(Path(arguments[0]).resolve())
    try:
        config = run.config()
        with worker_lock(run):
            return _work(run, config)
    except (RunError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED


def _work(run: RunDirectory, config: RunConfig) -> int:
    history = read_history(run)
    journal = Journal(run, history.attempts)
    if history.attempts:
        forget_requests(run)  # asked of a worker that is gone
    if _epochs_done(run) >= config.recipe.epochs:
        journal.end("finished", f"all {config.recipe.epochs} epochs are trained: there is nothing to do")
        return DONE
    journal.starting("importing torch")
    return _train(run, config, journal, history)


def _epochs_done(run: RunDirectory) -> int:
    epoch = (read_json(run.checkpoints_folder / "last" / "manifest.json") or {}).get("epoch")
    return epoch if isinstance(epoch, int) else 0


def _train(  # noqa: PLR0911 (one for each way to end)
    run: RunDirectory, config: RunConfig, journal: Journal, history: History
) -> int:
    import torch

    from alexplore.training import machine, session
    from alexplore.training.checkpoint import CheckpointError
    from alexplore.training.data import DataError
    from alexplore.training.distributed import Ranks
    from alexplore.training.loop import NotFiniteError, Stopped
    from alexplore.training.pulse import Signals

    signals = Signals()
    signals.install()
    try:
        device = torch.device(machine.choose_device(config.hardware))
        if device.type == "cpu":
            machine.be_nice()
            machine.keep_memory()
        session.train(run, config, Ranks(), device, journal, history, signals)
    except Stopped:
        journal.end("stopped")
        return STOPPED
    except machine.HardwareError as error:
        return _failed(journal, str(error), WRONG_USE)
    except (DataError, SettingError, ShapeError, RunError, CheckpointError, NotFiniteError) as error:
        return _failed(journal, str(error))
    except OSError as error:
        return _failed(journal, f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        if _out_of_memory(error):
            return _failed(journal, f"out of memory: try a --batch-size below {config.recipe.batch_size}")
        traceback.print_exc()
        return _failed(journal, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    journal.end("finished")
    return DONE


def _failed(journal: Journal, reason: str, code: int = FAILED) -> int:
    print(f"error: {reason}", file=sys.stderr, flush=True)
    journal.event("error", message=reason)
    journal.end("failed", reason)
    return code


def _out_of_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
