"""Commands for runs: list, show, watch, stop, pause, checkpoint, set, evaluate, resume, compare, inside, …"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from alexplore.cli.inside import SHOWN, show_inside, show_look
from alexplore.cli.notify_options import NotifyOption, OnEndOption, read_notify_options
from alexplore.cli.options import AsJson, AsJsonLines, RunsDir, given
from alexplore.cli.output import complain, console, deliver, deliver_in_folder, narrate, say, say_json
from alexplore.cli.recipe_options import recipe_changes
from alexplore.core.errors import DONE, FAILED, WrongUseError
from alexplore.core.home import expand
from alexplore.core.inert import inert_line
from alexplore.core.settings import nearest, toml_text
from alexplore.export.run_formats import RUN_FORMATS
from alexplore.runs import service
from alexplore.runs.config import DEVICES
from alexplore.runs.control import ACTIONS, Request, wait_for_answer
from alexplore.runs.directory import (
    RunDirectory,
    RunError,
    find_foreign_log,
    find_removable,
    find_run,
    list_runs,
    runs_folder,
)
from alexplore.runs.foreign import ForeignLog, ForeignReader
from alexplore.runs.lines import finite
from alexplore.runs.look_request import LookRequest
from alexplore.runs.messages import (
    SUMMARY_HEADINGS,
    change_text,
    epoch_text,
    machine_text,
    progress_text,
    state_text,
    summary_cells,
    weights_texts,
)
from alexplore.runs.metrics import MACHINE_METRICS, METRICS
from alexplore.runs.protocol import ChangeEvent, ControlEvent, EpochEvent, EvaluationEvent, WeightsEvent, event_record
from alexplore.runs.reader import RunReader
from alexplore.runs.status import is_locked, read_status
from alexplore.runs.steering import parse_changes
from alexplore.runs.step_time import step_time
from alexplore.runs.summary import RunList, Summary
from alexplore.runs.watch import Watch

SOON_SECONDS, ANSWER_SECONDS = 3.0, 120.0
"""Seconds to wait for an answer before saying so, and seconds to wait after that."""

POLL_SECONDS = 0.1

app = typer.Typer(
    help="List, show, watch, steer, resume, compare, look into, export, check and remove runs.",
    no_args_is_help=True,
)

NO_RUNS = "no runs yet; start one with: alexplore train --preset fmnist-28"
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or its beginning, `last`, or a path.")]


@app.command("list")
def list_(as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """List the runs, the newest first."""
    summaries = RunList().summarise(list_runs(runs_folder(runs_dir)))
    if as_json:
        say_json(finite([summary_dict(summary) for summary in summaries]), indent=1)
        return
    if not summaries:
        narrate(NO_RUNS)
        return
    from alexplore.render.fitted_table import Column, FittingTable

    ranks = {"best": 1, "validation": 2, "loss": 3, "updated": 4, "images/s": 5}
    table = FittingTable(
        *(Column(title, rank=ranks.get(title, 0), left=title in ("run", "state")) for title in SUMMARY_HEADINGS)
    )
    for summary in summaries:
        table.add(*summary_cells(summary))
    console().print(table)
    for summary in summaries:
        _narrate_problems(summary)


def _narrate_problems(summary: Summary) -> None:
    for problem in summary.problems:
        narrate(f"{summary.run.name} can't be read whole: {problem}")


def summary_dict(summary: Summary) -> dict[str, Any]:
    """Return a run for `runs list --json`: with every metric, null if it has no value."""
    return {
        "run": summary.run.name,
        "path": str(summary.run.path),
        "state": summary.status.state,
        "step": summary.status.step,
        "epoch": summary.status.epoch,
        "epochs": summary.total_epochs,
        **{key: summary.latest.get(key) for key in METRICS},
        "reason": summary.status.reason,
        "problems": list(summary.problems),
    }


@app.command("show")
def show(run: RunArgument, as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """Show a run's settings, its state, every epoch, and what its curves and layers say."""
    from alexplore.runs.diagnosis import diagnose_run  # imports numpy, which `runs list` does not need

    run_directory = find_run(run, runs_folder(runs_dir))
    snapshot = Watch(run_directory).poll(most_blocks=1)  # enough for the last values and the epochs
    status, config = snapshot.status, snapshot.config
    if as_json:
        weights = snapshot.last(WeightsEvent)
        taken = {"weights": event_record(weights)} if weights else {}
        findings = [asdict(finding) for finding in diagnose_run(snapshot)]
        machine = {key: snapshot.latest[key] for key in MACHINE_METRICS if key in snapshot.latest}
        spent = step_time(snapshot)
        time_ = {"time": spent.to_dict()} if spent else {}
        found = {
            **summary_dict(snapshot),
            **machine,
            **time_,
            **taken,
            "findings": findings,
            "config": config.to_dict(),
        }
        say_json(finite(found), indent=1)
        return
    say(f"{run_directory.name}\n{run_directory.path}")
    say(f"{state_text(status)} at epoch {progress_text(snapshot)}, step {status.step}")
    if status.reason:
        say(status.reason)
    say(f"preset {config.preset}, seed {config.recipe.seed}")
    changed = {**config.recipe.to_dict(defaults=False), **config.options(defaults=False)}
    say(" · ".join(f"{key} {toml_text(value)}" for key, value in changed.items()))
    if weights := snapshot.last(WeightsEvent):
        say("\n  ".join(inert_line(text) for text in weights_texts(weights)))
    for epoch in snapshot.epochs:
        say(epoch_text(epoch, config.recipe.epochs))
    if spent := step_time(snapshot):
        say(f"time: {inert_line(spent.verdict)}\n  {spent.parts_text}")
    if used := machine_text(snapshot.latest):
        say(f"machine: {used}")
    for finding in diagnose_run(snapshot):
        say(f"⚠ {inert_line(finding.text)}\n  try: {finding.advice}")
    _narrate_problems(snapshot)


@app.command("watch")
def watch(run: RunArgument, as_json: AsJsonLines = False, runs_dir: RunsDir = None) -> None:
    """Follow a run until it ends. Ctrl-C ends the watching, not the run.

    Of a folder with logs of TensorBoard or Lightning, the last values are shown; `alexplore tui --run` follows them.
    """
    folder = runs_folder(runs_dir)
    if log := find_foreign_log(run, folder):
        _show_log(log, as_json=as_json)
        return
    from alexplore.cli.follow import follow

    raise typer.Exit(follow(find_run(run, folder), owner=False, as_json=as_json))


def _show_log(log: ForeignLog, *, as_json: bool) -> None:
    """Print the last values of another program's log."""
    snapshot = ForeignReader(log).poll()
    if as_json:
        metrics = {metric.name: {"step": metric.step, "value": metric.value} for metric in snapshot.metrics}
        say_json(finite({"log": str(log.path), "program": log.program, "metrics": metrics}), indent=1)
    else:
        from alexplore.render.foreign import foreign_table

        say(f"{log.name} · {log.program}'s log, {len(snapshot.metrics)} metrics")
        console().print(foreign_table(snapshot))
    for problem in snapshot.problems:
        complain(problem)
    if snapshot.problems:
        raise typer.Exit(FAILED)


@app.command("stop")
def stop(
    run: RunArgument,
    after_epoch: Annotated[
        bool, typer.Option("--after-epoch", help="At the end of the current epoch; return when the worker has agreed.")
    ] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Stop a run after a checkpoint; it can be resumed.

    Exit code 0 when it has ended with its checkpoint saved; 1 when it failed, or still runs after two minutes.
    """
    found = find_run(run, runs_folder(runs_dir))
    if after_epoch:
        _ask(found, "stop_after_epoch")
        narrate(f"{found.name} stops at the end of this epoch; watch with: {found.command('watch')}")
        return
    _ask(found, "stop")
    deadline = time.monotonic() + ANSWER_SECONDS
    while (status := read_status(found)).live:
        if time.monotonic() > deadline:
            narrate(f"{found.name} has agreed to stop, but still runs; see how it ends with: {found.command('watch')}")
            raise typer.Exit(FAILED)
        time.sleep(POLL_SECONDS)
    if status.state == "finished":
        narrate(f"{found.name} finished before it could stop")
        return
    if status.state != "stopped" or status.reason:
        raise RunError(f"{found.name} {status.state}: {status.reason or 'no reason given'}", failure=True)
    narrate(f"{found.name} stopped at epoch {status.epoch:.2f}; resume with: {found.command('resume')}")


@app.command("pause")
def pause(run: RunArgument, runs_dir: RunsDir = None) -> None:
    """Pause a run until it is resumed; its worker keeps its memory."""
    found = find_run(run, runs_folder(runs_dir))
    _ask(found, "pause")
    narrate(f"{found.name} paused; resume with: {found.command('resume')}")


@app.command("checkpoint")
def checkpoint(run: RunArgument, runs_dir: RunsDir = None) -> None:
    """Save a checkpoint of a run now."""
    found = find_run(run, runs_folder(runs_dir))
    _ask(found, "checkpoint")
    narrate(f"{found.name}: saved in {found.checkpoints_folder / 'last'}")


@app.command("set")
def set_(
    run: RunArgument,
    assignments: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help="Such as lr=0.003 or epochs=20.")],
    runs_dir: RunsDir = None,
) -> None:
    """Change a run's recipe while it is trained, from the next step on: lr, epochs, and the schedule's settings."""
    found = find_run(run, runs_folder(runs_dir))
    answer = _wait(found, service.steer(found, parse_changes(assignments)))
    made = [line.event for line in RunReader(found).events() if isinstance(line.event, ChangeEvent)]
    narrate(f"{found.name}: {change_text([event for event in made if answer and event.step == answer.step][-1])}")


@app.command("evaluate")
def evaluate(run: RunArgument, as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """Evaluate a run now, while it is trained, on the validation images; training is not changed by it."""
    found = find_run(run, runs_folder(runs_dir))
    answer = _ask(found, "evaluate")
    events = [
        line.event
        for line in RunReader(found).events()
        if isinstance(line.event, EvaluationEvent | EpochEvent) and answer and line.event.step == answer.step
    ]
    metrics = {key: value for key, value in events[-1].metrics.items() if key.startswith("val/")}
    if as_json:
        say_json(finite({"run": found.name, "step": events[-1].step, "epoch": events[-1].epoch, **metrics}), indent=1)
        return
    values = [f"{METRICS[key].title} {METRICS[key].number(value)}" for key, value in metrics.items()]
    say(f"step {events[-1].step}, epoch {events[-1].epoch:.2f}: {', '.join(values)}")


@app.command("resume")
def resume(
    run: RunArgument,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Train to N epochs in all instead.")] = None,
    lr: Annotated[float | None, typer.Option(metavar="X", help="Continue with another learning rate.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="training.KEY=VALUE", help="Continue with another value.")
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Where its data set is now.")] = None,
    device: Annotated[
        str | None, typer.Option(metavar="|".join(DEVICES), help="Continue on another device; bits may differ.")
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(metavar="N", help="Continue on another number of ranks; bits may differ.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; training continues.")] = False,
    on_end: OnEndOption = None,
    notify: NotifyOption = None,
    as_json: AsJsonLines = False,
    runs_dir: RunsDir = None,
) -> None:
    """Resume a run that is paused, or that stopped, failed or crashed, from its last checkpoint.

    With more epochs a finished one is resumed, too.
    """
    found = find_run(run, runs_folder(runs_dir))
    moved = given(folder=str(data) if data else None, device=device, gpus=gpus)
    changes = {**recipe_changes({"epochs": epochs, "lr": lr}, assignments), **moved}
    asks = service.resumes_when_asked(found, changes)
    notify_options = read_notify_options(on_end, notify, "a detached run" if detach or asks else None)
    if asks:
        _ask(found, "resume")
        notify_options.start_on_end(found)
        if detach:
            say(found.name)
        narrate(f"{found.name} continues; watch with: {found.command('watch')}")
        return
    from alexplore.cli.follow import start_and_follow

    start_and_follow(
        found, lambda: service.restart(found, changes), detach=detach, as_json=as_json, notify_options=notify_options
    )


def _ask(run: RunDirectory, action: str) -> ControlEvent | None:
    """Send a request to the worker of a run, wait for its answer and return it.

    It is an error if the run ends before, unless it was asked to stop.

    Raises:
        RunError: the request was refused, or the run ended before it was granted.
        typer.Exit: there was no answer in time.
    """
    return _wait(run, service.ask(run, action))


def _wait(run: RunDirectory, asked: Request) -> ControlEvent | None:
    """Wait until a request is answered and return the answer, as `_ask` does."""
    action = ACTIONS[asked.action]
    answer = wait_for_answer(run, asked, SOON_SECONDS) or _wait_longer(run, asked)
    status = read_status(run)
    if answer is None and status.live:
        narrate(f"{run.name} has not answered in {ANSWER_SECONDS:.0f} s; it was asked to {action} and may still do so")
        raise typer.Exit(FAILED)
    if answer is None and asked.action != "stop":
        raise RunError(f"{run.name} {status.state} before it could {action}", failure=True)
    if answer and answer.error and asked.action != "stop":
        raise RunError(f"{run.name}: {answer.error}", failure=True)
    return answer


def _wait_longer(run: RunDirectory, asked: Request) -> ControlEvent | None:
    status = read_status(run)
    if status.live:
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + ANSWER_SECONDS))
        narrate(f"{run.name} is {state_text(status)}; waiting for its answer until {until}")
    return wait_for_answer(run, asked, ANSWER_SECONDS)


@app.command("compare")
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN…", help="Two runs or more.")],
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Compare runs: the settings that differ, and the results."""
    from alexplore.runs.compare import compare_runs

    found = [find_run(run, runs_folder(runs_dir)) for run in runs]
    if len(found) < 2:
        raise WrongUseError(f"{found[0].name}: name two runs or more")
    snapshots = [Watch(run).poll(most_blocks=1) for run in found]
    rows = compare_runs(snapshots)
    if as_json:
        names = [snapshot.run.name for snapshot in snapshots]
        say_json(finite({"runs": names, **{row.name: row.values for row in rows}}), indent=1)
        return
    from alexplore.render.fitted_table import tables_in_width

    titles = [inert_line(snapshot.run.name) for snapshot in snapshots]
    columns = [(title, [row.texts[index] for row in rows]) for index, title in enumerate(titles)]
    out = console()
    for table in tables_in_width([("", [row.name for row in rows])], columns, out.width):
        out.print(table)


@app.command("inside")
def inside(
    run: RunArgument,
    epoch: Annotated[int | None, typer.Option(min=1, help="An epoch that was recorded; the last if left out.")] = None,
    layer: Annotated[str | None, typer.Option(metavar="L", help="One layer: its epochs, or its feature maps.")] = None,
    show: Annotated[str, typer.Option(metavar="|".join(SHOWN), help="What to show.")] = SHOWN[0],
    image: Annotated[Path | None, typer.Option(metavar="FILE", help="Show how it classifies an image.")] = None,
    index: Annotated[
        int | None, typer.Option(min=0, help="Show how it classifies a validation image, by its number.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(metavar="C,Y,X", help="Frame what a unit of the layer sees: channel, row, column.")
    ] = None,
    cam: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Mark the evidence for a class, or for the `guess` (Grad-CAM).")
    ] = None,
    as_json: AsJson = False,
    output: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Write the picture to a file.")] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Show what the network looks like inside: gradients, updates, zeros, distributions, kernels, maps, mistakes."""
    found = find_run(run, runs_folder(runs_dir))
    request = LookRequest(None if image is None else str(expand(image)), index, layer, unit, cam)
    if request == LookRequest(layer=layer):
        show_inside(found, epoch, layer, show, output, as_json=as_json)
    elif as_json and output is not None:
        raise WrongUseError("--json and --output exclude each other: --output writes a picture")
    else:
        show_look(found, request, epoch, output, as_json=as_json)


@app.command("export")
def export(
    run: RunArgument,
    to: Annotated[
        str, typer.Option("--to", metavar="|".join(RUN_FORMATS), help="csv and json: each step once, as last written.")
    ] = "csv",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="stdout if left out; for tensorboard a folder.")
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Write a run for other programs: its metrics, an event file for TensorBoard, or an HTML page."""
    if to not in RUN_FORMATS:
        raise WrongUseError(f"--to {to!r}: allowed: {', '.join(RUN_FORMATS)}{nearest(to, RUN_FORMATS)}")
    found, chosen = find_run(run, runs_folder(runs_dir)), RUN_FORMATS[to]
    if chosen.text is not None:
        deliver(chosen.text(found), output)
    elif chosen.file is not None:
        deliver_in_folder(*chosen.file(found), output, to)


@app.command("doctor")
def doctor(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run; all of them if left out.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Make the repairs that lose nothing.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Check run directories: lines, checksums, leftovers, permissions; say what each finding means.

    Exit code 0 if nothing is left to report, else 1.
    """
    from alexplore.runs import checkup

    folder = runs_folder(runs_dir)
    runs = list_runs(folder) if run is None else [find_run(run, folder)]
    left = []
    for one in runs:
        findings, live = checkup.check(one), is_locked(one)
        repaired = checkup.repair(one, findings) if repair and not live else []
        left += [finding for finding in findings if finding not in repaired]
        if as_json:
            continue
        say(f"{'✗' if findings else '✓'} {inert_line(one.name)}{'' if findings else ': whole'}")
        if repair and findings and live:
            say("  it is being trained: nothing in it is repaired")
        for finding in findings:
            remedy = f"; --repair would {finding.remedy}" if finding.remedy else ""
            end = f"; repaired: {finding.remedy}" if finding in repaired else remedy
            where = finding.path.relative_to(one.path) if finding.path != one.path else "the directory"
            say(inert_line(f"  {where}: {finding.what}: {finding.meaning}{end}"))
    if as_json:
        say_json([finding.to_dict() for finding in left], indent=1)
    elif not runs:
        narrate(NO_RUNS)
    raise typer.Exit(FAILED if left else DONE)


@app.command("rename")
def rename(
    run: RunArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.")],
    runs_dir: RunsDir = None,
) -> None:
    """Give a run that is not being trained another name."""
    found = find_run(run, runs_folder(runs_dir))
    renamed = service.rename(found, name)
    narrate(f"renamed {found.name} to {renamed.name}")


@app.command("remove")
def remove(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Runs that are not being trained.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Delete runs with their checkpoints. Each is named in whole: the beginning of a name is not enough."""
    found = list(dict.fromkeys(find_removable(run, runs_folder(runs_dir)) for run in runs))
    for run in found:
        service.check_removable(run)
    if not yes:
        if not sys.stdin.isatty():
            raise WrongUseError("removing deletes checkpoints for good; confirm it with --yes")
        if not typer.confirm(f"delete {', '.join(run.name for run in found)} with all checkpoints?", err=True):
            raise typer.Exit(DONE)
    for run in found:
        service.remove(run)
        narrate(f"removed {run.name}")
