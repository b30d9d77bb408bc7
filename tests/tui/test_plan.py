"""Train, before it starts: the form, the checks beside it, and starting."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from textual.pilot import Pilot

from alexplore.core.formatting import age_text
from alexplore.presets.library import load_preset
from alexplore.runs import estimate, service
from alexplore.runs.accelerators import Accelerators, device_problems
from alexplore.runs.config import RunConfig
from alexplore.runs.data.image_layout import LAYOUT
from alexplore.runs.directory import RunDirectory, RunError, list_runs
from alexplore.runs.preflight import Problem
from alexplore.runs.status import Status
from alexplore.tui import checks
from alexplore.tui.app import ExploreApp
from alexplore.tui.screens import plan
from alexplore.tui.screens.browse import Browse
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.plan import PlanScreen
from alexplore.tui.screens.runs import RunsScreen
from alexplore.tui.screens.watch import WatchScreen
from alexplore.tui.widgets.check_list import CheckList
from alexplore.tui.widgets.setting_list import SettingList
from alexplore.tui.widgets.setting_pane import SettingPane
from alexplore.tui.widgets.start_button import StartButton
from alexplore.tui.widgets.status_line import StatusLine
from tests.support.runs import finished_run
from tests.support.screens import screen_text, until
from tests.support.waiting import PATIENCE
from tests.tui.conftest import NoMeasurement, OpenApp


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[RunDirectory]:
    """Return the runs that were started; none gets a worker."""
    runs: list[RunDirectory] = []
    monkeypatch.setattr(service, "start", lambda run, waiting=None: runs.append(run))
    return runs


async def show_form(app: ExploreApp, pilot: Pilot[None], key: str = "t") -> None:
    """Go to the form, and wait until it was checked."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the form")
    await until(pilot, lambda: app.state.planned.result.checks, "the checks")
    await pilot.pause()


async def put(app: ExploreApp, pilot: Pilot[None], name: str, text: str) -> None:
    """Type another value for a setting."""
    app.screen.query_one(SettingPane).select(name)
    app.screen.query_one(SettingPane).focus()
    app.screen.query_one(SettingPane).list._edit()
    await pilot.press(*(text or ["ctrl+u"]), "enter")


def pane_lines(app: ExploreApp, selector: str) -> str:
    """Return what a pane shows."""
    region = app.screen.query_one(selector).region
    lines = screen_text(app).splitlines()[region.y : region.bottom]
    return "\n".join(line[region.x : region.right] for line in lines)


def flat(text: str) -> str:
    """Return a text with its lines joined."""
    return re.sub(r"[│╭╰─╮╯┃▁-█\s]+", " ", text)


def status(app: ExploreApp) -> str:
    return app.screen.query_one(StatusLine).message


async def test_enter_never_starts_and_the_keys_of_the_screens_work(
    open_app: OpenApp, tiny_preset: Path, tmp_path: Path, started: list[RunDirectory]
) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot, "2")
        await pilot.press("enter", "enter", "down", "enter", "7", "enter", "tab", "enter", "tab")
        await pilot.press("question_mark")
        await until(pilot, lambda: app.screen.is_modal, "the help")
        await pilot.press("escape", "home", "3")
        await until(pilot, lambda: not isinstance(app.screen, PlanScreen), "Runs")
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the form again")
        assert app.state.planned.form.field("epochs").text == "7"
        await pilot.press("home", "1")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore")
        assert started == []
        assert list_runs(tmp_path / "runs") == []


async def test_the_keys_that_are_shown_are_those_that_work_on_a_number(open_app: OpenApp, tiny_preset: Path) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        app.screen.query_one(SettingList).select("dataset")
        await until(pilot, lambda: " 3 runs" in screen_text(app), "the keys on a choice")
        app.screen.query_one(SettingList).select("epochs")
        await until(pilot, lambda: "alt+3 runs" in screen_text(app), "the keys on a number")
        await pilot.press("alt+3")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "Runs")


@pytest.mark.parametrize("way", ["f5", "ctrl+s", "click"])
async def test_the_ways_to_start(
    open_app: OpenApp, tiny_preset: Path, tmp_path: Path, started: list[RunDirectory], way: str
) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        if way == "click":
            await pilot.click(StartButton, offset=(8, 1))
        else:
            await pilot.press(way, way)  # the second changes nothing
        await until(pilot, lambda: started, "a run")
        assert [run.name for run in list_runs(tmp_path / "runs")] == ["tiny-1"]


async def test_what_is_being_typed_is_part_of_the_run(
    open_app: OpenApp, tiny_preset: Path, started: list[RunDirectory]
) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await pilot.press("down", "enter", "9", "f5")
        await until(pilot, lambda: started, "a run")
        assert started[0].config().recipe.epochs == 9


async def test_what_is_being_typed_and_not_allowed_is_refused(
    open_app: OpenApp, tiny_preset: Path, tmp_path: Path, started: list[RunDirectory]
) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await pilot.press("down", "enter", "0", "f5")
        await until(pilot, lambda: "✗ epochs: found 0, allowed: an integer ≥ 1" in screen_text(app), "the refusal")
        assert list_runs(tmp_path / "runs") == started == []


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40), (200, 60)])
async def test_a_run_that_can_not_be_trained_is_refused_at_its_setting(
    open_app: OpenApp, tmp_path: Path, started: list[RunDirectory], size: tuple[int, int]
) -> None:
    """The paper's recipe needs a folder of images. No run is created."""
    async with open_app(size=size) as (app, pilot):
        await show_form(app, pilot, "2")
        words = f"an image folder has to be named: --data DIR, with {LAYOUT}"
        assert words in flat(pane_lines(app, "#checks"))
        await pilot.press("enter", "escape", "f5")
        await until(pilot, lambda: f"Not started: {words}" == status(app), "the reason")
        assert app.screen.query_one(SettingPane).list.field is app.state.planned.form.field("folder")
        assert "folder" in pane_lines(app, "#recipe")
        assert list_runs(tmp_path / "runs") == started == []


async def test_a_folder_is_browsed_for_and_ends_the_refusal(
    open_app: OpenApp, tiny_preset: Path, tmp_path: Path, started: list[RunDirectory]
) -> None:
    for part in ("train", "val"):
        for name in range(10):
            (tmp_path / "images" / part / f"class {name}").mkdir(parents=True)
            (tmp_path / "images" / part / f"class {name}" / "1.jpg").touch()
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await put(app, pilot, "dataset", "imagefolder")
        await pilot.press("f5")
        await until(pilot, lambda: "Not started" in status(app), "the refusal")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Browse), "the browser")
        await pilot.press("slash", "ctrl+u", *f"{tmp_path}/im", "tab")
        await until(pilot, lambda: "train/ and val/ with 10 classes" in screen_text(app), "what it holds")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the form")
        await until(pilot, lambda: not app.state.planned.result.wrong, "no problem")
        assert "10 classes" in flat(pane_lines(app, "#checks"))
        assert "10 classes" in pane_lines(app, "#recipe")  # the setting has the cursor
        await pilot.press("f5")
        await until(pilot, lambda: started, "a run")
        assert started[0].config().data.folder == str(tmp_path / "images")


async def test_the_weights_of_a_run_or_a_file_are_chosen(
    open_app: OpenApp, tiny_preset: Path, tmp_path: Path, config: RunConfig
) -> None:
    for name in ("alpha", "beta"):
        run = finished_run(config, tmp_path / "runs", name, 0.75)
        if name == "alpha":
            (run.checkpoints_folder / "best").mkdir(parents=True)
    weights = tmp_path / "old" / "net.pth"
    weights.parent.mkdir()
    weights.touch()
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        field = app.state.planned.form.field("weights")
        app.screen.query_one(SettingPane).select("weights")
        await pilot.press("enter")
        await until(pilot, lambda: "75.0%" in screen_text(app), "the runs")
        assert "beta" not in screen_text(app)  # it has no weights
        await pilot.press("down", "enter")
        await until(pilot, lambda: field.text == "alpha", "the name of the run")
        await pilot.press("enter")
        await until(pilot, lambda: "a file…" in screen_text(app), "the runs")
        await pilot.press("home", "enter")
        await until(pilot, lambda: isinstance(app.screen, Browse), "the browser")
        await pilot.press("slash", *str(weights.parent), "enter", "down", "down", "enter")
        await until(pilot, lambda: field.text == str(weights), "the path of the file")


async def test_problems_are_fixed_by_a_key_and_the_network_in_explore_is_not_edited(
    open_app: OpenApp, started: list[RunDirectory]
) -> None:
    async with open_app() as (app, pilot):
        await show_form(app, pilot)
        await put(app, pilot, "dataset", "fashion-mnist")
        await until(pilot, lambda: len(app.state.planned.result.wrong) == 3, "three problems")
        assert "f: set input to 1×227×227" in flat(pane_lines(app, "#checks"))
        for left in (2, 1, 0):
            await pilot.press("f")
            await until(pilot, lambda left=left: len(app.state.planned.result.wrong) == left, "a fix")  # type: ignore[misc]
        await pilot.press("f5")
        await until(pilot, lambda: started, "a run")
        assert (started[0].config().network.input, started[0].config().network.classes) == ((1, 227, 227), 10)
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore")
        assert app.state.session.network == load_preset("paper").network
        assert "as opened" in screen_text(app)


async def test_the_fix_of_the_check_under_the_cursor(open_app: OpenApp, tiny_preset: Path) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await put(app, pilot, "parallel", "towers")
        await put(app, pilot, "dataset", "cifar10")
        await until(pilot, lambda: len(app.state.planned.result.wrong) == 2, "two problems")
        first, second = app.state.planned.result.wrong
        await pilot.press("tab", "down")
        assert app.screen.query_one(CheckList).check == second
        await pilot.press("f")
        await until(pilot, lambda: app.state.planned.result.wrong == (first,), "one less")
        await pilot.press("escape", "up")
        assert app.screen.focused is app.screen.query_one(SettingPane).list


async def test_t_sets_up_the_network_in_explore_also_while_a_run_is_watched(
    open_app: OpenApp, config: RunConfig, tiny_preset: Path, tmp_path: Path, started: list[RunDirectory]
) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app(str(tiny_preset)) as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: isinstance(app.screen, WatchScreen), "the run")
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore")
        app.state.session.apply(app.state.session.network.duplicate(0))
        await show_form(app, pilot, "t")
        assert "Recipe of tiny (edited)" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "the way back")
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, WatchScreen), "the run that is watched")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the form from there")
        await pilot.press("f5")
        await until(pilot, lambda: started, "another run")
        assert len(started[0].config().network.layers) == 6


async def test_what_is_set_for_a_run_is_no_edit_of_the_preset(
    open_app: OpenApp, tiny_preset: Path, started: list[RunDirectory]
) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await put(app, pilot, "epochs", "3")
        assert "(edited)" not in screen_text(app)
        await pilot.press("f5")
        await until(pilot, lambda: started, "a run")
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore")
        assert "as opened" in screen_text(app)
        assert not app.state.session.modified
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the form again")
        assert "(edited)" not in screen_text(app)
        assert app.state.planned.config().recipe.epochs == 3
        await pilot.press("escape", "q")
        await until(pilot, lambda: not app.is_running, "the end, without a request")


async def test_the_memory_is_of_the_network_that_is_shown(open_app: OpenApp, tiny_preset: Path) -> None:
    """At the first opening, and after another preset was opened."""

    def memory(app: ExploreApp) -> str:
        return next(check.text for check in app.state.planned.result.checks if check.title == "memory")

    async with open_app("torchvision") as (app, pilot):
        await show_form(app, pilot)
        large = memory(app)
        assert large in flat(pane_lines(app, "#checks"))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore")
        app.explore.open_named(str(tiny_preset))
        await until(pilot, lambda: app.state.session.preset.name == "tiny", "the tiny network")
        await show_form(app, pilot)
        assert memory(app) != large
        await until(pilot, lambda: memory(app) in flat(pane_lines(app, "#checks")), "its own memory")
        assert f" {large.split(' of ')[0]} " not in flat(pane_lines(app, "#checks"))  # "21.9 GiB" may be free


async def test_the_time_is_that_of_an_earlier_run_of_the_same_network(
    open_app: OpenApp, config: RunConfig, tiny_preset: Path, tmp_path: Path
) -> None:
    """The earlier run trained 100 images a second; 10,000 are drawn to train on, and 2,000 to validate."""
    network = load_preset(str(tiny_preset)).network
    same = replace(config, network=network, hardware=replace(config.hardware, device="auto"))
    finished_run(same, tmp_path / "runs", "earlier", 0.75)
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        assert "about 2 min an epoch, 4 min in all (as fast as earlier)" in flat(pane_lines(app, "#checks"))


async def test_the_changes_are_listed_and_reset(open_app: OpenApp, tiny_preset: Path) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await put(app, pilot, "epochs", "3")
        await put(app, pilot, "seed", "5")
        changes = ("epochs 2 → 3", "seed 0 → 5")
        await until(pilot, lambda: all(change in pane_lines(app, "#checks") for change in changes), "the changes")
        await pilot.press("backspace")
        await until(pilot, lambda: "seed" not in pane_lines(app, "#checks"), "one less")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "≠" not in pane_lines(app, "#checks"), "none")
        assert app.state.planned.form.field("epochs").text == "2"


async def test_settings_come_and_go_with_the_schedule(open_app: OpenApp, tiny_preset: Path) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await put(app, pilot, "schedule", "plateau")
        await pilot.press("slash", *"patience", "enter")
        assert "patience" in pane_lines(app, "#recipe")
        await put(app, pilot, "schedule", "constant")
        assert "patience" not in pane_lines(app, "#recipe")


async def test_an_emptied_setting_is_not_its_default(open_app: OpenApp, tiny_preset: Path) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await pilot.press("down", "enter", "backspace")
        await until(pilot, lambda: app.state.planned.result.wrong, "the refusal")
        assert "epochs: found nothing, allowed: an integer ≥ 1" in flat(pane_lines(app, "#checks"))
        await pilot.press("escape")
        await until(pilot, lambda: not app.state.planned.result.wrong, "the value from before")


async def test_the_help_lists_the_keys_of_the_form(open_app: OpenApp, tiny_preset: Path) -> None:
    async with open_app(str(tiny_preset), size=(120, 60)) as (app, pilot):
        await show_form(app, pilot)
        await pilot.press("f1")
        await until(pilot, lambda: app.screen.is_modal, "the help")
        text = screen_text(app)
        for key in ("⏎      edit", "↓ j    down", "→      value", "/      find", "esc    leave", "f5 ^s start"):
            assert key in text, key


@pytest.mark.parametrize("key", ["f1", "ctrl+p"])
async def test_the_form_stays_when_a_dialog_over_it_closes(open_app: OpenApp, tiny_preset: Path, key: str) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await put(app, pilot, "seed", "77")
        await pilot.press(key)
        await until(pilot, lambda: app.screen.is_modal, "the dialog")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the screen below")
        await pilot.pause()
        pane = app.screen.query_one(SettingPane)
        assert (pane.list.has_focus, pane.list.field, pane.list.field and pane.list.field.text) == (
            True,
            app.state.planned.form.field("seed"),
            "77",
        )


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40), (200, 60)])
async def test_no_name_or_value_is_cut(open_app: OpenApp, size: tuple[int, int]) -> None:
    """Every setting and its value can be read whole at every size."""
    async with open_app(size=size) as (app, pilot):
        await show_form(app, pilot)
        form = app.state.planned.form
        for field in form.fields:
            if not form.is_used(field):
                continue
            app.screen.query_one(SettingPane).select(field.name)
            await pilot.pause()
            (line,) = [
                line
                for line in pane_lines(app, "#recipe").splitlines()
                if re.search(rf"^\W+{re.escape(field.title)}  ", line)
            ]
            assert (field.text or "not set") in line


async def test_a_name_that_is_taken_is_said_at_once(open_app: OpenApp, tiny_preset: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await put(app, pilot, "name", "mine")
        await until(pilot, lambda: "exists; choose another --name" in flat(pane_lines(app, "#checks")), "the refusal")
        await until(pilot, lambda: app.screen.query_one(StartButton).reason, "the dim button")


async def test_the_check_of_a_text_that_was_replaced_is_not_shown(
    open_app: OpenApp, tiny_preset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        screen = app.screen
        assert isinstance(screen, PlanScreen)
        request = app.state.planned.request()
        assert request is not None
        from alexplore.tui.screens.plan import Checked

        wrong = checks.CheckResult((checks.Check("wrong", "late", "of an earlier text", "epochs"),))
        screen.post_message(Checked(request, wrong))
        await pilot.pause()
        assert "of an earlier text" not in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_moving_in_the_form_lays_nothing_out(
    open_app: OpenApp, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app(size=size) as (app, pilot):
        await show_form(app, pilot)
        await pilot.pause(0.3)
        layouts = []
        monkeypatch.setattr(type(app.screen), "_refresh_layout", lambda *_, **__: layouts.append(1))
        await pilot.press("down", "down", "up")
        await pilot.pause()
        assert layouts == []


class ScriptedMeasurement(NoMeasurement):
    """Measures 1,000 images a second, then 2,000 when it may go on; `stop` ends it."""

    made: ClassVar[list[ScriptedMeasurement]] = []

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.go_on, self.stopped = threading.Event(), threading.Event()
        self.made.append(self)

    def __iter__(self) -> Iterator[float]:
        """Yield a number, then another one if it was not stopped."""
        yield 1000.0
        self.go_on.wait(PATIENCE)
        if not self.stopped.is_set():
            yield 2000.0

    def stop(self) -> None:
        """End the measurement."""
        self.stopped.set()
        self.go_on.set()


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedMeasurement]:
    """Return the measurements that the form starts."""
    monkeypatch.setattr(ScriptedMeasurement, "made", [])
    monkeypatch.setattr(plan, "SpeedMeasurement", ScriptedMeasurement)
    monkeypatch.setattr(estimate, "has_nvidia_driver", lambda: False)
    return ScriptedMeasurement.made


async def test_the_time_is_measured_when_asked_for_and_shown_as_it_comes(
    open_app: OpenApp, measurements: list[ScriptedMeasurement], started: list[RunDirectory]
) -> None:
    async with open_app("fmnist-28") as (app, pilot):
        await show_form(app, pilot)
        assert "a guess: m measures it" in flat(pane_lines(app, "#checks"))
        assert measurements == []
        await pilot.press("m")
        images = 60_000 + 10_000 / 3
        first, second = (age_text(images / speed) for speed in (1000, 2000))
        await until(pilot, lambda: f"about {first} an epoch" in flat(pane_lines(app, "#checks")), "the first number")
        assert "measuring …" in flat(pane_lines(app, "#checks"))
        measurements[0].go_on.set()
        await until(pilot, lambda: "measured on this machine" in flat(pane_lines(app, "#checks")), "the end of it")
        assert f"about {second} an epoch" in flat(pane_lines(app, "#checks"))
        await pilot.press("m")
        await pilot.pause()
        assert len(measurements) == 1


async def test_the_time_is_measured_when_nothing_is_typed_and_no_longer_when_the_form_is_left(
    open_app: OpenApp, measurements: list[ScriptedMeasurement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "MEASURE_SECONDS", 0.01)
    async with open_app("fmnist-28") as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: measurements, "a measurement that nobody asked for")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "the network")
        await until(pilot, measurements[0].stopped.is_set, "the end of the measurement")


async def test_runs_that_can_not_be_listed_do_not_end_the_app(
    open_app: OpenApp, measurements: list[ScriptedMeasurement], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(folder: Path) -> list[RunDirectory]:
        raise RunError(f"{folder}: Stale file handle")

    monkeypatch.setattr(plan, "list_runs", unreadable)
    monkeypatch.setattr(plan, "MEASURE_SECONDS", 0.01)
    async with open_app("fmnist-28") as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: measurements, "a measurement")
        measurements[0].go_on.set()
        assert app.is_running


class StillImporting(ScriptedMeasurement):
    """A measurement that has no number yet when it is stopped."""

    def __iter__(self) -> Iterator[float]:
        """Yield nothing, after it was stopped."""
        self.go_on.wait(PATIENCE)
        yield from ()


async def test_a_measurement_that_another_one_replaces_can_be_made_again(
    open_app: OpenApp, measurements: list[ScriptedMeasurement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SpeedMeasurement", StillImporting)
    async with open_app("fmnist-28") as (app, pilot):
        await show_form(app, pilot)
        screen = app.screen
        assert isinstance(screen, PlanScreen)
        await pilot.press("m")
        await until(pilot, lambda: screen._measurement is not None, "the first one")
        await put(app, pilot, "precision", "fp32")
        await until(pilot, lambda: screen._measurable is not None, "the check")
        await pilot.press("m")
        await until(pilot, lambda: len(measurements) == 2, "the second one")
        await until(pilot, lambda: len(screen._measured) == 1, "the end of the first one")
        assert screen._measurement is measurements[1]
        assert "can't be measured" not in status(app)


async def test_what_is_typed_while_a_start_waits_is_not_started_half(
    open_app: OpenApp, tiny_preset: Path, started: list[RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_worker(monkeypatch)
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await pilot.press("f5")
        await until(pilot, lambda: "PyTorch is imported" in status(app), "why it does not start yet")
        app.screen.query_one(SettingPane).select("epochs")
        app.screen.query_one(SettingPane).list._edit()
        await pilot.press("1")
        FakeWorker.ready.set()
        await until(pilot, lambda: app.state.planned.request() is not None, "the check")
        await asyncio.sleep(0.5)  # what would go wrong needs time
        assert started == []


async def test_nothing_is_measured_unasked_while_another_training_needs_the_machine(
    open_app: OpenApp,
    measurements: list[ScriptedMeasurement],
    monkeypatch: pytest.MonkeyPatch,
    config: RunConfig,
    tmp_path: Path,
) -> None:
    run = finished_run(config, tmp_path / "runs", "other", 0.5)
    monkeypatch.setattr(plan, "read_status", lambda asked: Status("running") if asked == run else Status("finished"))
    async with open_app("fmnist-28") as (app, pilot):
        await show_form(app, pilot)
        screen = app.screen
        assert isinstance(screen, PlanScreen)
        await screen._measure_if_idle().wait()
        await pilot.pause()
        assert measurements == []
        await pilot.press("m")
        await until(pilot, lambda: measurements, "a measurement that was asked for")


async def test_a_network_that_does_not_train_is_said_to_have_no_speed(open_app: OpenApp) -> None:
    async with open_app("fmnist-28") as (app, pilot):
        await show_form(app, pilot)
        await pilot.press("m")
        await until(pilot, lambda: "can't be measured" in status(app), "a word about it")


@pytest.mark.parametrize(("size", "shown"), [((120, 40), False), ((120, 60), True)])
async def test_a_high_terminal_shows_every_group(open_app: OpenApp, size: tuple[int, int], shown: bool) -> None:
    async with open_app("fmnist-28", size=size) as (app, pilot):
        await show_form(app, pilot)
        await until(pilot, lambda: ("checkpoint minutes  " in screen_text(app)) == shown, "the last setting, or not")
        assert bool(app.state.planned.form.folded) != shown


class FakeWorker:
    """Stands for a worker that waits; `all` are those that were started. It imports until `ready` is set."""

    all: ClassVar[list[FakeWorker]] = []
    ready: ClassVar[threading.Event] = threading.Event()

    def __init__(self) -> None:
        self.ended = False
        self.all.append(self)

    def wait_until_ready(self) -> None:
        """Wait for the test."""
        self.ready.wait(PATIENCE)

    def find_problems(self, config: RunConfig) -> tuple[Problem, ...]:
        """Find no GPU."""
        return tuple(device_problems(config.hardware, Accelerators()))

    def end(self) -> None:
        """Note that it was ended."""
        self.ended = True


def fake_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a `FakeWorker` wait as soon as the form is open."""
    monkeypatch.setattr(FakeWorker, "all", [])
    monkeypatch.setattr(FakeWorker, "ready", threading.Event())
    monkeypatch.setattr(plan, "WaitingWorker", FakeWorker)
    monkeypatch.setattr(plan, "WAITING_SECONDS", 0.001)


async def test_a_device_that_is_not_there_is_refused_on_the_field_with_a_fix(
    open_app: OpenApp, tiny_preset: Path, tmp_path: Path, started: list[RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_worker(monkeypatch)
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await put(app, pilot, "device", "cuda")
        await pilot.press("f5")
        await until(pilot, lambda: "PyTorch is imported" in status(app), "why it does not start yet")
        FakeWorker.ready.set()
        await until(
            pilot, lambda: "finds no GPU on this machine; use --device cpu, or auto" in status(app), "the reason"
        )
        planned = app.state.planned
        assert planned.form.error_of(planned.form.field("device")) == status(app).removeprefix("Not started: ")
        assert (started, list_runs(tmp_path / "runs")) == ([], [])
        await pilot.press("f")
        await until(pilot, lambda: planned.blocked is None, "the fix")
        assert planned.form.field("device").text == "auto"
        await pilot.press("f5")
        await until(pilot, lambda: started, "a run")


async def test_a_start_waits_for_the_import_and_the_worker_stays_while_the_help_is_open(
    open_app: OpenApp, tiny_preset: Path, started: list[RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_worker(monkeypatch)
    async with open_app(str(tiny_preset)) as (app, pilot):
        await show_form(app, pilot)
        await until(pilot, lambda: FakeWorker.all, "a worker that waits")
        await pilot.press("question_mark")
        await until(pilot, lambda: app.screen.is_modal, "the help")
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.is_modal, "the form")
        await pilot.press("f5")
        await until(pilot, lambda: "PyTorch is imported" in status(app), "why it does not start yet")
        assert (started, len(FakeWorker.all), FakeWorker.all[0].ended) == ([], 1, False)
        FakeWorker.ready.set()
        await until(pilot, lambda: started, "a run")


async def test_a_worker_waits_while_the_form_is_open(open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_worker(monkeypatch)
    FakeWorker.ready.set()
    used: list[object] = []
    monkeypatch.setattr(service, "start", lambda run, waiting=None: used.append(waiting))
    async with open_app("fmnist-28") as (app, pilot):
        await show_form(app, pilot)
        await until(pilot, lambda: FakeWorker.all, "a worker that waits")
        await pilot.press("escape")
        await until(pilot, lambda: FakeWorker.all[0].ended, "its end, as the form was left")
        await show_form(app, pilot)
        await until(pilot, lambda: len(FakeWorker.all) == 2, "another")
        await put(app, pilot, "dataset", "synthetic")
        await until(pilot, lambda: app.state.planned.blocked is None, "the checks")
        await pilot.press("f5")
        await until(pilot, lambda: used, "the start")
    assert used == [FakeWorker.all[1]]
    assert not FakeWorker.all[1].ended
    assert len(FakeWorker.all) == 2
