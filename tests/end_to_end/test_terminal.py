"""The program as its user has it: a real terminal, real keys, real processes, real Fashion-MNIST where it is found."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from alexplore.runs.directory import list_runs
from alexplore.runs.status import is_locked, read_status
from tests.support.processes import Alexplore
from tests.support.runs import wait_for_worker
from tests.support.terminal import Terminal

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

PRESET = """\
title = "A small network"
input = [1, 28, 28]
layers = [
  { name = "conv1", type = "conv2d", out_channels = 8, kernel_size = 5, stride = 2, padding = 2 },
  { name = "relu1", type = "relu" },
  { name = "pool1", type = "max_pool2d", kernel_size = 2 },
  { name = "flatten", type = "flatten" },
  { name = "fc2", type = "linear", out_features = 10 },
]

[training]
dataset = "DATASET"
optimizer = "adam"
lr = 0.003
epochs = 300
precision = "fp32"
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path, 80, 24)
    yield opened
    opened.close()


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """A network to train: on real Fashion-MNIST where the machine has it, else on drawn images."""
    real = Path("/usr/share/datasets/fashion-mnist").is_dir()
    path = tmp_path / "small.toml"
    path.write_text(PRESET.replace("DATASET", "fashion-mnist" if real else "synthetic"))
    return path


@pytest.fixture
def command(tmp_path: Path) -> str:
    """alexplore in the terminal's shell, with the test's own folders."""
    names = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ALEXPLORE_RUNS", "TEXTUAL_ANIMATIONS")
    variables = " ".join(f"{name}={os.environ[name]}" for name in names)
    return f"{variables} {sys.executable} -m alexplore"


@pytest.fixture(autouse=True)
def no_worker_left(tmp_path: Path) -> Iterator[None]:
    yield
    for run in list_runs(tmp_path / "runs"):
        status = read_status(run)
        if status.live and status.pid:
            os.killpg(os.getpgid(status.pid), signal.SIGKILL)


def test_explore_edit_train_quit_come_back_stop_resume(
    terminal: Terminal, command: str, preset: Path, tmp_path: Path, alexplore: Alexplore
) -> None:
    terminal.type(f"{command} tui --preset {preset}; echo left with $?\n")
    terminal.wait_for("4,138 params")  # (5·5·1 + 1)·8 + (7·7·8 + 1)·10

    terminal.press("Enter")
    terminal.wait_for("Edit conv1")
    terminal.type("16")
    terminal.wait_for(r"▲16×14×14")
    terminal.wait_for("8,266 params")  # (5·5·1 + 1)·16 + (7·7·16 + 1)·10
    terminal.press("Enter")
    terminal.wait_for(r"out_channels 8 → 16 · u takes it back")

    terminal.press("t")
    terminal.wait_for("Before it starts")
    terminal.type("/limit train")
    terminal.wait_for("limit train")
    terminal.press("Enter")
    terminal.wait_for("limit_train: ")
    terminal.press("Enter")  # digits go to other screens until a value is edited
    terminal.type("2000")
    terminal.wait_for(r"limit train +2000")
    terminal.press("Enter", "F5")
    terminal.wait_for("RUNNING")
    terminal.wait_for(r"best \d+\.\d%")
    terminal.resize(120, 40)
    terminal.wait_for(r"images/s")
    terminal.resize(80, 24)

    terminal.press("q")
    terminal.wait_for(r"still training: small-1")
    terminal.wait_for("left with 0")
    (run,) = list_runs(tmp_path / "runs")
    assert read_status(run).state == "running"
    assert run.config().network.layers[0].settings()["out_channels"] == 16

    terminal.type(f"clear; {command} tui --preset {preset}\n")
    terminal.wait_for("4,138 params")
    terminal.press("3")
    terminal.wait_for("running")
    terminal.press("Enter")
    terminal.wait_for("RUNNING")  # the list of runs shows the epoch, too
    terminal.press("x")
    terminal.wait_for("STOPPED")
    stopped = read_status(run)
    assert stopped.state == "stopped"

    terminal.press("r")
    terminal.wait_for("RUNNING")
    wait_for_worker(run, lambda: read_status(run).step > stopped.step, "steps after resuming")

    os.kill(app_pid(preset), signal.SIGKILL)
    at = read_status(run).step
    wait_for_worker(run, lambda: read_status(run).step > at, "steps after the app is gone")
    assert alexplore("runs", "stop", run.name).returncode == 0
    assert read_status(run).state == "stopped"


def test_a_signal_leaves_the_terminal_as_it_was(terminal: Terminal, command: str, preset: Path) -> None:
    terminal.type(f"{command} tui --preset {preset}; echo left\n")
    terminal.wait_for("4,138 params")
    assert terminal.modes() == "1 1 1"
    os.kill(app_pid(preset), signal.SIGTERM)
    terminal.wait_for("left")
    assert terminal.modes() == "0 0 0"


def app_pid(preset: Path) -> int:
    """The process of the app that shows a preset."""
    found = subprocess.run(
        ["pgrep", "-f", f"alexplore tui --preset {preset}"], capture_output=True, text=True, check=True
    )
    return max(map(int, found.stdout.split()))


def test_a_tiny_window_and_wrong_keys_do_no_harm(terminal: Terminal, command: str) -> None:
    terminal.type(f"{command} tui; echo left with $?\n")
    terminal.wait_for("60,965,224 params")
    terminal.resize(20, 5)
    terminal.press("z", "F5", "Escape", "Left", "Tab", "Enter", "Escape")
    terminal.resize(80, 24)
    terminal.wait_for("60,965,224 params")
    terminal.press("C-c")
    terminal.wait_for(r"ctrl\+c again closes the app")
    terminal.press("C-c")
    terminal.wait_for("left with 0")


def test_ctrl_c_once_stops_after_a_checkpoint(terminal: Terminal, command: str, preset: Path, tmp_path: Path) -> None:
    terminal.resize(120, 30)
    terminal.type(f"{command} train --preset {preset}; echo left with $?\n")
    terminal.wait_for(r"running .* images/s")
    terminal.press("C-c")
    terminal.wait_for("left with 3")
    assert "alexplore runs resume small-" in terminal.text().replace("\n", "")
    (run,) = list_runs(tmp_path / "runs")
    assert read_status(run).state == "stopped"
    assert (run.checkpoints_folder / "last" / "model.safetensors").is_file()


def test_ctrl_c_twice_stops_at_once(terminal: Terminal, command: str, preset: Path, tmp_path: Path) -> None:
    terminal.resize(120, 30)
    terminal.type(f"{command} train --preset {preset} --set training.checkpoint_minutes=60; echo left with $?\n")
    terminal.wait_for("starting")
    terminal.press("C-c", "C-c")
    terminal.wait_for("left with 130")
    (run,) = list_runs(tmp_path / "runs")
    assert not is_locked(run)
