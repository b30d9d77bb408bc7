"""Several ranks train as one does; as processes that connect, are killed and are resumed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from PIL import Image

from alexplore.network.graph import Network, read_network
from alexplore.network.layers.batch_norm import BatchNorm
from alexplore.runs.control import send_request, wait_for_answer
from alexplore.runs.messages import result_text
from alexplore.runs.status import read_status
from alexplore.runs.watch import Watch
from alexplore.training.checkpoint import read
from alexplore.training.parallel.ranks import loopback
from tests.support.networks import SMALL
from tests.support.processes import exit_code, start_worker
from tests.support.runs import change_run, events, metrics, wait_for_state, wait_for_steps, wait_for_worker
from tests.support.training import run_worker_here, train_here
from tests.support.waiting import PATIENCE
from tests.training.conftest import MakeRun


def ranks_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.exhaustive
def test_damaged_images_of_all_ranks_are_reported_and_counted(make_run: MakeRun, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for part, name, count in product(("train", "val"), ("cat", "dog"), range(8)):
        path = folder / part / name / f"{count}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (14, 14), (30 * count, 0, 90)).save(path)
    damaged = {folder / "train" / "cat" / f"{i}.png" for i in range(4)} | {folder / "val" / "dog" / "2.png"}
    for path in damaged:
        path.write_text("no picture")
    network = read_network({**SMALL, "input": [3, 12, 12]}).with_classes(2)
    run = make_run(
        "folder", network=network, gpus=2, dataset="imagefolder", folder=str(folder), limit_train=None, limit_val=None
    )
    assert exit_code(start_worker(run), run) == 0
    assert [event["damaged"] for event in events(run, "epoch")] == [5, 5]
    told = [event["message"] for event in events(run, "warning") if "damaged" in event["message"]]
    assert {line.split(" is damaged")[0] for line in told} == {str(path) for path in damaged}
    assert len(told) == 5
    assert result_text(Watch(run).poll()).endswith("5 damaged images left out")


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_split_without_readable_images_ends_the_run(make_run: MakeRun, tmp_path: Path, part: str) -> None:
    folder = tmp_path / "pictures"
    for where, name, count in product(("train", "val"), ("cat", "dog"), range(3)):
        path = folder / where / name / f"{count}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if where == part:
            path.write_text("no picture")
        else:
            Image.new("RGB", (14, 14), (30 * count, 0, 90)).save(path)
    network = read_network({**SMALL, "input": [3, 12, 12]}).with_classes(2)
    run = make_run(
        "folder", network=network, dataset="imagefolder", folder=str(folder), limit_train=None, limit_val=None
    )
    assert run_worker_here(run) == 1
    names = {"train": "training", "val": "validation"}
    assert read_status(run).reason == f"none of the {names[part]} images could be read"


RECIPES: dict[str, dict[str, Any]] = {
    "averaged, clipped": {"ema_decay": 0.8, "clip_grad_norm": 0.5},
    "balanced": {"class_weights": [1, 2, 1, 1, 3, 1, 1, 1, 0.5, 1], "balanced_sampling": True},
    "in parts": {"micro_batch_size": 4},
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", RECIPES)
def test_one_two_and_three_ranks_take_the_same_steps(make_run: MakeRun, small: Network, name: str) -> None:
    network = small.change(small.index("drop3"), {"p": 0.0})
    if name != "in parts":
        network = network.insert(1, BatchNorm(name="norm0"))  # its statistics are the whole batch's
    # 66 images: three ranks share batches of 16 as 6, 5, 5, and a last one of 2 as 1, 1, 0.
    recipe: dict[str, Any] = {"optimizer": "sgd", "lr": 0.05, "limit_train": 66, "limit_val": 32, **RECIPES[name]}
    runs = {ranks: make_run(f"of{ranks}", network=network, gpus=ranks, **recipe) for ranks in (1, 2, 3)}
    train_here(runs[1])
    for ranks in (2, 3):
        assert exit_code(start_worker(runs[ranks]), runs[ranks]) == 0
    expected = metrics(runs[1])
    assert len(expected) == 3 * 10 + 2 * 2
    for ranks in (2, 3):
        assert metrics(runs[ranks]) == pytest.approx(expected, rel=2e-4), ranks
        (rehearsal,) = events(runs[ranks], "warning")
        assert f"rehearsing on {ranks} CPU processes (gloo)" in rehearsal["message"]
        assert events(runs[ranks], "start")[0]["ranks"] == ranks
        ours, theirs = (read(runs[r].checkpoints_folder / "last").weights for r in (ranks, 1))
        for key, weight in theirs.items():
            torch.testing.assert_close(ours[key], weight, rtol=1e-3, atol=1e-5)


def test_two_ranks_killed_and_resumed_end_with_the_same_bits(make_run: MakeRun) -> None:
    recipe = {
        "gpus": 2, "checkpoint_minutes": 1e-9, "ema_decay": 0.9, "clip_grad_norm": 1, "micro_batch_size": 3,
        "class_weights": "balanced", "balanced_sampling": True,
    }  # fmt: skip
    parts = make_run("parts", epochs=100_000, **recipe)  # never finished before it is killed
    process = start_worker(parts)
    wait_for_steps(parts, 7)
    ranks = ranks_of(process)
    assert len(ranks) >= 2
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(ranks, timeout=PATIENCE)
    assert not alive, "ranks outlived their parent"
    assert read_status(parts).state == "crashed"
    epochs = int(read_status(parts).epoch) + 2
    change_run(parts, {"epochs": epochs})
    whole = make_run("whole", epochs=epochs, **recipe)
    for run, process in [(run, start_worker(run)) for run in (parts, whole)]:
        assert exit_code(process, run) == 0
    ours, theirs = (read(run.checkpoints_folder / "last").weights for run in (parts, whole))
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())
    assert metrics(parts) == metrics(whole)


@pytest.mark.exhaustive
def test_requests_reach_all_ranks(make_run: MakeRun) -> None:
    run = make_run(gpus=2, epochs=1000)
    process = start_worker(run)
    wait_for_steps(run, 3)
    assert read_status(run).pid == process.pid
    assert wait_for_answer(run, send_request(run, "pause"), 120)
    wait_for_state(run, "paused")
    assert wait_for_answer(run, send_request(run, "resume"), 120)
    wait_for_state(run, "running")
    process.send_signal(signal.SIGTERM)
    assert exit_code(process, run) == 3
    assert read_status(run).state == "stopped"
    manifest = json.loads((run.checkpoints_folder / "last" / "manifest.json").read_text())
    assert manifest["step"] == read_status(run).step


def test_a_killed_rank_ends_the_run_with_the_reason(make_run: MakeRun) -> None:
    run = make_run(gpus=2, epochs=1000)
    process = start_worker(run)
    wait_for_worker(run, lambda: read_status(run).step >= 3, "step 3 in the status")
    second = next(rank for rank in ranks_of(process) if rank.environ().get("RANK") == "1")
    second.kill()
    assert exit_code(process, run) == 1
    assert read_status(run).state == "failed"
    assert [event["reason"] for event in events(run, "end")] == ["rank 1 ended with signal 9"]
    assert read_status(run).reason == "rank 1 ended with signal 9"
    assert read_status(run).step >= 3
    assert "Traceback" not in "\n".join(run.console_tail(200))


@pytest.mark.exhaustive
def test_two_torchruns_train_together_and_restart_after_a_killed_rank(make_run: MakeRun) -> None:
    run = make_run(epochs=1000, checkpoint_minutes=1e-9)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--max-restarts=2",
               "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=test", "--local-addr=127.0.0.1",
               "-m", "alexplore.training.worker", str(run.path)]  # fmt: skip
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": loopback(), "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    with run.console_file.open("ab") as console:
        agents = [
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environment)
            for _ in range(2)
        ]
    try:
        wait_for_steps(run, 5)
        victim = next(rank for agent in agents for rank in ranks_of(agent) if rank.environ().get("RANK") == "1")
        victim.kill()
        wait_for_worker(run, lambda: len(events(run, "start")) == 2, "a restart")
        again = events(run, "start")[1]
        assert again["ranks"] == 2
        assert again["step"] >= 4
        wait_for_steps(run, again["step"] + 3)
        assert read_status(run).state == "running"
        assert wait_for_answer(run, send_request(run, "stop"), 120)
        for agent in agents:
            assert agent.wait(330) == 0  # torchrun's agents wait up to 300 s for each other
        assert read_status(run).state == "stopped"
    finally:
        for agent in agents:
            agent.terminate()
