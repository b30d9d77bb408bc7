"""The worker process: how it starts, handles requests, is killed, fails and ends."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import psutil
import pytest
import torch

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.presets.library import load_preset
from alexplore.runs.control import send_request, wait_for_answer
from alexplore.runs.directory import RunDirectory
from alexplore.runs.protocol import Event
from alexplore.runs.status import is_locked, read_status
from alexplore.training import worker
from alexplore.training.checkpoint import read
from alexplore.training.errors import UsageError
from alexplore.training.hardware import check_memory
from alexplore.training.run_writer import RunWriter
from tests.support.processes import exit_code, run_python, start_worker
from tests.support.runs import change_run, events, metrics, steps_done, wait_for_state, wait_for_steps, wait_for_worker
from tests.support.training import run_worker_here, train_here
from tests.training.conftest import MakeRun

LONG = {"epochs": 400, "checkpoint_minutes": 1e-3}


def test_killed_again_and_again_it_ends_with_the_same_bits(make_run: MakeRun) -> None:
    parts = make_run("parts", epochs=100_000, checkpoint_minutes=1e-9)  # never finished before it is killed
    for _ in range(2):
        target = steps_done(parts) + 4
        process = start_worker(parts)
        wait_for_steps(parts, target)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert read_status(parts).state == "crashed"
    epochs = read(parts.checkpoints_folder / "last").manifest["epoch"] + 2
    change_run(parts, {"epochs": epochs})
    assert exit_code(start_worker(parts), parts) == 0
    whole = make_run("whole", epochs=epochs)
    train_here(whole)
    ours, theirs = read(parts.checkpoints_folder / "last"), read(whole.checkpoints_folder / "last")
    assert all(torch.equal(ours.weights[name], weight) for name, weight in theirs.weights.items())
    assert metrics(parts) == metrics(whole)
    assert read_status(parts).state == "finished"


def test_it_trains_what_the_config_says_when_it_has_the_lock(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(epochs=1)

    @contextmanager
    def locked(of: RunDirectory) -> Iterator[None]:
        change_run(of, {"epochs": 2})
        yield

    train_here(run)
    monkeypatch.setattr(worker, "_locked", locked)
    assert run_worker_here(run) == 0
    assert read_status(run).epoch == 2


def test_it_writes_its_first_status_before_importing_torch(make_run: MakeRun) -> None:
    run = make_run()
    code = (
        "import os, sys; from alexplore.training import worker, run_writer\n"
        "def starting(self, reason): print(f'{reason}: {\"torch\" in sys.modules}', flush=True); os._exit(0)\n"
        "run_writer.RunWriter.starting = starting\n"
        f"worker.main([{str(run.path)!r}])"
    )
    done = run_python(code)
    assert done.stdout.strip() == "importing torch: False"


@pytest.mark.exhaustive
def test_it_imports_neither_the_compiler_nor_sympy(make_run: MakeRun) -> None:
    """Each takes about half a second."""
    run = make_run(epochs=1)
    code = (
        "import sys; from alexplore.training import worker\n"
        f"code = worker.main([{str(run.path)!r}])\n"
        "sys.exit(code or any(name.startswith(('torch._dynamo', 'sympy')) for name in sys.modules))"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_follows_the_requests_in_its_control_folder(make_run: MakeRun) -> None:
    run = make_run(**LONG)
    process = start_worker(run)
    wait_for_steps(run, 3)
    assert read_status(run).state == "running"
    assert os.getpriority(os.PRIO_PROCESS, process.pid) >= 10

    asked = send_request(run, "checkpoint")
    assert wait_for_answer(run, asked, 120)
    manifest = run.checkpoints_folder / "last" / "manifest.json"
    wait_for_worker(run, manifest.is_file, "a checkpoint")  # the next one may just take its place

    assert wait_for_answer(run, send_request(run, "pause"), 120)
    wait_for_state(run, "paused")
    at = steps_done(run)
    time.sleep(0.6)
    assert steps_done(run) == at
    assert is_locked(run)

    assert wait_for_answer(run, send_request(run, "resume"), 120)
    wait_for_steps(run, at + 1)

    asked = send_request(run, "stop")
    assert wait_for_answer(run, asked, 120)
    assert exit_code(process, run) == 3
    status = read_status(run)
    assert status.state == "stopped"
    assert json.loads((run.checkpoints_folder / "last" / "manifest.json").read_text())["step"] == status.step
    answer = next(event for event in events(run, "control") if event["request"] == asked.id)
    assert (answer["action"], answer["step"]) == ("stop", status.step)


def test_a_request_for_a_checkpoint_that_fails_is_answered_with_the_reason(make_run: MakeRun) -> None:
    run = make_run(**LONG)
    run.checkpoints_folder.rmdir()
    run.checkpoints_folder.write_text("no folder")
    process = start_worker(run)
    wait_for_steps(run, 1)
    answer = wait_for_answer(run, send_request(run, "checkpoint"), 120)
    assert answer is not None
    assert "no checkpoint at step" in (answer.error or "")
    assert read_status(run).state == "running"
    send_request(run, "stop")
    assert exit_code(process, run) == 3
    assert "no checkpoint at step" in (read_status(run).reason or "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_makes_it_save_and_stop(make_run: MakeRun, number: signal.Signals) -> None:
    run = make_run(**LONG)
    process = start_worker(run)
    wait_for_steps(run, 3)
    process.send_signal(number)
    assert exit_code(process, run) == 3
    assert read_status(run).state == "stopped"
    assert (run.checkpoints_folder / "last" / "manifest.json").is_file()


def test_a_run_that_cannot_be_trained_fails_with_one_line(make_run: MakeRun, small: Network) -> None:
    wrong_classes = small.with_classes(7)
    cases = [
        (make_run("cuda", device="cuda", gpus=2), 2, "--device cuda: PyTorch finds no GPU"),
        (make_run("towers", parallel="towers"), 2, "this network has no towers; set towers = 2"),
        (make_run("ranks", gpus=17), 2, "a batch of 16 images can't be shared"),
        (make_run("memory", batch_size=10**9), 2, "are free: use a smaller --batch-size"),
        (make_run("broken", network=small.with_input(1, 4, 4)), 2, "larger than the input's"),
        (make_run("classes", network=wrong_classes, dataset="fashion-mnist"), 2, "7"),
    ]
    for run, code, said in cases:
        assert run_worker_here(run) == code, run.console_tail()
        check_failed(run, said)


def test_a_training_that_diverges_fails_with_one_line(make_run: MakeRun) -> None:
    run = make_run("loss", lr=1e30, optimizer="sgd")
    assert exit_code(start_worker(run), run) == 1
    check_failed(run, "step 2: the loss or a gradient is not finite")


def check_failed(run: RunDirectory, said: str) -> None:
    """Check that a run's files and the worker's output give one reason for a failure."""
    status = read_status(run)
    assert status.state == "failed"
    assert said in (status.reason or "")
    assert events(run, "error")[0]["message"] == status.reason
    console = "\n".join(run.console_tail(100))
    assert f"error: {status.reason}" in console
    assert "Traceback" not in console


def test_more_processes_than_fit_into_memory_are_refused(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_run().config()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 * 2**30))
    check_memory(config, 1)
    with pytest.raises(UsageError, match=r"for 1000 processes, and 8.0 GiB are free: use --gpus 27 or less"):
        check_memory(config, 1000)  # each takes 300 MiB before it has a network
    check_memory(config, 27)
    with pytest.raises(UsageError):
        check_memory(config, 28)


def test_memory_includes_the_copies_that_towers_save(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """To save a checkpoint, each of two ranks collects the weights and the momentum of the whole network."""
    network = load_preset("paper").network
    config = make_run(network=network, parallel="towers", optimizer="sgd", momentum=0.9, batch_size=1).config()
    megabytes = 4 * analyse(network).totals.params / 1e6
    kept = 3 * megabytes / 2  # weights, gradients and momentum of a tower
    least = 2 * (300 + kept + 2 * megabytes)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=int(least * 1e6)))
    with pytest.raises(UsageError, match="for 2 processes"):
        check_memory(config, 2)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=int(least * 1.1e6)))
    check_memory(config, 2)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be …",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "[enforce fail at alloc_cpu.cpp:127] … DefaultCPUAllocator: can't allocate memory: you tried …",
    ],
)
def test_every_kind_of_missing_memory_is_explained(text: str) -> None:
    explained = worker._explain(RuntimeError(text))
    assert explained is not None
    assert explained.startswith(f"out of memory: {text.splitlines()[0]}; try a smaller --batch-size")


def test_a_finished_run_is_not_trained_further(make_run: MakeRun) -> None:
    run = make_run(epochs=1)
    train_here(run)
    before = metrics(run)
    assert exit_code(start_worker(run), run) == 0
    assert "nothing left to do" in (read_status(run).reason or "")
    assert read_status(run).state == "finished"
    assert metrics(run) == before


def test_an_unexpected_exception_leaves_its_traceback_in_console_log(make_run: MakeRun) -> None:
    run = make_run()
    code = (
        "from alexplore.training import worker, loop\n"
        "loop.Trainer.train = lambda self: 1 / 0\n"
        f"raise SystemExit(worker.main([{str(run.path)!r}]))"
    )
    done = run_python(code)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert read_status(run).reason == "ZeroDivisionError: division by zero"


def test_decoding_processes_that_end_while_a_failure_is_reported_do_not_prevent_that(make_run: MakeRun) -> None:
    """As with PyTorch's handler of SIGCHLD, which raises at each end of a child once one was killed."""
    run = make_run()
    killed = "DataLoader worker (pid 7) is killed by signal: Killed. "

    def raise_error(*_: object) -> None:
        raise RuntimeError(killed)

    def fail() -> int:
        os.kill(os.getpid(), signal.SIGCHLD)
        return 0

    class Writer(RunWriter):
        def event(self, event: Event) -> None:
            os.kill(os.getpid(), signal.SIGCHLD)
            super().event(event)

    before = signal.signal(signal.SIGCHLD, raise_error)
    try:
        code = worker._report_end(Writer(run, 0), fail)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert code == 1
    assert read_status(run).state == "failed"
    assert (read_status(run).reason or "").startswith("a process that decodes images was killed by a signal (Killed)")
