"""What the tests of training share: few threads, and runs that train in a moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alexplore.core.atomic_files import read_json
from alexplore.network.graph import Network, read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineReader
from alexplore.training import session
from alexplore.training.errors import Stopped
from alexplore.training.parallel.ranks import ALONE
from alexplore.training.run_writer import Journal, read_history
from alexplore.training.signals import Signals

PATIENCE = 120.0  # seconds, for a machine that many share

SMALL = {
    "input": [1, 12, 12],
    "layers": [
        {"name": "conv1", "type": "conv2d", "out_channels": 6, "kernel_size": 3, "padding": 1},
        {"name": "relu1", "type": "relu"},
        {"name": "norm1", "type": "local_response_norm", "size": 3},
        {"name": "pool1", "type": "max_pool2d", "kernel_size": 3, "stride": 2},
        {"name": "conv2", "type": "conv2d", "out_channels": 8, "kernel_size": 3, "groups": 2},
        {"name": "relu2", "type": "relu"},
        {"name": "flatten", "type": "flatten"},
        {"name": "fc3", "type": "linear", "out_features": 16},
        {"name": "relu3", "type": "relu"},
        {"name": "drop3", "type": "dropout", "p": 0.5},
        {"name": "fc4", "type": "linear", "out_features": 10},
    ],
}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny tensors are not worth the waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """No test draws other numbers because of the tests before it."""
    torch.manual_seed(0)


@pytest.fixture
def small() -> Network:
    """Every kind of layer whose state or randomness matters, in 12×12 pixels."""
    return read_network(SMALL)


MakeRun = Callable[..., RunDirectory]


@pytest.fixture
def make_run(tmp_path: Path, small: Network) -> MakeRun:
    """Make a run of the small network; keywords are of the recipe."""

    def make(name: str = "run", network: Network = small, **recipe: Any) -> RunDirectory:
        defaults: dict[str, Any] = {
            "dataset": "synthetic",
            "epochs": 2,
            "batch_size": 16,
            "optimizer": "adam",
            "lr": 0.003,
            "precision": "fp32",
            "horizontal_flip": True,
            "random_crop": True,
            "crop_padding": 1,
        }
        hardware = {key: recipe.pop(key) for key in ("gpus", "parallel", "device") if key in recipe}
        data = {key: recipe.pop(key) for key in ("folder", "limit_train", "limit_val") if key in recipe}
        config = RunConfig(
            name,
            network,
            replace(Recipe(), **{**defaults, **recipe}),
            Hardware(**{"device": "cpu", **hardware}),
            DataSource(**{"limit_train": 75, "limit_val": 31, **data}),
        )
        return create_run(config, tmp_path / "runs", name)

    return make


class QuietSignals(Signals):
    """Of a worker inside a test: it takes no signals over."""

    def __init__(self) -> None:
        self.stop = False
        self.on_stop = lambda: None


def train_here(run: RunDirectory) -> str:
    """Train a run in this process, as a worker would; how it ended."""
    history = read_history(run)
    journal = Journal(run, history.attempts)
    try:
        session.train(run, run.config(), ALONE, torch.device("cpu"), journal, history, QuietSignals())
    except Stopped:
        journal.end("stopped")
        return "stopped"
    return "finished"


def events(run: RunDirectory, kind: str | None = None) -> list[dict[str, Any]]:
    """What events.jsonl holds."""
    return [event for event in LineReader(run.events_file).read() if kind in (None, event.get("event"))]


def values(run: RunDirectory) -> dict[tuple[str, int], float]:
    """What metrics.jsonl holds: the last value of each metric at each step, without what time brings."""
    found = {}
    for line in LineReader(run.metrics_file).read():
        for key, value in line.items():
            if "/" in key or key == "lr":
                found[key, int(line["step"])] = value
    return found


def start_worker(run: RunDirectory, **environment: str) -> subprocess.Popen[bytes]:
    """Start a worker process as `alexplore train` does."""
    with run.console_file.open("ab") as console:
        return subprocess.Popen(
            [sys.executable, "-m", "alexplore.training.worker", str(run.path)],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment},
        )


def end_of(process: subprocess.Popen[bytes], run: RunDirectory) -> int:
    """Wait for a worker; its exit code."""
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("\n".join(run.console_tail(30)))


def wait_until(condition: Callable[[], bool], run: RunDirectory) -> None:
    """Wait for something that a worker does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("\n".join(run.console_tail(30)))
        time.sleep(0.02)


def steps_done(run: RunDirectory) -> int:
    """The last step in metrics.jsonl."""
    return max((step for _, step in values(run)), default=0)


def state_of(run: RunDirectory) -> str:
    """What status.json says, without a look at the lock."""
    return str((read_json(run.status_file) or {}).get("state"))
