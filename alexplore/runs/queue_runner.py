"""`python -m alexplore.runs.queue_runner RUNS`: the process that starts the runs of a queue in order.

It holds runner.lock while it runs, and exits when nothing is left to do. It may be killed at any time: workers continue
without it, and the next runner finds in the queue's files which runs were started. A run that crashed while there was
no runner, for example because the machine went down, is resumed from its last checkpoint; one that crashed while its
runner was there is not.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from alexplore.core.boundary import ACTIONABLE, error_text, print_error, run_guarded
from alexplore.core.errors import DONE
from alexplore.core.processes import module_command, starting
from alexplore.runs import service
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunError, list_runs
from alexplore.runs.gpus import visible_gpus
from alexplore.runs.launch import WaitingWorker
from alexplore.runs.on_end import start_on_end
from alexplore.runs.queue import Item, Queue
from alexplore.runs.status import is_locked, read_status

POLL_SECONDS = 0.25
MOST_STARTS = 3
LOCK_TRIES, LOCK_SECONDS = 20, 0.05
CPU = "cpu"


def start_runner(queue: Queue) -> None:
    """Start the runner of a queue, if it has none.

    Raises:
        StartError: the process could not be started.
    """
    with queue.locked():
        if queue.has_runner:
            return
        with starting("the runner of the queue"), (queue.folder / "runner.log").open("ab") as log:
            subprocess.Popen(
                module_command("alexplore.runs.queue_runner", str(queue.runs)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def gpus_needed(config: RunConfig, available: int) -> int:
    """Return how many of the machine's GPUs a run takes; 0 if it trains on the CPU."""
    hardware = config.hardware
    if hardware.device == "cpu" or not available:
        return 0
    return min(hardware.gpus or available, available)


class Runner:
    """Starts the runs of a queue as hardware becomes free: one on the CPU, and as many as fit on the GPUs."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._gpus = visible_gpus()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}  # by the id of the item
        self._next: WaitingWorker | None = None  # imports torch for the next run while the one before it is trained

    def work(self) -> bool:
        """Check all runs once and start those that fit; return whether there is something left to wait for."""
        for item in self._queue.running():
            self._check(item)
        waiting = [] if self._queue.is_paused else self._queue.waiting()
        if waiting:
            self._start_fitting(waiting)
        running = bool(self._queue.running())
        self._prepare_worker(wanted=running and not self._queue.is_paused and bool(self._queue.waiting()))
        return running or bool(waiting)

    def _prepare_worker(self, *, wanted: bool) -> None:
        """Keep a worker ready for the next run, as long as one is to come; the import of torch takes seconds."""
        if wanted and self._next is None:
            with suppress(OSError):  # the next run's own start reports what is wrong
                self._next = WaitingWorker()
        elif not wanted and self._next is not None:
            self._next.end()
            self._next = None

    def _check(self, item: Item) -> None:
        """Record a started run that has ended; start one that an earlier, killed runner left unstarted or crashed."""
        run, process = self._queue.run(item), self._processes.get(item.id)
        if process is not None:
            process.poll()
        if process is None and not run.config_file.exists():
            if item.starts:
                self._queue.end(item)  # somebody has removed or renamed the run
            else:
                self._start(item)
            return
        state = read_status(run).state
        if state == "crashed" and process is None and item.starts < MOST_STARTS:
            self._start(self._queue.count_start(item) if item.starts else item)
        elif not read_status(run).live:
            self._processes.pop(item.id, None)
            self._queue.end(item)

    def _start_fitting(self, waiting: list[Item]) -> None:
        """Start waiting runs in their order; no run overtakes one that needs the same hardware."""
        running = self._queue.running()
        used = {gpu for item in running for gpu in item.gpus}
        cpu_busy = any(not item.gpus for item in running)
        free = [gpu for gpu in self._gpus if gpu not in used]
        others = self._others({item.name for item in running}) if free or not cpu_busy else []
        for other in others:
            needed = gpus_needed(other, len(self._gpus))
            cpu_busy, free = cpu_busy or not needed, free[needed:]
        for item in waiting:
            needed = gpus_needed(item.config, len(self._gpus))
            if not needed and not cpu_busy:
                cpu_busy = True
                self._claim_and_start(item, ())
            elif needed and needed <= len(free):
                self._claim_and_start(item, free[:needed])
                free = free[needed:]
            elif needed:
                free = []

    def _others(self, own: set[str]) -> list[RunConfig]:
        """Return the configs of runs in the folder that are being trained, but were not started from the queue."""
        configs = []
        for run in list_runs(self._queue.runs):
            if run.name not in own and is_locked(run) and read_status(run).state != "paused":
                try:
                    configs.append(run.config())
                except RunError:
                    continue
        return configs

    def _claim_and_start(self, item: Item, gpus: tuple[str, ...] | list[str]) -> None:
        claimed = self._queue.claim(item, gpus)
        if claimed is not None:
            self._start(claimed)

    def _start(self, item: Item) -> None:
        """Start a run, or resume it; record it as refused if that fails."""
        environment = {"CUDA_VISIBLE_DEVICES": ",".join(item.gpus)} if item.gpus else {}
        prepared, self._next = self._next, None
        run = self._queue.run(item)
        try:
            if run.config_file.exists():
                if not item.starts:
                    if run.config().as_started() != item.config:
                        raise RunError(f"another run is called {item.name} meanwhile")
                    item = self._queue.count_start(item)
                process = service.restart(run, environment=environment, waiting=prepared)
            else:
                run = service.create(service.plan(item.config, self._queue.runs), self._queue.runs, item.name)
                item = self._queue.count_start(item)
                process = service.start(run, environment, prepared)
        except ACTIONABLE as error:
            reason = error_text(error)
            print(f"{item.name}: {reason}", flush=True)
            self._queue.end(item, refused=reason)
            return
        finally:
            if prepared is not None:
                prepared.end()  # unless it trains the run
        self._processes[item.id] = process
        if item.command:
            try:
                start_on_end(run, item.command, item.occasions)
            except ACTIONABLE as error:  # the run is trained without its command
                print(f"{item.name}: {error_text(error)}", flush=True)


@contextmanager
def runner_lock(queue: Queue) -> Iterator[int | None]:
    """Hold the lock of the runner and yield its descriptor; yield None if another process holds it."""
    descriptor = os.open(queue.folder / "runner.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    for _ in range(LOCK_TRIES):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another process may test the lock, which holds it for a moment
            time.sleep(LOCK_SECONDS)
        else:
            yield descriptor
            return
    os.close(descriptor)
    yield None


def run_queue(queue: Queue) -> None:
    """Work on a queue until nothing is left to do."""
    with runner_lock(queue) as descriptor:
        if descriptor is None:
            return
        runner, reported = Runner(queue), ""
        while True:
            try:
                busy = runner.work()
            except (RunError, OSError) as error:  # the folder of runs can't be read: it may be there again later
                if (reason := error_text(error)) != reported:
                    print(reason, flush=True)
                busy, reported = True, reason
            if busy:
                time.sleep(POLL_SECONDS)
                continue
            with queue.locked():  # no run can be added between the test and the release of the lock
                if not queue.running() and (queue.is_paused or not queue.waiting()):
                    os.close(descriptor)
                    return


def main(arguments: list[str]) -> int:
    """Work on the queue of a folder of runs and return the exit code."""
    queue = Queue(Path(arguments[0]))

    def work() -> int:
        run_queue(queue)
        return DONE

    return run_guarded(work, print_error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
