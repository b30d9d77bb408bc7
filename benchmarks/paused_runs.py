"""Compare the speeds of runs that train in workers of their own, each in its turns while the others are paused."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from turns import Figure, Turns, figure, take_turns
from workers import started_worker

from alexplore.runs import service
from alexplore.runs.config import RunConfig
from alexplore.runs.control import wait_for_answer
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineReader
from alexplore.training.kernels.processor import processor_class

PATIENCE = 300.0
"""Seconds in which a run must answer."""


def option_parser(doc: str, presets: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of the options that these benchmarks share; the precision is this machine's fastest."""
    fast = "bf16" if processor_class("cpu") in ("avx512_bf16", "amx") else "fp32"
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", default=presets)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default=fast)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    return parser


@dataclass(frozen=True)
class PausedRun:
    """A run that only trains while its speed is measured."""

    run: RunDirectory
    worker: subprocess.Popen[bytes]
    reader: LineReader
    batch_size: int

    def ask(self, action: str) -> None:
        """Send a request, and wait for its answer."""
        answer = wait_for_answer(self.run, service.ask(self.run, action), PATIENCE)
        if answer is None:
            raise SystemExit(f"{self.run.name}: no answer to {action}: {self.run.console_tail(5)}")

    def last_line(self) -> tuple[float, int]:
        """Wait for new metrics lines, and return the time and the step of the last one."""
        deadline = time.monotonic() + PATIENCE
        while not (lines := self.reader.read()):
            if self.worker.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.run.name}: no metrics: {self.run.console_tail(5)}")
            time.sleep(0.02)
        return float(lines[-1]["time"]), int(lines[-1]["step"])

    def images_per_second(self, seconds: float) -> float:
        """Let the run train for some seconds, by the times of its metrics lines."""
        self.ask("resume")
        start, first_step = self.last_line()
        end, last_step = start, first_step
        while end < start + seconds:
            end, last_step = self.last_line()
        self.ask("pause")
        self.reader.read()
        return (last_step - first_step) * self.batch_size / (end - start)


@dataclass(frozen=True)
class Rates:
    """The images a second of several runs in the same turns."""

    by_run: Mapping[str, list[float]]
    """Of each turn in `turns.all`."""

    turns: Turns

    def figure(self, name: str) -> Figure:
        """Return the images a second of a run."""
        return figure(self._counted(name))

    def ratio(self, one: str, other: str) -> Figure:
        """Return the images a second of one run divided by those of another: above 1 the first is faster."""
        return figure([a / b for a, b in zip(self._counted(one), self._counted(other), strict=True)])

    def _counted(self, name: str) -> list[float]:
        rates = zip(self.turns.all, self.by_run[name], strict=True)
        return [rate for turn, rate in rates if turn in self.turns.counted]


def compare_runs(configs: Mapping[str, RunConfig], precision: str, turns: int, seconds: float) -> Rates:
    """Train each run for some seconds a turn, and return their images a second."""
    rates: dict[str, list[float]] = {name: [] for name in configs}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runs = {name: stack.enter_context(_start_paused(config, folder)) for name, config in configs.items()}

        def train(name: str) -> None:
            rates[name].append(runs[name].images_per_second(seconds))

        taken = take_turns({name: partial(train, name) for name in configs}, precision, turns)
    warmed_up = {name: values[1:] for name, values in rates.items()}  # the first turn does not count
    return Rates(warmed_up, taken)


@contextmanager
def _start_paused(config: RunConfig, folder: Path) -> Iterator[PausedRun]:
    """Start a run, pause it after its first metrics, and end it at last."""
    run = create_run(config, folder)
    with started_worker(run) as worker:
        paused = PausedRun(run, worker, LineReader(run.metrics_file), config.recipe.batch_size)
        paused.last_line()
        paused.ask("pause")
        paused.reader.read()
        yield paused
