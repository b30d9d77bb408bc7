"""What every screen looks like, at both sizes that it is designed for: SVG pictures in `tests/golden/screens`.

`pytest --update-golden` writes them anew; look at the pictures that changed in a browser.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from alexplore.core.picture import Picture
from alexplore.network.graph import read_network
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.runs.directory import RunDirectory
from alexplore.runs.foreign import find_log
from alexplore.runs.inside import Quantised
from alexplore.runs.look import Look
from alexplore.runs.predictions import Prediction
from alexplore.tui import screens
from alexplore.tui.app import HIGH, ExploreApp
from alexplore.tui.commands import Palette
from alexplore.tui.inside_state import VIEWS
from alexplore.tui.messages import OpenRequested
from alexplore.tui.screens.browse import Browse, PathInput
from alexplore.tui.screens.comparison import ComparisonScreen
from alexplore.tui.screens.dialogs import Ask, Choose, Confirm, Dialog
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.foreign import ForeignScreen
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.screens.help import HelpScreen
from alexplore.tui.screens.inside import InsideScreen
from alexplore.tui.screens.jump import JumpScreen
from alexplore.tui.screens.look import LookScreen
from alexplore.tui.screens.plan import PlanScreen
from alexplore.tui.screens.predict import Finished, Predicted, PredictScreen
from alexplore.tui.screens.preset_dialogs import ChoosePreset
from alexplore.tui.screens.report import EvaluationScreen, ReportScreen, evaluated
from alexplore.tui.screens.runs import RunsScreen
from alexplore.tui.screens.themes import ThemeScreen
from alexplore.tui.screens.watch import WatchScreen
from alexplore.tui.screens.welcome import Welcome
from docs.demo_runs import Clock, DemoRuns, one_machine, still_clock
from docs.screen_svg import settled_svg
from tests.runs.test_evaluation import EVALUATION
from tests.support.golden import Golden, read_golden, update_golden
from tests.support.screens import screen_text, type_into, until
from tests.support.waiting import PATIENCE
from tests.tui.conftest import OpenApp

pytestmark = pytest.mark.usefixtures("heavy")  # each is quick, but there are many: half a minute together

SIZES = [(80, 24), (120, 40)]
NEEDS = {"fashion-mnist": "here", "imagefolder": "needs a folder"}  # wherever the pictures are made
PRESETS = ("fmnist-28", "paper", "torchvision")  # that are listed, whatever else is shipped


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Fix what a picture could depend on: time, colours, presets, the machine, and which run has a worker."""
    monkeypatch.setattr("alexplore.tui.preset_catalog.shipped_names", lambda: PRESETS)
    monkeypatch.setattr("alexplore.tui.hardware.hardware_text", lambda: "Python 3.14 · 4 cores · 8 GiB free · no GPU")
    monkeypatch.setattr("alexplore.runs.data.dataset_shapes.dataset_need", lambda name: NEEDS.get(name, "to fetch"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    with still_clock() as clock, one_machine():
        yield clock


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

    @property
    def runs(self) -> DemoRuns:
        """What writes runs into the app's folder."""
        return DemoRuns(self.folder, self.clock)


Play = Callable[[Stage], Awaitable[None]]
SCENES: dict[str, tuple[str, Play]] = {}
"""The preset that each scene opens with, and what is done until the screen is as it should be."""


MARKS: dict[str, pytest.MarkDecorator] = {}
"""Scenes that are too many for every run of the tests."""


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
    await stage.press("I")


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
    await stage.press("d", "slash", *"torchv", "enter")
    await stage.until("paper and torchvision")


@scene()
async def comparison_of_marked(stage: Stage) -> None:
    await stage.press("p", "down", "space", "down", "space", "d")
    await stage.until("1 of 2")


@scene()
async def explore_presets(stage: Stage) -> None:
    await stage.press("p", "down")


@scene()
async def explore_kept(stage: Stage) -> None:
    await explore_edit(stage)
    await stage.press("enter")
    await stage.until("against paper")


@scene()
async def explore_type(stage: Stage) -> None:
    await stage.press("down", "down", "down", "enter")
    await type_into(stage.pilot, stage.app, "type", "avg_pool2d")


@scene()
async def explore_arithmetic(stage: Stage) -> None:
    await stage.press("right_square_bracket", "right_square_bracket")


@scene()
async def source(stage: Stage) -> None:
    await stage.press("o")


@scene()
async def totals(stage: Stage) -> None:
    await stage.press("m")


@scene()
async def help_explore(stage: Stage) -> None:
    await stage.press("question_mark")


# What leads newcomers


@scene()
async def welcome(stage: Stage) -> None:
    stage.app.state.runs_folder = Path("runs")
    await stage.app.run_action("welcome")
    await stage.until("4 cores")


@scene("torchvision")
async def tour(stage: Stage) -> None:
    await stage.app.run_action("tour")
    await stage.until("Tour 1 of 6")
    await stage.press("right", "right")


@scene()
async def lesson(stage: Stage) -> None:
    await stage.app.run_action("lesson('one-convolution')")
    await stage.until("1 of 5")
    await stage.press("enter", *"34848", "enter")
    await stage.until("weights alone")


@scene()
async def themes(stage: Stage) -> None:
    await stage.app.run_action("change_theme")
    await stage.until("Themes")


@scene()
async def help_filtered(stage: Stage) -> None:
    await stage.press("question_mark", "slash", *"undo")


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
    await stage.until("✗ setting")  # of the checks, which follow


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
    await stage.watch(stage.runs.running(), "epoch 1/3")


@scene()
async def train_log_scale(stage: Stage) -> None:
    await stage.watch(stage.runs.write("finished", "finished", 60, age=500.0), "epoch 3/3")
    await stage.press("l", "w")


@scene()
async def train_finished(stage: Stage) -> None:
    await stage.watch(stage.runs.write("finished", "finished", 60, age=500.0), "epoch 3/3")


@scene()
async def train_failed(stage: Stage) -> None:
    run = stage.runs.write("failed", "failed", 0, age=500.0, reason="no such device: cuda")
    run.console_file.write_text("Traceback (most recent call last):\nRuntimeError: no such device: cuda\n")
    await stage.watch(run, "no such device: cuda")
    await stage.press("C")
    await stage.until("RuntimeError")


@scene()
async def train_unreadable(stage: Stage) -> None:
    run = stage.runs.write("damaged", "finished", 0, age=500.0)
    stage.app.state.runs_folder = Path("runs")
    await stage.watch(RunDirectory(Path("nowhere") / run.name), "nowhere")


@scene()
async def inside_layers(stage: Stage) -> None:
    await stage.watch(stage.runs.write("finished", "finished", 60, age=500.0), "epoch 3/3")
    await stage.press("v")
    await stage.until("epoch 3 · newest")
    await stage.until("mean")


async def show_view(stage: Stage, turns: int, text: str) -> None:
    """Show a view of Inside at the second epoch until the screen shows a text."""
    await inside_layers(stage)
    await stage.press("left")
    await stage.until("epoch 2 · val/loss")
    await stage.press(*["v"] * turns)
    await stage.until(text)


@scene()
async def inside_kernels(stage: Stage) -> None:
    await show_view(stage, 1, "kernels of 1×5×5")


@scene()
async def inside_maps(stage: Stage) -> None:
    await show_view(stage, 2, "maps of 28×28")


@scene()
async def inside_unit(stage: Stage) -> None:
    await show_view(stage, 2, "maps of 28×28")
    await stage.press("down", "down", "down", "u", "m", "up")
    await stage.until("sees rows")


@scene()
async def inside_confusion(stage: Stage) -> None:
    await show_view(stage, 3, "8 of 106")


@scene()
async def inside_mistakes(stage: Stage) -> None:
    await show_view(stage, 4, "truth Shirt")


MARKS |= dict.fromkeys((f"inside-{view}" for view in (*VIEWS[1:], "unit")), pytest.mark.exhaustive)


GREY = Picture(28, 28, 1, bytes(9 * row for row in range(28) for _ in range(28)))
CLASSES = (("Shirt", 0.75), ("Coat", 0.125), ("Pullover", 0.0625))


@scene()
async def look(stage: Stage) -> None:
    codes = np.arange(16 * 7 * 7, dtype=np.uint8).reshape(16, 7, 7)
    maps = Quantised(codes, np.zeros(16, np.float32), np.ones(16, np.float32))
    network = load_preset("fmnist-28").network
    stage.app.push_screen(LookScreen(Look("mine.png", GREY, CLASSES, None, network.layers[0].name, maps), network))
    await stage.until("Shirt")


@scene()
async def predict(stage: Stage) -> None:
    await stage.app.push_screen(PredictScreen(stage.runs.write("finished", "finished", 60, age=500.0)))
    await stage.until("An image to classify")
    await stage.press("escape")
    for name in ("mine.png", "other.png"):
        stage.app.screen.post_message(Predicted(Prediction(name, CLASSES, picture=GREY), 0))
    stage.app.screen.post_message(Finished("", 0))
    await stage.until("2 images classified")


@scene()
async def evaluation(stage: Stage) -> None:
    stage.app.push_screen(evaluated("finished", EVALUATION))
    await stage.until("Evaluation of finished")


@scene()
async def browse(stage: Stage) -> None:
    for name in ("cats/1.png", "dogs/1.png", "mine.png", "notes.txt"):
        path = Path("~/pictures", name).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    stage.app.push_screen(Browse("An image to classify", "/", frozenset({".png"})))
    await stage.until("An image to classify")
    stage.app.screen.query_one(PathInput).value = "~/pictures/"
    await stage.until("mine.png")


@scene()
async def foreign(stage: Stage) -> None:
    path = stage.folder.with_name("log") / "metrics.csv"
    path.parent.mkdir()
    path.write_text("step,acc,loss\n1,0.5,2\n2,0.75,1\n3,0.875,0.5\n")
    log = find_log(path.parent)
    assert log is not None
    stage.app.push_screen(ForeignScreen(log))
    await stage.until("0.875")


@scene()
async def jump(stage: Stage) -> None:
    await stage.press("ctrl+o")
    await until(stage.pilot, lambda: isinstance(stage.app.screen, JumpScreen), "the letters")


@scene()
async def palette(stage: Stage) -> None:
    await stage.press("ctrl+p", *"compare")
    await until(stage.pilot, lambda: isinstance(stage.app.screen, Palette), "the palette")


@scene()
async def help_train(stage: Stage) -> None:
    await stage.watch(stage.runs.write("finished", "finished", 60, age=500.0), "epoch 3/3")
    await stage.press("question_mark")


# Runs


@scene()
async def runs_none(stage: Stage) -> None:
    await stage.press("3")
    await stage.until("No runs yet")


async def list_runs(stage: Stage) -> None:
    """Show a list with runs in several states; the folder of runs is named as one at home."""
    stage.runs.several()
    await stage.press("3")
    await stage.until("crashed")
    await stage.until("KiB")  # of the selected run's folder, which is looked at last


@scene()
async def runs(stage: Stage) -> None:
    await list_runs(stage)


@scene()
async def runs_marked(stage: Stage) -> None:
    await list_runs(stage)
    await stage.press("space", "down", "space", "down", "down", "space", "down", "space")
    await stage.until("crashed · no epoch yet")
    await stage.until("of the 4 marked")


@scene()
async def runs_filtered(stage: Stage) -> None:
    await list_runs(stage)
    await stage.press("slash", *"ish")


@scene()
async def runs_grouped_by_speed(stage: Stage) -> None:
    await list_runs(stage)
    await stage.press("p", "o", "o")


@scene()
async def runs_read(stage: Stage) -> None:
    await list_runs(stage)
    await stage.press("space", "down", "space", "m")
    await stage.until("validation loss")
    await stage.press("tab", "left", "left", "plus")


@scene()
async def dialog_delete(stage: Stage) -> None:
    await list_runs(stage)
    await stage.press("down")
    await stage.until("r resumes")  # of the selected run's details, which are read after a moment
    await stage.press("delete")


@scene()
async def help_runs(stage: Stage) -> None:
    await list_runs(stage)
    await stage.press("question_mark")


SHOWN: dict[type[Screen[Any]], str] = {
    ExploreScreen: "explore",
    ComparisonScreen: "comparison",
    PlanScreen: "train-form",
    WatchScreen: "train-running",
    InsideScreen: "inside-layers",
    LookScreen: "look",
    PredictScreen: "predict",
    EvaluationScreen: "evaluation",
    RunsScreen: "runs",
    ForeignScreen: "foreign",
    ReportScreen: "totals",
    HelpScreen: "help-explore",
    JumpScreen: "jump",
    Palette: "palette",
    Welcome: "welcome",
    ThemeScreen: "themes",
    Browse: "browse",
    ChoosePreset: "dialog-compare",
    Choose: "dialog-add",
    Ask: "dialog-save",
    Confirm: "dialog-delete",
}
"""A scene that shows each screen."""

BASES = (FrameScreen, Dialog)


def subclasses(cls: type[Any]) -> set[type[Any]]:
    return {cls, *(below for one in cls.__subclasses__() for below in subclasses(one))}


def test_every_screen_has_a_scene() -> None:
    for module in pkgutil.iter_modules(screens.__path__, "alexplore.tui.screens."):
        importlib.import_module(module.name)
    ours = {cls for cls in subclasses(Screen) if cls.__module__.startswith("alexplore.")}
    assert ours == {*SHOWN, *BASES}
    assert set(SHOWN.values()) <= set(SCENES)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, ())) for name in SCENES])
async def test_screen(
    name: str,
    size: tuple[int, int],
    open_app: OpenApp,
    golden: Golden,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # so that paths are shown as ~/…
    preset, play = SCENES[name]
    async with open_app(preset, size=size) as (app, pilot):
        stage = Stage(app, pilot, tmp_path / "runs", clock)
        await until(pilot, lambda: app.explore.presets_read, "the sizes of the presets")
        await play(stage)
        path = f"screens/{name}.{size[0]}x{size[1]}.svg"
        expected = "" if golden is update_golden else read_golden(path)
        seconds = 2.0 if golden is update_golden else PATIENCE
        picture = await settled_svg(app, pilot, expected=expected, seconds=seconds)
        assert all(isinstance(app.screen, screen) for screen, shown in SHOWN.items() if shown == name)
    golden(path, picture)
