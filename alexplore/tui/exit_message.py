"""The message in the terminal after the app was closed: the runs that are still live, and how to return to them."""

from __future__ import annotations

from pathlib import Path

from alexplore.core.formatting import duration_text
from alexplore.core.inert import inert_line
from alexplore.runs.directory import RunError, list_runs
from alexplore.runs.messages import progress_text
from alexplore.runs.queue import Queue
from alexplore.runs.status import read_status
from alexplore.runs.summary import RunList, Summary

MOST_NAMED = 5


def exit_message(runs_folder: Path) -> str:
    """Return the live and the waiting runs, with the commands that show them; "" if there are none."""
    try:
        runs = list_runs(runs_folder)
    except RunError:  # the screen Runs has shown why the folder can't be read
        return ""
    live = RunList().summarise([run for run in runs if read_status(run).live])
    waiting = [inert_line(item.name) for item in Queue(runs_folder).waiting()]
    lines = [f"{_doing(one)}: {inert_line(one.run.name)} · {_progress(one)}" for one in live[:MOST_NAMED]]
    if len(live) > MOST_NAMED:
        lines.append(f"and {len(live) - MOST_NAMED} more: alexplore runs list")
    if waiting:
        lines.append(f"in the queue: {_named(waiting)} · see it with: alexplore queue list")
    if live:
        first = live[0].run
        lines += [
            f"come back with: {first.app_command()}",
            f"watch with:     {first.command('watch')}",
            f"stop with:      {first.command('stop')}",
        ]
    return "\n".join(lines)


def _doing(summary: Summary) -> str:
    return "paused" if summary.status.state == "paused" else "still training"


def _progress(summary: Summary) -> str:
    left = summary.remaining_seconds if summary.status.state == "running" else None
    return f"epoch {progress_text(summary)}" + (f" · {duration_text(left)} left" if left is not None else "")


def _named(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
