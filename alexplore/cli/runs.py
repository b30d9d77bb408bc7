"""Commands about runs: list, show, watch, stop, pause, checkpoint, resume, compare, export, remove."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from alexplore.cli.networks import RunsDir
from alexplore.cli.output import console, deliver, narrate
from alexplore.cli.recipe_options import recipe_changes
from alexplore.core.errors import DONE, FAILED
from alexplore.core.settings import toml_text
from alexplore.runs import service
from alexplore.runs.control import Request, wait_for_answer
from alexplore.runs.directory import RunDirectory, RunError, find_run, list_runs, runs_folder
from alexplore.runs.lines import finite
from alexplore.runs.messages import epoch_words, state_words, summary_cells
from alexplore.runs.status import read_status
from alexplore.runs.watch import Summary, Watch, summarise

SOON_SECONDS, ANSWER_SECONDS = 3.0, 120.0

app = typer.Typer(
    help="Runs: list, show, watch, stop, pause, checkpoint, resume, compare, export, remove.", no_args_is_help=True
)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or its beginning, `last`, or a path.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


@app.command("list")
def list_(as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """List the runs, the newest first."""
    summaries = [summarise(run) for run in list_runs(runs_folder(runs_dir))]
    if as_json:
        _print_json([summary_dict(summary) for summary in summaries])
        return
    if not summaries:
        narrate("no runs yet; start one with: alexplore train --preset fmnist-28")
        return
    from alexplore.render.fitted_table import Column, FittingTable

    table = FittingTable(
        Column("run", left=True),
        Column("state", left=True),
        Column("epoch"),
        Column("loss", rank=2),
        Column("validation", rank=1),
        Column("images/s", rank=4),
        Column("last heard", rank=3),
    )
    for summary in summaries:
        table.add(*summary_cells(summary))
    console().print(table)


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(finite(content), indent=1))


def summary_dict(summary: Summary) -> dict[str, Any]:
    """A run as `runs list --json` has it."""
    return {
        "run": summary.run.name,
        "path": str(summary.run.path),
        "state": summary.status.state,
        "step": summary.status.step,
        "epoch": summary.status.epoch,
        "epochs": summary.config.recipe.epochs if summary.config else None,
        "train/loss": summary.loss,
        "val/acc": summary.accuracy,
        "images_per_second": summary.images_per_second,
        "reason": summary.status.reason,
    }


@app.command("show")
def show(run: RunArgument, as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """Show what was asked for, how it is going, and every epoch."""
    found = find_run(run, runs_folder(runs_dir))
    if as_json:
        _print_json({**summary_dict(summarise(found)), "config": found.config().to_dict()})
        return
    snapshot = Watch(found).poll()
    status, config = snapshot.status, snapshot.config
    typer.echo(f"{found.name}\n{found.path}")
    typer.echo(f"{state_words(status)} at epoch {status.epoch:.2f}/{config.recipe.epochs}, step {status.step}")
    if status.reason:
        typer.echo(status.reason)
    typer.echo(f"preset {config.preset}, seed {config.recipe.seed}")
    changed = {**config.recipe.to_dict(defaults=False), **config.means(defaults=False)}
    typer.echo(" · ".join(f"{key} {toml_text(value)}" for key, value in changed.items()))
    for row in snapshot.epochs:
        typer.echo(epoch_words(row, config.recipe.epochs))


@app.command("watch")
def watch(run: RunArgument, as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """Follow a run until it ends. Ctrl-C ends the watching, not the run."""
    from alexplore.cli.follow import follow

    raise typer.Exit(follow(find_run(run, runs_folder(runs_dir)), owner=False, as_json=as_json))


@app.command("stop")
def stop(run: RunArgument, runs_dir: RunsDir = None) -> None:
    """Stop a run after a checkpoint; it can be resumed."""
    found = _asked("stop", run, runs_dir)
    status = read_status(found)
    narrate(f"{found.name} {status.state} at epoch {status.epoch:.2f}; go on with: alexplore runs resume {found.name}")


@app.command("pause")
def pause(run: RunArgument, runs_dir: RunsDir = None) -> None:
    """Let a run wait, its worker and memory kept, until it is resumed."""
    found = _asked("pause", run, runs_dir)
    narrate(f"{found.name} paused; go on with: alexplore runs resume {found.name}")


@app.command("checkpoint")
def checkpoint(run: RunArgument, runs_dir: RunsDir = None) -> None:
    """Have a run save a checkpoint now."""
    found = _asked("checkpoint", run, runs_dir)
    narrate(f"{found.name}: saved in {found.checkpoints_folder / 'last'}")


@app.command("resume")
def resume(
    run: RunArgument,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Train to so many epochs instead.")] = None,
    lr: Annotated[float | None, typer.Option(metavar="X", help="Go on with another learning rate.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="training.KEY=VALUE", help="Go on with another value.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; the training goes on.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Go on with a run that is paused, was stopped, failed or crashed, from its last checkpoint.

    With more epochs a finished one goes on, too.
    """
    found = find_run(run, runs_folder(runs_dir))
    changes = recipe_changes({"epochs": epochs, "lr": lr}, assignments)
    if read_status(found).state == "paused" and not changes:
        _asked("resume", run, runs_dir)
        narrate(f"{found.name} goes on; watch with: alexplore runs watch {found.name}")
        return
    from alexplore.cli.train import start_and_follow

    start_and_follow(found, lambda: service.restart(found, changes), detach=detach, as_json=as_json)


def _asked(action: str, run: str, runs_dir: Path | None) -> RunDirectory:
    found = find_run(run, runs_folder(runs_dir))
    made = service.ask(found, action)
    answer = wait_for_answer(found, made, SOON_SECONDS) or _late_answer(found, made)
    status = read_status(found)
    if answer is None and status.live:
        narrate(f"{found.name} has not answered in {ANSWER_SECONDS:.0f} s; it will {action} when it gets to it")
        raise typer.Exit(FAILED)
    if answer is None and action != "stop":
        raise RunError(f"{found.name} {status.state} before it could {action}", failure=True)
    if action == "stop":
        _wait_for_end(found)
    if answer and answer.get("error"):
        raise RunError(f"{found.name}: {answer['error']}", failure=True)
    return found


def _late_answer(run: RunDirectory, made: Request) -> dict[str, Any] | None:
    status = read_status(run)
    if status.live:
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + ANSWER_SECONDS))
        narrate(f"{run.name} is {state_words(status)}; waiting for its answer until {until}")
    return wait_for_answer(run, made, ANSWER_SECONDS)


def _wait_for_end(run: RunDirectory) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while read_status(run).live and time.monotonic() < deadline:
        time.sleep(0.1)


@app.command("compare")
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN…", help="Two runs or more.")],
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Put runs side by side: what differs in what was asked for, and what came of it."""
    from alexplore.runs.compare import compare_runs, value_text

    snapshots = [Watch(find_run(run, runs_folder(runs_dir))).poll() for run in runs]
    rows = compare_runs(snapshots)
    if as_json:
        _print_json({"runs": [snapshot.run.name for snapshot in snapshots], **dict(rows)})
        return
    from rich import box
    from rich.table import Table

    table = Table("", *(snapshot.run.name for snapshot in snapshots), box=box.SIMPLE_HEAD, pad_edge=False)
    for key, values in rows:
        table.add_row(key, *(value_text(key, value) for value in values))
    console().print(table)


@app.command("export")
def export(
    run: RunArgument,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="stdout if left out.")] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Write a run's metrics as CSV: each step once, by the last attempt that reached it."""
    from alexplore.runs.export import metrics_csv

    found = find_run(run, runs_folder(runs_dir))
    deliver(metrics_csv(found), output)


@app.command("remove")
def remove(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Runs that no worker is at.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Delete runs with their checkpoints."""
    found = [find_run(run, runs_folder(runs_dir)) for run in runs]
    for run in found:
        service.check_removable(run)
    if not yes:
        if not sys.stdin.isatty():
            raise RunError("removing deletes checkpoints for good; say --yes to do it without being asked")
        if not typer.confirm(f"delete {', '.join(run.name for run in found)} with all checkpoints?", err=True):
            raise typer.Exit(DONE)
    for run in found:
        service.remove(run)
        narrate(f"removed {run.name}")
