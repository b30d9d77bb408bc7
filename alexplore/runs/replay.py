"""Replay a run that has ended: a process writes a copy of it line by line, as its worker did, but faster.

`Replay` is for the program that shows the copy. It starts this module as a process, which holds the copy's lock as a
worker does. The copy is in a temporary folder, which is removed when the program ends, even if it is killed.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from alexplore.core.processes import module_command
from alexplore.core.regular_files import open_regular
from alexplore.runs.control import take_requests
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.lines import LineReader, finite
from alexplore.runs.protocol import ControlEvent, EpochEvent, StartEvent, event_record, read_event, read_metrics
from alexplore.runs.status import Status, read_status, worker_lock, write_status

LONGEST_WAIT = 5.0
"""The most seconds between two lines, for example after a pause of the run; between attempts there is no wait."""

POLL_SECONDS = 0.2
"""Seconds between two checks for requests to the copy."""

START_SECONDS = 30.0

COPIED = ("config.json", "dataset.json", "notes.txt")


@dataclass(frozen=True)
class PlayedLine:
    """A line of a run: its file, its record, and the seconds after the line before it."""

    file: str
    record: dict[str, Any]
    seconds: float


def recorded_lines(run: RunDirectory) -> Iterator[PlayedLine]:
    """Yield the lines of a run in the order in which they were written."""
    last, last_attempt = None, 0
    for moment, name, record in heapq.merge(
        _timed(run.events_file), _timed(run.metrics_file), key=lambda line: line[0]
    ):
        attempt = record.get("attempt", 0)
        passed = moment - last if last is not None and attempt == last_attempt else 0.0
        yield PlayedLine(name, record, max(0.0, passed))
        last, last_attempt = moment, attempt


def _timed(file: Path) -> Iterator[tuple[float, str, dict[str, Any]]]:
    return ((record.get("time", 0.0), file.name, record) for record in LineReader(file).read_all())


def play(run: RunDirectory, copy: RunDirectory, speed: float, wait: Callable[[float], bool]) -> None:
    """Write a run's lines into its copy, `speed` times as fast as they were written, then its final status.

    `wait` waits the given seconds, and returns False to end the replay.
    """
    now = Status("running", os.getpid(), socket.gethostname(), updated=time.time())
    write_status(copy, now)
    events = 0  # lines of events.jsonl, which include answers to requests
    written = time.monotonic()
    with copy.events_file.open("ab", 0) as events_file, copy.metrics_file.open("ab", 0) as metrics_file:

        def write_event(record: dict[str, Any]) -> None:
            nonlocal events
            events_file.write(_line({**record, "seq": events}))
            events += 1

        for line in recorded_lines(run):
            left = min(LONGEST_WAIT, line.seconds / speed)
            while True:
                for asked in take_requests(copy):
                    answer = ControlEvent(asked.id, asked.action, now.step, "a replay can't be asked for anything")
                    write_event({"v": 1, "attempt": 0, "time": time.time(), **event_record(answer)})
                if time.monotonic() - written > 1:
                    written = time.monotonic()
                    write_status(copy, replace(now, updated=time.time()))
                if not wait(min(left, POLL_SECONDS)):
                    return
                left -= POLL_SECONDS
                if left <= 0:
                    break
            if line.file == run.metrics_file.name:
                metrics_file.write(_line(line.record))
                if measured := read_metrics(line.record):
                    now = replace(now, step=measured.step, epoch=measured.epoch)
                continue
            event = read_event(line.record).event
            if isinstance(event, EpochEvent):
                _copy_inside(run, copy, event.epoch)
            if isinstance(event, StartEvent):
                now = replace(now, step=event.step)
            write_event(line.record)
    ended = read_status(run)
    write_status(copy, replace(ended, pid=os.getpid(), updated=time.time()))


def _line(record: dict[str, Any]) -> bytes:
    return (json.dumps(finite(record), ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def _copy_inside(run: RunDirectory, copy: RunDirectory, epoch: int) -> None:
    """Copy what was recorded of the network after an epoch, if there is a file."""
    name = f"epoch-{epoch:04d}.safetensors"
    try:
        with open_regular(run.inside_folder / name, links=False) as file:
            content = file.read()
        copy.inside_folder.mkdir(exist_ok=True)
        (copy.inside_folder / name).write_bytes(content)
    except OSError:
        return


class Replay:
    """A replay, in a `with` statement; `copy` is the run to watch."""

    def __init__(self, run: RunDirectory, speed: float) -> None:
        """Prepare the copy of a run.

        Raises:
            RunError: a worker trains the run, it has no lines, or the copy can't be written.
        """
        if (status := read_status(run)).live:
            raise RunError(f"{run.name} is {status.state}, it can't be replayed yet; {run.command('watch')} shows it")
        run.config()
        if next(recorded_lines(run), None) is None:
            raise RunError(f"{run.name} has nothing to replay: it has no line of metrics or events")
        self._run, self._speed = run, speed
        self._folder = Path(tempfile.mkdtemp(prefix="alexplore-replay-"))
        self.copy = RunDirectory(self._folder / run.name)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the process that writes the copy, and wait until there is something to watch.

        Raises:
            RunError: the process did not start.
        """
        try:
            self.copy.path.mkdir(mode=0o700)
            self.copy.control_folder.mkdir()
            for name in COPIED:
                if (self._run.path / name).is_file() and not (self._run.path / name).is_symlink():
                    shutil.copyfile(self._run.path / name, self.copy.path / name)
            arguments = [str(self._run.path), str(self.copy.path), repr(self._speed)]
            self._process = subprocess.Popen(
                module_command("alexplore.runs.replay", *arguments),
                stdin=subprocess.PIPE,  # the system closes it when this process ends
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the app
            )
            self._wait_for_start(self._process)
        except OSError as error:
            self._end()
            raise RunError(f"{self._folder}: {error.strerror}", failure=True) from None
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _wait_for_start(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.copy.status_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RunError(f"the replay of {self._run.name} did not start", failure=True)
            time.sleep(0.02)

    def _end(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def wait_for_watcher(seconds: float) -> bool:
    """Wait `seconds`; return False as soon as stdin is closed, because the watching program has ended."""
    return not select.select([sys.stdin], [], [], seconds)[0]


def main(run: Path, copy: Path, speed: float) -> None:
    """Write a run into its copy, and remove the copy's folder when the watching program has ended."""
    try:
        with worker_lock(RunDirectory(copy)):  # held until the end, so that the copy can't be resumed
            play(RunDirectory(run), RunDirectory(copy), speed, wait_for_watcher)
            while wait_for_watcher(60.0):
                pass
    finally:
        shutil.rmtree(copy.parent, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
