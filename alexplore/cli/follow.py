"""Following a run from the command line: a live display with a terminal, plain lines without, JSON lines on request."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import typer

from alexplore.cli.output import complain, narrate
from alexplore.core.errors import DONE, FAILED, INTERRUPTED, STOPPED
from alexplore.runs import service
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.lines import LineReader
from alexplore.runs.messages import attempt_words, end_words, event_words, number_words, speed_words
from alexplore.runs.watch import Snapshot, Watch

if TYPE_CHECKING:
    from rich.console import RenderableType

POLL_SECONDS = 0.25
EXIT_CODES = {"finished": DONE, "stopped": STOPPED}


@dataclass
class Interrupts:
    """How often Ctrl-C was pressed."""

    count: int = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count instead of raising."""

        def note(*_: object) -> None:
            self.count += 1

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def follow(
    run: RunDirectory,
    *,
    owner: bool,
    as_json: bool = False,
    kill: Callable[[], None] | None = None,
    interrupts: Interrupts | None = None,
    told: int = -1,
) -> int:
    """Show a run until it ends; the exit code.

    The `owner` started it: the first Ctrl-C asks the worker to stop after a checkpoint, the second kills it. Anyone
    else's Ctrl-C ends the watching alone. `interrupts` were counted before, and events up to the number `told` are not
    worth telling any more.
    """
    watch = Watch(run)
    show: Narrator = Lines(run) if as_json else Live(told) if sys.stdout.isatty() else Plain(told)
    interrupts = interrupts or Interrupts()
    asked = False
    with interrupts.counted(), show:
        while True:
            snapshot = watch.poll()
            show.update(snapshot)
            if not snapshot.status.live:
                break
            if interrupts.count and not owner:
                return DONE
            if interrupts.count and not asked:
                asked = True
                show.say("stopping after a checkpoint; Ctrl-C again stops at once")
                _ask_to_stop(run)
            if interrupts.count > 1 and kill is not None:
                kill()
                show.say(f"stopped at once; resume from the last checkpoint with: alexplore runs resume {run.name}")
                return INTERRUPTED
            time.sleep(POLL_SECONDS)
    return _farewell(snapshot)


def _ask_to_stop(run: RunDirectory) -> None:
    try:
        service.ask(run, "stop")
    except RunError as error:  # it ended by itself in the meantime
        narrate(str(error))


def _farewell(snapshot: Snapshot) -> int:
    status, run = snapshot.status, snapshot.run
    if status.state == "finished":
        narrate(end_words(snapshot))
        return DONE
    if status.state == "stopped":
        if status.reason:
            complain(status.reason)
        narrate(
            f"stopped at epoch {status.epoch:.2f}, step {status.step}; go on with: alexplore runs resume {run.name}"
        )
        return STOPPED
    complain(f"{run.name} {status.state}: {status.reason or 'no reason given'}")
    if status.state == "crashed":
        narrate("the end of console.log:")
        for line in run.console_tail(10):
            narrate(f"  {line}")
    if status.epoch > 0:
        narrate(f"go on from the last checkpoint with: alexplore runs resume {run.name}")
    return FAILED


class Narrator:
    """Shows a run somewhere; words of ours go to stderr."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, message: str) -> None:
        """A word of ours."""
        narrate(message)

    def update(self, snapshot: Snapshot) -> None:
        """Show what is new."""
        raise NotImplementedError


class Plain(Narrator):
    """Lines for a log or a pipe."""

    def __init__(self, told: int) -> None:
        self._told = told
        self._attempt = 0
        self._waiting = ""

    def update(self, snapshot: Snapshot) -> None:
        """Print what is waited for, and what is new."""
        waiting = snapshot.status.reason if snapshot.status.state == "starting" else None
        if waiting and waiting != self._waiting:
            self._waiting = waiting
            narrate(waiting)
        self.tell(snapshot)

    def tell(self, snapshot: Snapshot) -> None:
        """Print the events that were not told yet, but for the error that ends the run: that is told last."""
        for event in snapshot.events_after(self._told):
            attempt = event.get("attempt", 0)
            if attempt != self._attempt and not self._begin(attempt, snapshot):
                break
            self._told = event["seq"]
            last_error = event.get("event") == "error" and attempt == snapshot.attempt
            words = event_words(event, snapshot.config.recipe.epochs)
            if words and not last_error:
                self.write(words, data=event.get("event") == "epoch")

    def _begin(self, attempt: int, snapshot: Snapshot) -> bool:
        """Divide an attempt from those before it; False for as long as it may yet tell from which step it goes on."""
        step = snapshot.first_step(attempt)
        if step is None and attempt == snapshot.attempt and snapshot.status.live:
            return False
        self._attempt = attempt
        self.write(attempt_words(attempt, step), data=False)
        return True

    def write(self, words: str, *, data: bool) -> None:
        """A line: epochs are data, all else is narration."""
        if data:
            typer.echo(words)
        else:
            narrate(words)


class Lines(Narrator):
    """Every metric and event as it was written, one JSON object a line."""

    def __init__(self, run: RunDirectory) -> None:
        self._readers = (LineReader(run.events_file), LineReader(run.metrics_file))

    def update(self, snapshot: Snapshot) -> None:
        """Pass on what is new."""
        for reader in self._readers:
            for record in reader.read_all():
                typer.echo(json.dumps(record))


class Live(Plain):
    """A display that stays in place, with the lines above it."""

    def __init__(self, told: int) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        super().__init__(told)
        self._console = Console(highlight=False)
        self._live = RichLive(console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, message: str) -> None:
        """A word of ours."""
        self._console.print(message, markup=False)

    def write(self, words: str, *, data: bool) -> None:
        """A line above the display."""
        self._console.print(words, markup=False, style="" if data else "dim")

    def update(self, snapshot: Snapshot) -> None:
        """Print what is new above, and draw the display."""
        self.tell(snapshot)
        self._live.update(self._display(snapshot))

    def _display(self, snapshot: Snapshot) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        status = snapshot.status
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=8)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        words = [f"epoch {status.epoch:.2f}/{snapshot.config.recipe.epochs}"]
        words += number_words(snapshot.latest)
        words += speed_words(snapshot)
        bar = ProgressBar(total=1.0, completed=snapshot.fraction, width=24)
        if status.state == "starting":
            table.add_row("starting", status.reason or "…")
        else:
            table.add_row(status.state, bar, " · ".join(words))
        return table
