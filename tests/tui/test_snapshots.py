"""What every screen looks like, at both sizes that it is designed for: SVG pictures in `tests/golden/screens`.

`pytest --update-golden` writes them anew; look at the pictures that changed in a browser.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from alexplore.network.graph import read_network
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.protocol import (
    DatasetEvent,
    EpochEvent,
    MetricsLine,
    StartEvent,
    event_record,
    metrics_record,
)
from alexplore.runs.status import Status, write_status
from alexplore.tui.app import HIGH, ExploreApp
from alexplore.tui.messages import OpenRequested
from docs.screen_svg import screen_svg
from tests.support.golden import Golden
from tests.support.screens import screen_text, type_into, until
from tests.tui.conftest import OpenApp

SIZES = [(80, 24), (120, 40)]
NOW = 1_780_000_000.0  # 2026-05-28 20:26:40 UTC
PRESETS = ("fmnist-28", "paper", "torchvision")  # that are listed, whatever else is shipped
NEEDS = {"imagefolder": "needs a folder"}  # of data sets that are not there
EPOCHS, BATCHES = 3, 20  # of a run, and of an epoch
RUNNING = "running"  # the name of the run that a worker trains


START = StartEvent(
    step=0, device="cpu", device_name="CPU", threads=2, ranks=1, parallel="data", precision="fp32",
    flops_per_image=2_000_000, peak_flops=2e10,
)  # fmt: skip


class Clock:
    """The time of day, which stands still unless a test sets it."""

    def __init__(self) -> None:
        self.now = NOW

    def time(self) -> float:
        """Return the time, as `time.time` does."""
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Fix what a picture could depend on: time, colours, presets, the machine, and which run has a worker."""
    clock = Clock()
    monkeypatch.setattr("alexplore.tui.widgets.preset_list.shipped_names", lambda: PRESETS)
    monkeypatch.setattr("alexplore.runs.status.is_locked", lambda run: run.name == RUNNING)
    monkeypatch.setattr("alexplore.tui.checks.cache_folder", lambda name: Path("/home/you/.cache/alexplore") / name)
    monkeypatch.setattr("alexplore.tui.checks.dataset_need", lambda name: NEEDS.get(name, "here"))
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=16 * 2**30))
    for module in ("tui.planned_run", "runs.estimate"):
        monkeypatch.setattr(f"alexplore.{module}.processors", lambda: 4)
        monkeypatch.setattr(f"alexplore.{module}.NVIDIA_DRIVER", Path("/nonexistent"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        patch.setattr(time, "time", clock.time)
        time.tzset()
        yield clock
    time.tzset()


@dataclass
class Stage:
    """An app, what presses its keys, and what writes runs into its folder as workers do."""

    app: ExploreApp
    pilot: Pilot[None]
    folder: Path
    clock: Clock

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other's effect."""
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()

    async def until(self, text: str) -> None:
        """Wait until the screen shows a text."""
        await until(self.pilot, lambda: text in screen_text(self.app), text)

    async def show_picture(self) -> None:
        """Show the picture of the network in a small terminal, too."""
        if self.app.size.height < HIGH:
            await self.press("v")

    async def watch(self, run: RunDirectory, text: str) -> None:
        """Watch a run in Train until the screen shows a text."""
        self.app.watch_run(run)
        await self.until(text)

    def write_run(
        self, name: str, state: str, steps: int, *, age: float, loss: float = 2.3, reason: str | None = None
    ) -> RunDirectory:
        """Write a run that trained some steps, one a second, and wrote its status `age` seconds ago."""
        self.clock.now = NOW - age - steps
        preset = load_preset("fmnist-28")
        run = create_run(
            RunConfig(preset.name, preset.network, replace(preset.recipe, epochs=EPOCHS)), self.folder, name
        )
        os.utime(run.config_file, (self.clock.now, self.clock.now))
        with LineWriter(run.metrics_file, attempt=0) as metrics, LineWriter(run.events_file, attempt=0) as events:
            events.append(**event_record(DatasetEvent("fashion-mnist", train=60_000, val=10_000, classes=10)))
            if steps:
                events.append(**event_record(START))
            for step in range(1, steps + 1):
                self.clock.now += 1
                now = loss / step**0.5 + 0.02 * (step % 3)
                values = {"train/loss": now, "train/acc": 1 - now / 4, "images_per_second": 3000.0 + step}
                metrics.append(**metrics_record(MetricsLine(step, step / BATCHES, values)))
                epoch, rest = divmod(step, BATCHES)
                if rest == 0:
                    validation = {"val/loss": 0.9 * now, "val/acc": 1 - now / 5}
                    metrics.append(**metrics_record(MetricsLine(step, epoch, validation)))
                    events.append(**event_record(EpochEvent(epoch, step, values | validation, seconds=float(step))))
        write_status(run, Status(state, step=steps, epoch=steps / BATCHES, updated=NOW - age, reason=reason))
        self.clock.now = NOW
        return run

    def running(self) -> RunDirectory:
        """Write the run that is being trained, according to the `clock` fixture."""
        return self.write_run(RUNNING, "running", 33, age=1.0, loss=2.6)


Play = Callable[[Stage], Awaitable[None]]
SCENES: dict[str, tuple[str, Play]] = {}
"""The preset that each scene opens with, and what is done until the screen is as it should be."""


def scene(preset: str = "paper") -> Callable[[Play], Play]:
    """Add a scene, called like the function that plays it."""

    def add(play: Play) -> Play:
        name = play.__name__.replace("_", "-")
        SCENES[name] = preset, play
        return play

    return add


# Explore


@scene()
async def explore(stage: Stage) -> None:
    await stage.press("down", "down", "down", "down")


@scene()
async def explore_edit(stage: Stage) -> None:
    await stage.press("enter")
    await type_into(stage.pilot, stage.app, "stride", "8")


@scene()
async def explore_edit_unreadable(stage: Stage) -> None:
    await stage.press("enter")
    await type_into(stage.pilot, stage.app, "stride", "abc")


@scene()
async def explore_input(stage: Stage) -> None:
    await stage.press("i")


@scene()
async def explore_broken(stage: Stage) -> None:
    await stage.press("enter")
    await type_into(stage.pilot, stage.app, "stride", "99")
    await stage.press("enter")


@scene("fmnist-28")
async def explore_one_tower(stage: Stage) -> None:
    await stage.show_picture()


BRANCHES = {
    "input": [3, 32, 32],
    "layers": [
        {"name": "conv1", "type": "conv2d", "out_channels": 16, "kernel_size": 3, "padding": 1},
        {"name": "conv2a", "type": "conv2d", "out_channels": 16, "kernel_size": 1},
        {"name": "conv2b", "type": "conv2d", "inputs": ["conv1"], "out_channels": 32, "kernel_size": 3, "padding": 1},
        {"name": "mixed", "type": "concat", "inputs": ["conv2a", "conv2b"]},
        {"name": "pool", "type": "adaptive_avg_pool2d", "output_size": 1},
        {"name": "flatten", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 10},
    ],
}


@scene()
async def explore_branches(stage: Stage) -> None:
    stage.app.post_message(OpenRequested(Preset("branches", read_network(BRANCHES))))
    await stage.until("conv2b")
    await stage.press("down", "down")
    await stage.show_picture()


@scene()
async def comparison(stage: Stage) -> None:
    await stage.press("d")
    options = stage.app.screen.query_one(OptionList)
    options.highlighted = options.get_option_index("torchvision")
    await stage.press("enter")


@scene()
async def source(stage: Stage) -> None:
    await stage.press("o")


@scene()
async def totals(stage: Stage) -> None:
    await stage.press("m")


@scene()
async def help_explore(stage: Stage) -> None:
    await stage.press("question_mark")


# Dialogs over Explore


@scene()
async def dialog_compare(stage: Stage) -> None:
    await stage.press("d")


@scene()
async def dialog_add(stage: Stage) -> None:
    await stage.press("a")


@scene()
async def dialog_save(stage: Stage) -> None:
    await stage.press("s")


@scene()
async def dialog_quit(stage: Stage) -> None:
    await stage.press("x", "q")


# Train


@scene("fmnist-28")
async def train_form(stage: Stage) -> None:
    await stage.press("2")
    await stage.until("an epoch")


@scene("fmnist-28")
async def train_form_edited(stage: Stage) -> None:
    await stage.press("2")
    await stage.until("an epoch")
    await stage.press(
        "down", "enter", *"3", "enter", "slash", *"random", "enter", "right", "down", "enter", *"-1", "enter"
    )
    await stage.until("✗ crop_padding")


@scene()
async def train_form_refused(stage: Stage) -> None:
    await stage.press("2")
    await stage.until("choose a folder")
    await stage.press("f5")
    await stage.until("Not started")


@scene()
async def train_form_fixable(stage: Stage) -> None:
    await stage.press("2")
    await stage.until("choose a folder")
    await stage.press("right", "right", "tab")
    await stage.until("f: set input to 1×227×227")


@scene()
async def train_running(stage: Stage) -> None:
    await stage.watch(stage.running(), "epoch 1/3")


@scene()
async def train_log_scale(stage: Stage) -> None:
    await stage.watch(stage.write_run("finished", "finished", 60, age=500.0), "epoch 3/3")
    await stage.press("l", "w")


@scene()
async def train_finished(stage: Stage) -> None:
    await stage.watch(stage.write_run("finished", "finished", 60, age=500.0), "epoch 3/3")


@scene()
async def train_failed(stage: Stage) -> None:
    run = stage.write_run("failed", "failed", 0, age=500.0, reason="no such device: cuda")
    run.console_file.write_text("Traceback (most recent call last):\nRuntimeError: no such device: cuda\n")
    await stage.watch(run, "RuntimeError")


@scene()
async def train_unreadable(stage: Stage) -> None:
    run = stage.write_run("damaged", "finished", 0, age=500.0)
    stage.app.state.runs_folder = Path("runs")
    await stage.watch(RunDirectory(Path("nowhere") / run.name), "nowhere")


@scene()
async def help_train(stage: Stage) -> None:
    await stage.watch(stage.write_run("finished", "finished", 60, age=500.0), "epoch 3/3")
    await stage.press("question_mark")


# Runs


@scene()
async def runs_none(stage: Stage) -> None:
    await stage.press("3")
    await stage.until("No runs yet")


async def list_runs(stage: Stage) -> None:
    """Show a list with runs in several states."""
    stage.write_run("finished", "finished", 60, age=500.0)
    stage.write_run("worse", "finished", 40, age=400.0, loss=3.0)
    stage.write_run("failed", "failed", 0, age=200.0, reason="no such device: cuda")
    stage.write_run("crashed", "running", 15, age=100.0)
    stage.running()
    await stage.press("3")
    await stage.until("crashed")


@scene()
async def runs(stage: Stage) -> None:
    await list_runs(stage)


@scene()
async def runs_marked(stage: Stage) -> None:
    await list_runs(stage)
    await stage.press("space", "down", "space", "down", "down", "space", "down", "space")
    await stage.until("crashed · no epoch yet")


@scene()
async def runs_filtered(stage: Stage) -> None:
    await list_runs(stage)
    await stage.press("slash", *"ish")


@scene()
async def dialog_delete(stage: Stage) -> None:
    await list_runs(stage)
    await stage.press("down", "delete")


@scene()
async def help_runs(stage: Stage) -> None:
    await list_runs(stage)
    await stage.press("question_mark")


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
@pytest.mark.parametrize("name", SCENES)
async def test_screen(
    name: str, size: tuple[int, int], open_app: OpenApp, golden: Golden, clock: Clock, tmp_path: Path
) -> None:
    preset, play = SCENES[name]
    async with open_app(preset, size=size) as (app, pilot):
        stage = Stage(app, pilot, tmp_path / "runs", clock)
        await play(stage)
        for blinking in app.screen.query(Input):
            blinking.cursor_blink = False
        await pilot.pause()
        picture = screen_svg(app)
    golden(f"screens/{name}.{size[0]}x{size[1]}.svg", picture)
