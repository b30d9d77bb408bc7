"""The parts by name, and the process that runs them, which is replaced after a crash, a hang or a device error."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from gpu_checks.bench import FAILED, SKIPPED, Bench, Check, Outcome, is_fatal, short, short_traceback

FAIL_VARIABLE = "ALEXPLORE_BENCHMARK_FAIL"
"""The environment variable with a part that is made to fail, to test that the others continue."""
START_SECONDS = 90.0  # for a process to import PyTorch and initialise the device
GRACE_SECONDS = 10.0  # after its deadline, a part is killed


@dataclass(frozen=True)
class Part:
    """One part: its title, its share of the time, and the function that runs it, as `module:function`.

    The share is in seconds, more than the part takes on a GPU, so that a part that hangs leaves time for the others.
    """

    name: str
    title: str
    share: float
    function: str


PARTS: Mapping[str, Part] = {
    part.name: part
    for part in (
        Part("machine", "Matrix products", 15, "gpu_checks.machine:run"),
        Part("layers", "Each layer type, forward and backward", 20, "gpu_checks.layers:run_layers"),
        Part("lrn", "Local response normalisation in all forms", 40, "gpu_checks.layers:run_lrn"),
        Part("convolution", "Convolution in all forms", 15, "gpu_checks.layers:run_convolutions"),
        Part("batch-norm", "Batch norm: training, evaluation, frozen", 10, "gpu_checks.layers:run_batch_norm"),
        Part("losses", "The losses of 20 steps", 30, "gpu_checks.training:run_losses"),
        Part("scaling", "The scaling of fp16", 10, "gpu_checks.training:run_scaling"),
        Part("waiting", "No waiting for the device in a step", 25, "gpu_checks.training:run_waiting"),
        Part("folders", "Packed images and image files", 15, "gpu_checks.folders:run"),
        Part("resume", "A run that is killed and resumed", 45, "gpu_checks.resume:run"),
        Part("parallel", "Two GPUs: data parallel and towers", 45, "gpu_checks.parallel:run"),
        Part("kernels", "What each kernel gains", 60, "gpu_checks.kernels:run"),
        Part("speed", "Images a second", 130, "gpu_checks.speed:run"),
        Part("accuracy", "fmnist-valid for five epochs", 40, "gpu_checks.accuracy:run"),
        Part("times", "fmnist-fast to 90, 92 and 94 %", 130, "gpu_checks.times:run"),
    )
}
"""The parts in the order in which they run: the quick and most informative ones first."""


@dataclass(frozen=True)
class PartResult:
    """The result of a part."""

    part: Part
    status: str
    seconds: float
    allowed_seconds: float
    checks: tuple[Check, ...] = ()
    values: Mapping[str, Any] | None = None
    error: str = ""
    traceback: str = ""


def run_parts(parts: Sequence[Part], bench: Bench, until: float, device_process: DeviceProcess) -> Iterator[PartResult]:
    """Run parts one after the other, and yield the result of each.

    Each gets its share of the time left until `until`, so that unused time goes to the parts after it.
    """
    for number, part in enumerate(parts):
        left = until - time.monotonic()
        wanted = sum(later.share for later in parts[number:])
        allowed = part.share * left / wanted
        if allowed < 1:
            yield PartResult(part, SKIPPED, 0.0, 0.0, error="the total time was up")
            continue
        result = device_process.run(part, bench, allowed)
        if result.values and "peak_flops" in result.values:
            bench = replace(bench, peaks=result.values["peak_flops"])
        yield result


class NoDevice(Exception):
    """There is no GPU; the message says what to do."""


class DeviceProcess:
    """The process that runs parts on the device; a context manager that ends it with all of its children."""

    def __init__(self, device: str, log: Path) -> None:
        self._device, self._log = device, log
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def run(self, part: Part, bench: Bench, allowed: float) -> PartResult:
        """Run one part for at most `allowed` seconds.

        Raises:
            NoDevice: there is no GPU.
        """
        started = time.monotonic()
        answer = self._ask(part, bench, allowed)
        seconds = round(time.monotonic() - started, 2)
        if answer.pop("lost", False):
            self._end()
        return PartResult(part, seconds=seconds, allowed_seconds=round(allowed, 1), **answer)

    def _ask(self, part: Part, bench: Bench, allowed: float) -> dict[str, Any]:
        try:
            pipe = self._pipe or self._start()
            pipe.send((part.function, part.name, replace(bench, deadline=time.monotonic() + allowed)))
            if pipe.poll(allowed + GRACE_SECONDS):
                answer: dict[str, Any] = pipe.recv()
                return answer
            reason = f"not done after {allowed:.0f} s, and ended"
        except TimeoutError:
            reason = f"PyTorch and the device did not start within {START_SECONDS:.0f} s"
        except (EOFError, BrokenPipeError, ConnectionResetError):
            reason = f"the process ended by itself{self._exit_code()}; {self._log} has its last output"
        return {"status": FAILED, "error": reason, "lost": True}

    def _exit_code(self) -> str:
        if self._process is None:
            return ""
        self._process.join(1)
        return f", with exit code {self._process.exitcode}"

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._device, str(self._log)))
        self._process.start()
        other.close()
        if not self._pipe.poll(START_SECONDS):
            raise TimeoutError
        refusal = self._pipe.recv()
        if refusal:
            raise NoDevice(refusal)
        return self._pipe

    def _end(self) -> None:
        """End the process and every worker that it started."""
        if self._process is not None:
            for process in _family(self._process.pid):
                process.kill()
            self._process.join()
        self._process = self._pipe = None


def _family(pid: int | None) -> list[psutil.Process]:
    """Return a process with all of its descendants that still run."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _serve(pipe: Connection, device: str, log: str) -> None:
    """Run requested parts until the pipe is closed; this is the main function of the process."""
    with open(log, "a") as file:  # noqa: PTH123 (only its descriptor is wanted)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    pipe.send(_refusal(device))
    while True:
        try:
            function, name, bench = pipe.recv()
        except EOFError:
            return
        print(f"== {name}", flush=True)
        pipe.send(_answer(function, name, bench))


def _refusal(device: str) -> str:
    """Return why the device can't be used, empty if it can."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} finds no GPU; --dry-run goes through everything on the CPU"
    return ""


def _answer(function: str, name: str, bench: Bench) -> dict[str, Any]:
    """Run a part and return the fields of its `PartResult`, and `lost` if the device can't be used any more."""
    module, _, attribute = function.partition(":")
    try:
        with _part_folder(bench, name) as inside:
            _fail_if_asked(name)
            outcome: Outcome = getattr(import_module(module), attribute)(inside)
    except Exception as error:
        text = short_traceback(error)
        print(text, file=sys.stderr, flush=True)
        return {"status": FAILED, "error": short(error), "traceback": text, "lost": is_fatal(error)}
    return {"status": outcome.status, "checks": outcome.checks, "values": dict(outcome.values)}


def _fail_if_asked(name: str) -> None:
    if os.environ.get(FAIL_VARIABLE) == name:
        raise RuntimeError(f"made to fail by {FAIL_VARIABLE}")


@contextmanager
def _part_folder(bench: Bench, name: str) -> Iterator[Bench]:
    """Yield the bench with a new folder for the runs of a part."""
    folder = bench.work / f"{name}-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    yield replace(bench, work=folder)
