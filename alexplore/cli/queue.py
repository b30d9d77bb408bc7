"""Commands for the queue of runs: list, move, remove, pause, start."""

from __future__ import annotations

from typing import Annotated

import typer

from alexplore.cli.options import AsJson, RunsDir
from alexplore.cli.output import console, narrate, say_json
from alexplore.core.inert import inert_line
from alexplore.runs.directory import runs_folder
from alexplore.runs.messages import progress_text, state_text
from alexplore.runs.queue import Item, Queue
from alexplore.runs.queue_runner import start_runner
from alexplore.runs.summary import RunList

app = typer.Typer(help="The queue of runs: list, move, remove, pause, start.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="RUN", help="A waiting run's name or its beginning.")]


@app.command("list")
def list_(as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """List the runs that are being trained, those that wait, and those that could not be started."""
    queue = Queue(runs_folder(runs_dir))
    running, waiting, refused = queue.running(), queue.waiting(), queue.refused()
    summaries = {one.run.name: one for one in RunList().summarise([queue.run(item) for item in running])}
    has_runner = queue.has_runner
    if as_json:
        say_json(
            {
                "paused": queue.is_paused,
                "runner": has_runner,
                "running": [
                    {**_item_dict(item), "state": summaries[item.name].status.state, "gpus": item.gpus}
                    for item in running
                ],
                "waiting": [{**_item_dict(item), "place": place} for place, item in enumerate(waiting, 1)],
                "refused": [{**_item_dict(item), "reason": item.reason} for item in refused],
            },
            indent=1,
        )
        return
    if not (running or waiting or refused):
        narrate("the queue is empty; add a run with `alexplore train --queue`, or many with `alexplore sweep`")
        return
    from alexplore.render.fitted_table import Column, FittingTable

    table = FittingTable(Column("place"), Column("run", left=True), Column("state", left=True), Column("sweep", rank=1))
    for item in running:
        one = summaries[item.name]
        gpus = f" on GPU {', '.join(item.gpus)}" if item.gpus else ""
        state = f"{state_text(one.status)}{gpus}, epoch {progress_text(one)}"
        table.add("", inert_line(item.name), state, inert_line(item.sweep or ""))
    for place, item in enumerate(waiting, 1):
        table.add(str(place), inert_line(item.name), "waiting", inert_line(item.sweep or ""))
    for item in refused:
        table.add("", inert_line(item.name), f"could not be started: {inert_line(item.reason or '')}", item.sweep or "")
    console().print(table)
    if queue.is_paused:
        narrate("the queue is paused; go on with: alexplore queue start")
    elif (waiting or running) and not has_runner:
        narrate("no process works on the queue; start one with: alexplore queue start")


def _item_dict(item: Item) -> dict[str, object]:
    return {"run": item.name, "sweep": item.sweep}


@app.command("move")
def move(
    run: NameArgument,
    place: Annotated[int, typer.Argument(metavar="PLACE", help="1 is the next to be started.", min=1)],
    runs_dir: RunsDir = None,
) -> None:
    """Move a waiting run to another place."""
    queue = Queue(runs_folder(runs_dir))
    item = queue.move(run, place)
    places = [one.id for one in queue.waiting()]
    narrate(f"{item.name} has place {places.index(item.id) + 1 if item.id in places else 0} of {len(places)}")


@app.command("remove")
def remove(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Names of waiting runs, or their beginnings.")],
    runs_dir: RunsDir = None,
) -> None:
    """Take waiting runs out of the queue. One that is being trained is stopped with `alexplore runs stop`."""
    queue = Queue(runs_folder(runs_dir))
    for run in runs:
        narrate(f"removed {queue.remove(run).name} from the queue")


@app.command("pause")
def pause(runs_dir: RunsDir = None) -> None:
    """Start no more runs; those that are being trained go on."""
    Queue(runs_folder(runs_dir)).pause(paused=True)
    narrate("the queue is paused; go on with: alexplore queue start")


@app.command("start")
def start(runs_dir: RunsDir = None) -> None:
    """Start the queue again, after a pause or after the machine was restarted."""
    queue = Queue(runs_folder(runs_dir))
    queue.pause(paused=False)
    if not queue.waiting() and not queue.running():
        narrate("the queue is empty")
        return
    start_runner(queue)
    narrate("the queue is started; see it with: alexplore queue list")
