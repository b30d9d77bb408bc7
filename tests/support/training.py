"""Training inside the test's own process."""

from __future__ import annotations

from contextlib import nullcontext, redirect_stderr
from unittest import mock

import torch

from alexplore.runs.directory import RunDirectory
from alexplore.training import hardware, session, worker
from alexplore.training.errors import Stopped
from alexplore.training.parallel.ranks import SINGLE_RANK, Ranks
from alexplore.training.run_writer import RunWriter, read_history
from alexplore.training.signals import Signals


class QuietSignals(Signals):
    """A worker's signals without handlers: the test's process keeps its own."""

    def __init__(self) -> None:
        self.stop = False


def train_here(run: RunDirectory, ranks: Ranks = SINGLE_RANK) -> str:
    """Train a run in this process, on the CPU, as a worker would; return "finished" or "stopped"."""
    history = read_history(run)
    writer = RunWriter(run, history.attempts)
    try:
        session.train(run, run.config(), ranks, torch.device("cpu"), writer, history, QuietSignals())
    except Stopped:
        writer.end("stopped")
        return "stopped"
    return "finished"


def run_worker_here(run: RunDirectory) -> int:
    """Run the worker of a run in this process and return its exit code: for runs that end by themselves.

    This process keeps its signals, its priority and its streams; what the worker reports goes to console.log.
    """
    with (
        mock.patch.object(worker, "Signals", QuietSignals),
        mock.patch.object(worker, "Watchdog"),
        mock.patch.object(worker, "print_patiently"),
        mock.patch.object(worker, "_children_reported", nullcontext),
        mock.patch.object(hardware, "prepare"),
        run.console_file.open("a") as console,
        redirect_stderr(console),
    ):
        return worker.main([str(run.path)])
