"""Processes of a run that stop, hang or are killed at a bad moment, and folders that go away under them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from alexplore.network.graph import read_network
from alexplore.runs.directory import RunDirectory
from alexplore.runs.launch import launch
from alexplore.runs.service import ask
from alexplore.runs.status import is_locked, read_status
from alexplore.training.checkpoint import read
from tests.faults.kills import train_to_the_end
from tests.faults.run_processes import App, processes_of, ranks_of, start_following, worker_of
from tests.support.networks import SMALL
from tests.support.processes import exit_code, start_worker
from tests.support.runs import steps_done, wait_for_state, wait_for_steps, wait_for_worker
from tests.training.conftest import MakeRun

ALTERNATE_ON, ALTERNATE_OFF = "\x1b[?1049h", "\x1b[?1049l"
"""What changes a terminal to its second screen, and back."""

LONG = 100_000
"""Epochs of a run that never ends by itself."""

IMPATIENT_ON_SIGNAL = """
import signal
from alexplore.training.parallel import launcher
signal.signal(signal.SIGUSR1, lambda *_: setattr(launcher, "HEARTBEAT_TIMEOUT", 2.0))
"""
"""Only then: on a busy machine a rank that imports torch may send no heartbeat for longer."""


def start_patched(run: RunDirectory, code: str) -> subprocess.Popen[bytes]:
    """Start a worker in which some code has run before; its ranks are not changed."""
    main = f"{code}\nimport sys\nfrom alexplore.training import worker\nsys.exit(worker.main([{str(run.path)!r}]))"
    with run.console_file.open("ab") as console:
        return subprocess.Popen(
            [sys.executable, "-c", main],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )


def wait_until_nothing_is_left(run: RunDirectory) -> None:
    wait_for_worker(run, lambda: not processes_of(run), "no process left")
    assert not is_locked(run)


@pytest.fixture
def two(make_run: MakeRun) -> RunDirectory:
    """Return a long run of two ranks."""
    return make_run("two", gpus=2, epochs=LONG, checkpoint_minutes=1e-9)


def test_a_stopped_rank_is_noticed_and_ended_with_the_others(two: RunDirectory) -> None:
    process = start_patched(two, IMPATIENT_ON_SIGNAL)
    wait_for_steps(two, 3)
    ranks_of(two)[1].send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGUSR1)
    assert exit_code(process, two) == 1
    assert read_status(two).state == "failed"
    assert read_status(two).reason == "rank 1 sent no heartbeat for 2 s: stopped, or hung"
    wait_until_nothing_is_left(two)


@pytest.mark.faults
def test_a_stopped_rank_does_not_outlive_a_killed_launcher(two: RunDirectory) -> None:
    process = start_worker(two)
    wait_for_steps(two, 3)
    ranks_of(two)[0].send_signal(signal.SIGSTOP)
    process.kill()
    process.wait()
    wait_until_nothing_is_left(two)


@pytest.mark.faults
@pytest.mark.parametrize("which", [0, 1])
def test_a_rank_that_is_killed_while_the_ranks_meet(two: RunDirectory, which: int) -> None:
    process = start_worker(two)
    wait_for_worker(two, lambda: len(ranks_of(two)) == 2, "two ranks")
    ranks_of(two)[which].kill()
    assert exit_code(process, two) == 1
    assert read_status(two).reason == f"rank {which} ended with signal 9"
    wait_until_nothing_is_left(two)


@pytest.mark.faults
@pytest.mark.parametrize("how", ["removed", "renamed"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_directory_that_goes_away_ends_all_processes(make_run: MakeRun, tmp_path: Path, how: str, ranks: int) -> None:
    run = make_run("goes", gpus=ranks, epochs=LONG, checkpoint_minutes=1e-9)
    follower = start_following(run)
    wait_for_steps(run, 3)
    moved = tmp_path / "moved"
    if how == "renamed":
        run.path.rename(moved)
    else:
        while run.path.exists():  # the worker may make files in it
            shutil.rmtree(run.path, ignore_errors=True)
    assert follower.wait(60) == 1
    wait_until_nothing_is_left(run)
    if how == "renamed":
        again = RunDirectory(moved)
        assert read_status(again).state == "crashed"
        process = launch(again)
        wait_for_state(again, "running")
        ask(again, "stop")
        assert process.wait(60) == 3


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(5))
def test_two_interrupts_at_the_start_do_not_stop_the_resumed_run(make_run: MakeRun, seed: int) -> None:
    rng = random.Random(seed)
    run = make_run("interrupted", epochs=2)
    follower = start_following(run)
    wait_for_worker(run, lambda: worker_of(run) is not None, "a worker")
    for _ in range(2):
        if follower.poll() is None:
            follower.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            follower.wait(rng.uniform(0, 1))
    follower.wait(60)
    wait_until_nothing_is_left(run)
    train_to_the_end(run)


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("seed", range(5))
def test_an_app_that_is_ended_while_it_opens(make_run: MakeRun, seed: int, number: signal.Signals) -> None:
    run = make_run("shown", epochs=1)
    train_to_the_end(run)
    app = App(run)
    try:
        wait_for_worker(run, lambda: app.printed, "the app")
        with suppress(subprocess.TimeoutExpired):
            app.process.wait(random.Random(seed).uniform(0, 0.5))
        app.process.send_signal(number)
        assert app.process.wait(60) == 128 + number
        assert b"Traceback" not in app.printed
        wait_for_worker(run, lambda: app.text().rfind(ALTERNATE_OFF) > app.text().rfind(ALTERNATE_ON), "the terminal")
    finally:
        app.close()


@pytest.mark.faults
def test_several_ranks_are_resumed_right_after_their_end(two: RunDirectory) -> None:
    for _ in range(4):
        process = launch(two)
        wait_for_steps(two, steps_done(two) + 1)
        ask(two, "stop")
        wait_for_state(two, "stopped")
        resumed = launch(two)  # the launcher of the first ranks may still hold the lock
        assert read_status(two).live
        assert process.wait(60) == 3
        resumed.terminate()
        assert resumed.wait(60) == 3


@pytest.mark.faults
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_data_folder_that_vanishes_ends_the_run_and_it_can_be_resumed(
    make_run: MakeRun, tmp_path: Path, ranks: int
) -> None:
    folder = tmp_path / "pictures"
    for part, name, number in product(("train", "val"), ("cat", "dog"), range(120)):
        path = folder / part / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (14, 14), (2 * number, 40, 90 if name == "cat" else 200)).save(path)
    recipe: dict[str, Any] = {
        "network": read_network({**SMALL, "input": [3, 12, 12]}).with_classes(2), "dataset": "imagefolder",
        "folder": str(folder), "limit_train": None, "limit_val": None, "gpus": ranks, "batch_size": 4, "epochs": 6,
        "checkpoint_minutes": 1e-9,
    }  # fmt: skip
    run, whole = (make_run(name, **recipe) for name in ("vanishes", "whole"))
    process = start_worker(run)
    wait_for_steps(run, 20)
    folder.rename(tmp_path / "away")
    assert exit_code(process, run) == 1
    assert "its images are gone" in (read_status(run).reason or "")
    wait_until_nothing_is_left(run)
    (tmp_path / "away").rename(folder)
    for one in (run, whole):
        train_to_the_end(one)
    ours, theirs = (read(one.checkpoints_folder / "last").weights for one in (run, whole))
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())


@pytest.fixture
def small_disk(tmp_path: Path, heavy: None) -> Any:
    """Return what mounts a disk of so many kB on the folder of runs, or changes its size; only root may."""
    folder = tmp_path / "runs"
    folder.mkdir()
    mounted = False

    def resize(kilobytes: int) -> None:
        nonlocal mounted
        options = f"{'remount,' if mounted else ''}size={kilobytes}k"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("mounting needs root")
        mounted = True

    yield resize
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(6))
def test_a_full_disk_loses_no_checkpoint(seed: int, make_run: MakeRun, small_disk: Callable[[int], None]) -> None:
    """The disk fills up while training; with room again the run is resumed and ends with the same bits."""
    rng = random.Random(seed)
    small_disk(4096)
    run = make_run("full", epochs=60, checkpoint_minutes=1e-9)
    process = start_worker(run)
    wait_for_steps(run, rng.randint(1, 200))
    filler = run.path.parent / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 1024)
        except OSError:
            pass
    code = exit_code(process, run)
    warnings: list[str] = []
    assert "Traceback" not in "\n".join(run.console_tail(1000))
    filler.unlink()
    assert code in (0, 1)
    if (run.checkpoints_folder / "last").is_dir():
        read(run.checkpoints_folder / "last")
    assert not warnings
    train_to_the_end(run)
    whole = make_run("whole", epochs=60)
    train_to_the_end(whole)
    ours, theirs = (read(one.checkpoints_folder / "last").weights for one in (run, whole))
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())
