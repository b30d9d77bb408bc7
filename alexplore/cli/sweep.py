"""Commands for sweeps: start many runs through the queue, show their results, list."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from alexplore.cli.notify_options import NotifyOption, OnEndOption, read_notify_options
from alexplore.cli.options import PRESET_HELP, AsJson, RunsDir, given
from alexplore.cli.output import console, narrate, say, say_json
from alexplore.cli.recipe_options import recipe_changes
from alexplore.core.errors import DONE, FAILED, INTERRUPTED, STOPPED, WrongUseError
from alexplore.core.formatting import count_text
from alexplore.presets.sources import open_preset
from alexplore.runs import service
from alexplore.runs.config import DEVICES, RunConfig
from alexplore.runs.directory import RunDirectory, RunError, runs_folder
from alexplore.runs.lines import finite
from alexplore.runs.queue import Queue
from alexplore.runs.queue_runner import start_runner
from alexplore.runs.status import read_status
from alexplore.runs.sweeps import (
    Sweep,
    SweepRun,
    combinations,
    free_sweep_name,
    list_sweeps,
    read_sweep,
    result_cells,
    result_headings,
    run_name,
    sweep_results,
    write_sweep,
)

POLL_SECONDS = 0.5

app = typer.Typer(help="Train every combination of some values, with several seeds: start, show, list.")


@app.callback(invoke_without_command=True)
def sweep(
    context: typer.Context,
    preset: Annotated[str | None, typer.Option("--preset", "-p", metavar="P", help=PRESET_HELP)] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="training.KEY=VALUE,…", help="A key of the recipe and its values: training.lr=0.003,0.01."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="Train each combination with N seeds.", min=1)] = 1,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training images.")] = None,
    dataset: Annotated[str | None, typer.Option(metavar="D", help="Another data set than the preset's.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the data set is.")] = None,
    limit_train: Annotated[int | None, typer.Option(metavar="N", help="Use only N training images.")] = None,
    limit_val: Annotated[int | None, typer.Option(metavar="N", help="Use only N validation images.")] = None,
    gpus: Annotated[int | None, typer.Option(metavar="N", help="GPUs of each run, else all.")] = None,
    device: Annotated[str, typer.Option(metavar="|".join(DEVICES), help="On what to train.")] = "auto",
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The sweep's name, with which its runs begin.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Wait for the end and show the results; Ctrl-C stops the sweep.")
    ] = False,
    on_end: OnEndOption = None,
    notify: NotifyOption = None,
    runs_dir: RunsDir = None,
) -> None:
    """Train every combination of values in the background, each with several seeds.

    One run at a time on the CPU, as many as fit on the GPUs.
    """
    if context.invoked_subcommand is not None:
        return
    if preset is None:
        raise WrongUseError("sweep: which preset? Give it with --preset; see also `alexplore sweep show` and `list`")
    opened = open_preset(preset, narrate)
    folder = str(data) if data else None
    base = RunConfig(opened.name, opened.network, opened.recipe).change(
        given(device=device, gpus=gpus, folder=folder, limit_train=limit_train, limit_val=limit_val)
    )
    notify_options, queue = read_notify_options(on_end, notify, "a sweep"), Queue(runs_folder(runs_dir))
    planned_sweep = name or free_sweep_name(queue, opened.name)
    keys, chosen = combinations(assignments or (), seeds)
    if "seed" in keys and seeds > 1:
        raise WrongUseError("--set training.seed=… and --seeds exclude each other: both choose the seeds")
    plans: list[tuple[SweepRun, service.Plan]] = []
    for together in chosen:
        config = base.change(recipe_changes({"epochs": epochs, "dataset": dataset}, together))
        values = {key: getattr(config.recipe, key) for key in keys}
        for seed in range(config.recipe.seed, config.recipe.seed + seeds):
            planned = service.plan(config.change({"seed": seed}), queue.runs)
            planned.raise_problem()
            name_of_run = run_name(planned_sweep, len(plans) + 1, values, seed if seeds > 1 else None)
            queue.check_name(name_of_run)
            if any((run.values, run.seed) == (values, seed) for run, _ in plans):
                raise WrongUseError(f"two runs would be the same, {name_of_run}: give each value of --set once")
            plans.append((SweepRun(name_of_run, values, seed), planned))
    made = Sweep(planned_sweep, keys, tuple(run for run, _ in plans))
    write_sweep(queue, made)
    command, occasions = notify_options.command, notify_options.command_occasions
    for run, planned in plans:
        queue.add(planned.config, run.name, sweep=made.name, command=command, occasions=occasions)
    start_runner(queue)
    if follow:
        raise typer.Exit(_follow(queue, made))
    say(made.name)
    count = count_text(len(plans), "run")
    narrate(f"{count} in the queue; results with: alexplore sweep show {made.name}; order with: alexplore queue list")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="SWEEP", help="The name of a sweep.")],
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Show the results of a sweep: mean and standard deviation over the seeds of each combination."""
    queue = Queue(runs_folder(runs_dir))
    _show(queue, read_sweep(queue, name), as_json=as_json)


@app.command("list")
def list_(as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """List the sweeps."""
    names = list_sweeps(Queue(runs_folder(runs_dir)))
    if as_json:
        say_json(names)
    for name in [] if as_json else names:
        say(name)
    if not names:
        narrate("no sweeps yet; start one with: alexplore sweep --preset fmnist-28 --set training.lr=0.001,0.01")


def _show(queue: Queue, found: Sweep, *, as_json: bool = False) -> None:
    results = sweep_results(queue, found)
    if as_json:
        rows = [result.to_dict() for result in results]
        say_json(finite({"sweep": found.name, "keys": list(found.keys), "rows": rows}), indent=1)
        return
    from alexplore.render.fitted_table import tables_in_width

    rows_of_cells = [result_cells(result, found.keys) for result in results]
    columns = [(title, [cells[at] for cells in rows_of_cells]) for at, title in enumerate(result_headings(found.keys))]
    out = console()
    for table in tables_in_width(columns[: len(found.keys)], columns[len(found.keys) :], out.width):
        out.print(table)


def _follow(queue: Queue, found: Sweep) -> int:
    """Report when the runs of a sweep start and end, then the results; return the exit code.

    The first Ctrl-C removes the waiting runs from the queue and stops the live ones after a checkpoint, the second
    kills them.
    """
    from alexplore.cli.follow import Interrupts

    names, known, asked = {run.name for run in found.runs}, dict[str, str](), False
    interrupts = Interrupts()
    with interrupts.counted():
        while True:
            items = [item for item in (*queue.waiting(), *queue.running()) if item.name in names]
            _report_changes(queue, found, known)
            if not items:
                break
            if interrupts.count and not asked:
                asked = True
                narrate("stopping after a checkpoint; Ctrl-C again stops at once")
                _stop(queue, names)
            if interrupts.count > 1:
                _kill(queue, names)
                return INTERRUPTED
            time.sleep(POLL_SECONDS)
    _show(queue, found)
    if asked:
        return STOPPED
    return DONE if all(state == "finished" for state in known.values()) else FAILED


def _report_changes(queue: Queue, found: Sweep, known: dict[str, str]) -> None:
    """Report the runs whose state differs from the one in `known`, which is updated."""
    for run in found.runs:
        directory = RunDirectory(queue.runs / run.name)
        state = read_status(directory).state if directory.has_files else ""
        if state and state != known.get(run.name):
            narrate(f"{run.name}: {state}")
        known[run.name] = state


def _stop(queue: Queue, names: set[str]) -> None:
    """Remove waiting runs with some names from the queue, and ask the live ones to stop."""
    for item in queue.waiting():
        if item.name in names:
            with suppress(RunError):  # it has started meanwhile
                queue.remove(item.name, whole=True)
    for item in queue.running():
        if item.name in names:
            with suppress(RunError):  # it has ended meanwhile
                service.ask(queue.run(item), "stop")


def _kill(queue: Queue, names: set[str]) -> None:
    """Kill the workers of live runs with some names."""
    for item in queue.running():
        if item.name in names and (pid := read_status(queue.run(item)).pid):
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
