"""Follow a run from the command line: a live display on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import typer

from alexplore.cli.bell import Bell
from alexplore.cli.notify_options import NotifyOptions
from alexplore.cli.output import complain, console, narrate, say, say_json
from alexplore.core.boundary import os_error_text
from alexplore.core.errors import DONE, FAILED, INTERRUPTED, STOPPED, WRONG_USE
from alexplore.runs import service
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.launch import free_text
from alexplore.runs.lines import LineReader, finite, last_sequence
from alexplore.runs.log import LogLine, RunLog
from alexplore.runs.messages import progress_text, progress_texts, result_text
from alexplore.runs.watch import FEW_BLOCKS, Snapshot, Watch

if TYPE_CHECKING:
    from rich.console import RenderableType

POLL_SECONDS = 0.25
CONSOLE_LINES = 10
"""Lines of console.log that are shown when a worker has crashed."""


@dataclass
class Interrupts:
    """Counts how often Ctrl-C was pressed or SIGTERM was sent."""

    count: int = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count signals in the `with` block, instead of raising KeyboardInterrupt or ending the process."""

        def count(*_: object) -> None:
            self.count += 1

        before = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class LastRecords(NamedTuple):
    """The numbers (`seq`) of the last event and of the last metrics line of a run at some time; -1 for none."""

    event: int
    metrics: int


NO_RECORDS = LastRecords(-1, -1)


def last_records(run: RunDirectory) -> LastRecords:
    """Return the numbers of the last records of a run."""
    return LastRecords(last_sequence(run.events_file), last_sequence(run.metrics_file))


def start_and_follow(
    run: RunDirectory,
    start: Callable[[], subprocess.Popen[bytes]],
    *,
    detach: bool,
    as_json: bool,
    notify_options: NotifyOptions,
    new: bool = False,
) -> None:
    """Start a worker on a run, and follow the run to its end unless it is detached.

    A `new` run that fails before its first step is removed, and a resumed one that fails before it trains gets its
    state back: nothing was trained, and the reason was shown.
    """
    if detach:
        start()
        notify_options.start_on_end(run)
        say(run.name)
        narrate(f"training in the background; watch with: {run.command('watch')}")
        return
    after, before = last_records(run), service.state_before(run)
    interrupts = Interrupts()
    with interrupts.counted():  # before the worker starts, so that it is never left behind
        process = start()
        notify_options.start_on_end(run)
        narrate(f"run {run.name}")

        def kill() -> None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

        code = follow(
            run, owner=True, as_json=as_json, kill=kill, interrupts=interrupts, after=after, bell=Bell(notify_options)
        )
    # The worker's exit code tells wrong use, such as more GPUs than there are, from a failure.
    refused = code == FAILED and process.wait() == WRONG_USE
    if code == FAILED and not notify_options.command:  # it may use the run
        if new and service.discard_untrained(run):
            narrate("nothing was trained, and the run was removed")
        elif not new and before is not None and service.restore_untrained(run, before):
            narrate("nothing was trained, and the run is as it was before")
    raise typer.Exit(WRONG_USE if refused else code)


def follow(
    run: RunDirectory,
    *,
    owner: bool,
    as_json: bool = False,
    kill: Callable[[], None] | None = None,
    interrupts: Interrupts | None = None,
    after: LastRecords = NO_RECORDS,
    bell: Bell | None = None,
) -> int:
    """Show a run until it ends and return the exit code.

    The command that started the run is its `owner`: the first Ctrl-C asks the worker to stop after a checkpoint, the
    second calls `kill`. For any other command, Ctrl-C ends only the watching. `interrupts` may have counted signals
    before. Events and metrics lines up to `after` are not shown. `bell` notifies the user; by default at the usual
    occasions.
    """
    watch, bell = Watch(run), bell or Bell()
    display: Display
    if as_json:
        display = JsonLines(run, after)
    else:
        display = LiveDisplay(after.event) if sys.stdout.isatty() else PlainLines(after.event)
    interrupts = interrupts or Interrupts()
    asked = False
    with interrupts.counted(), display:
        while True:
            snapshot = watch.poll(FEW_BLOCKS)
            try:
                display.update(snapshot)
            except OSError as error:  # stdout is closed, or its disk is full
                if owner and snapshot.status.live:
                    _stop_unseen(run, error)
                raise
            bell.update(snapshot)
            if not snapshot.status.live:
                break
            if interrupts.count and not owner:
                return DONE
            if interrupts.count and not asked:
                asked = True
                display.narrate("stopping after a checkpoint; Ctrl-C again stops at once")
                _ask_to_stop(run)
            if interrupts.count > 1 and kill is not None:
                kill()
                display.narrate(f"stopped at once; resume from the last checkpoint with: {run.command('resume')}")
                return INTERRUPTED
            time.sleep(POLL_SECONDS)
    return _report_end(snapshot)


def _stop_unseen(run: RunDirectory, error: OSError) -> None:
    """Stop a run that this command started and can't show any more: the user might not know that it continues."""
    _ask_to_stop(run)
    reason = os_error_text(error)
    complain(f"{run.name} can't be shown ({reason}); it stops after a checkpoint; resume with: {run.command('resume')}")


def _ask_to_stop(run: RunDirectory) -> None:
    try:
        service.ask(run, "stop")
    except RunError as error:  # it has ended in the meantime
        narrate(str(error))


def _report_end(snapshot: Snapshot) -> int:
    """Print how a run ended and how to continue it; return the exit code."""
    status, run = snapshot.status, snapshot.run
    if status.state == "finished":
        narrate(result_text(snapshot))
        return DONE
    if status.state == "stopped":
        if status.reason:
            complain(status.reason)
        narrate(f"stopped at epoch {status.epoch:.2f}, step {status.step}; resume with: {run.command('resume')}")
        return STOPPED
    complain(f"{run.name} {status.state}: {status.reason or 'no reason given'}")
    if status.state == "crashed":
        lines = run.console_tail(CONSOLE_LINES)
        narrate("the end of console.log:" if any(lines) else f"console.log is empty; {free_text(run)}")
        for line in lines:
            narrate(f"  {line}")
    if run.has_checkpoint:
        narrate(f"resume from the last checkpoint with: {run.command('resume')}")
    return FAILED


class Display:
    """Shows a run. Messages of the command itself go to stderr."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def narrate(self, message: str) -> None:
        """Show a message of the command itself."""
        narrate(message)

    def update(self, snapshot: Snapshot) -> None:
        """Show what is new."""
        raise NotImplementedError


class PlainLines(Display):
    """Prints lines for a log or a pipe: epochs to stdout, the rest to stderr."""

    def __init__(self, after: int) -> None:
        """Skip the events up to the number `after`."""
        self._log = RunLog(after)
        self._reason = ""
        self._problems: set[str] = set()

    def update(self, snapshot: Snapshot) -> None:
        """Print what a starting run is waiting for, which files can't be read, and the new lines of the log."""
        reason = snapshot.status.reason if snapshot.status.state == "starting" else None
        if reason and reason != self._reason:
            self._reason = reason
            self.narrate(reason)
        self.print_problems(snapshot)
        self.print_log(snapshot)

    def print_problems(self, snapshot: Snapshot) -> None:
        """Print which files can't be read, each once."""
        for problem in snapshot.problems:
            if problem not in self._problems:
                self._problems.add(problem)
                self.narrate(f"can't be read: {problem}")

    def print_log(self, snapshot: Snapshot) -> None:
        """Print the new lines of the log, except the error that ended the run, which `follow` prints last."""
        for line in self._log.new_lines(snapshot):
            if not line.is_end:
                self.print_line(line)

    def print_line(self, line: LogLine) -> None:
        """Print one line of the log."""
        if line.is_result:
            say(line.text)
        else:
            narrate(line.text)


class JsonLines(Display):
    """Prints every event and metrics line as it was written, one JSON object a line."""

    def __init__(self, run: RunDirectory, after: LastRecords) -> None:
        """Print the records of a run that follow `after`."""
        self._readers = ((LineReader(run.events_file), after.event), (LineReader(run.metrics_file), after.metrics))

    def update(self, snapshot: Snapshot) -> None:
        """Print the new lines."""
        for reader, last in self._readers:
            for record in reader.read_all():
                if record.get("seq", 0) > last:
                    say_json(finite(record))


class LiveDisplay(PlainLines):
    """Shows a status line below the lines of the log."""

    def __init__(self, after: int) -> None:
        from rich.live import Live

        super().__init__(after)
        self._console = console()
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def narrate(self, message: str) -> None:
        """Show a message of the command itself above the status line."""
        self._console.print(message)

    def print_line(self, line: LogLine) -> None:
        """Print one line of the log above the status line."""
        self._console.print(line.text, style="" if line.is_result else "dim")

    def update(self, snapshot: Snapshot) -> None:
        """Print the new lines of the log and draw the status line."""
        self.print_problems(snapshot)
        self.print_log(snapshot)
        self._live.update(self._status_line(snapshot))

    def _status_line(self, snapshot: Snapshot) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        status = snapshot.status
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=8)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        if status.state == "starting":
            table.add_row("starting", status.reason or "…")
        else:
            texts = [f"epoch {progress_text(snapshot)}", *progress_texts(snapshot)]
            table.add_row(
                status.state, ProgressBar(total=1.0, completed=snapshot.fraction, width=24), " · ".join(texts)
            )
        return table
