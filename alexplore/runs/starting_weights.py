"""Find the weights that a text names: a file, a checkpoint folder, or a run, of which the best checkpoint is used."""

from __future__ import annotations

from pathlib import Path

from alexplore.core.errors import WrongUseError
from alexplore.core.home import expand
from alexplore.runs.checkpoint_names import MANIFEST
from alexplore.runs.directory import RunDirectory, RunError, find_run, list_runs

SUFFIXES = frozenset({".safetensors", ".pt", ".pth", ".bin", ".ckpt"})
"""Usual suffixes of weight files; files with other suffixes can be read too."""


class WeightsError(WrongUseError):
    """The text names no weights."""


def find_weights(given: str, runs: Path) -> Path:
    """Return the absolute path of a file of weights or of a checkpoint folder; `runs` is the folder of runs.

    Raises:
        WeightsError: there is no such file and no such run, or the run has no checkpoint.
    """
    path = expand(given)
    if path.is_dir():
        return path.resolve() if (path / MANIFEST).is_file() else _best(RunDirectory(path.resolve()), given)
    if path.exists():
        return path.resolve()
    try:
        return _best(find_run(given, runs), given)
    except RunError as error:
        raise WeightsError(f"weights {given}: there is no such file; as the name of a run: {error}") from None


def runs_with_weights(runs: Path) -> list[RunDirectory]:
    """Return the runs that have a checkpoint, the newest first.

    Raises:
        RunError: the folder of runs can't be read.
    """
    return [run for run in list_runs(runs) if run.best_checkpoint is not None]


def _best(run: RunDirectory, given: str) -> Path:
    best = run.best_checkpoint
    if best is None:
        what = "the run has no checkpoint yet" if run.has_files else "the folder is neither a run nor a checkpoint"
        raise WeightsError(f"weights {given}: {what}")
    return best
