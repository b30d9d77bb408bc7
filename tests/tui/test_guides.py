"""What leads newcomers: the welcome card, the tour, the lessons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen
from textual.widgets import Input

from alexplore.lessons.library import load_lesson
from alexplore.network.analysis import analyse
from alexplore.presets.library import load_preset
from alexplore.runs.config import RunConfig
from alexplore.tui import guides
from alexplore.tui.app import ExploreApp
from alexplore.tui.lesson_progress import TRIES, LessonProgress
from alexplore.tui.messages import WatchRequested
from alexplore.tui.preferences import PreferencesStore, read_preferences
from alexplore.tui.screens.comparison import ComparisonScreen
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.plan import PlanScreen
from alexplore.tui.screens.runs import RunsScreen
from alexplore.tui.screens.welcome import CHOICES, Welcome
from alexplore.tui.tour import STEPS
from alexplore.tui.widgets.layer_table import LayerTable
from alexplore.tui.widgets.lesson_panel import LessonPanel
from alexplore.tui.widgets.tour_strip import TourStrip
from tests.support.runs import finished_run
from tests.support.screens import screen_text, until
from tests.tui.conftest import OpenApp


@pytest.fixture(autouse=True)
def quick_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tour press its keys without a pause."""
    monkeypatch.setattr(guides, "KEY_SECONDS", 0.0)


# The welcome card


def welcoming(folder: Path, preferences: PreferencesStore | None = None) -> ExploreApp:
    return ExploreApp(load_preset("paper"), folder, preferences=preferences, welcome=True)


async def test_who_has_no_runs_is_welcomed_over_the_first_screen(tmp_path: Path) -> None:
    app = welcoming(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Welcome), "the card")
        await until(pilot, lambda: "GiB free" in screen_text(app), "the machine")
        text = screen_text(app)
        for shown in ("Tour", "Explore", "Compare", "Train", "Python 3.", "Fashion-MNIST", "[x]"):
            assert shown in text, shown
        assert "".join(str(tmp_path / "runs").split()) in "".join(text.split())


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_the_card_fits(size: tuple[int, int], tmp_path: Path) -> None:
    app = welcoming(tmp_path / "runs")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Welcome), "the card")
        text = screen_text(app)
        assert "AlexNet is the network that won ImageNet in 2012" in text
        assert "[x] show this" in text


async def test_who_has_a_run_is_not_welcomed(config: RunConfig, tmp_path: Path) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    app = welcoming(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "34,944" in screen_text(app), "the network")
        await pilot.pause()
        assert isinstance(app.screen, ExploreScreen)


async def test_the_card_comes_no_more_where_it_was_switched_off(tmp_path: Path) -> None:
    file = tmp_path / "preferences.toml"
    app = welcoming(tmp_path / "runs", PreferencesStore(file))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Welcome), "the card")
        await pilot.press("space", "escape")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore")
        assert not read_preferences(file).welcome
    app = welcoming(tmp_path / "runs", PreferencesStore(file))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "34,944" in screen_text(app), "the network")
        await pilot.pause()
        assert isinstance(app.screen, ExploreScreen)


async def test_a_click_on_the_box_switches_the_card_off(tmp_path: Path) -> None:
    file = tmp_path / "preferences.toml"
    app = welcoming(tmp_path / "runs", PreferencesStore(file))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Welcome), "the card")
        await until(pilot, lambda: "[x] show this" in screen_text(app), "the box")
        await pilot.click("#welcome-again", offset=(3, 1))
        await until(pilot, lambda: "[ ] show this" in screen_text(app), "the empty box")
        assert isinstance(app.screen, Welcome)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore")
        assert not read_preferences(file).welcome


@pytest.mark.parametrize("key", ["x", "2", "down", "ctrl+p", "q"])
async def test_another_key_closes_the_card_and_does_nothing_else(key: str, tmp_path: Path) -> None:
    app = welcoming(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Welcome), "the card")
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert app.screen.query_one(LayerTable).cursor == 0
        assert not app.state.session.modified


async def test_the_card_may_close_while_it_is_mounted_and_the_machine_examined(tmp_path: Path) -> None:
    app = welcoming(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Welcome), "the card")
        card = app.screen
        assert isinstance(card, Welcome)
        await card.query("*").remove()  # as when it closes
        card.on_mount()
        card._show_facts()


async def test_the_card_compares_and_trains(tmp_path: Path) -> None:
    app = welcoming(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Welcome), "the card")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen), "the comparison")
        await pilot.press("escape")
        await app.run_action("welcome")
        await until(pilot, lambda: isinstance(app.screen, Welcome), "the card")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the form")
        assert app.state.session.preset.name == "fmnist-28"


async def test_a_click_on_a_line_of_the_card_is_its_key(tmp_path: Path) -> None:
    app = welcoming(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Welcome), "the card")
        await pilot.click("#welcome-choices", offset=(10, 1 + list(CHOICES).index("c")))
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen), "the comparison")


# The tour


async def test_the_tour_performs_its_keys_and_leaves_the_network_as_it_was(open_app: OpenApp) -> None:
    async with open_app("torchvision") as (app, pilot):
        session = app.state.session

        def on(screen: type[Screen[Any]]) -> bool:
            return isinstance(app.screen, screen)

        async def perform(done: Callable[[], object], what: str) -> None:
            """Let the strip press the keys of its step; wait for what they bring about, and for the last of them."""
            await pilot.press("enter")
            await until(pilot, lambda: done() and app.state.tour and not app.state.tour.performing, what)
            await pilot.press("right")

        await app.run_action("tour")
        await until(pilot, lambda: app.screen.query(TourStrip), "the strip")
        assert session.preset.name == "paper"
        assert f"Tour 1 of {len(STEPS)}" in screen_text(app)
        table = app.screen.query_one(LayerTable)
        await perform(lambda: table.cursor == 4, "another layer")
        await pilot.press("right")
        await perform(lambda: "▲96×109×109" in screen_text(app), "the marks")  # (227 − 11) / 2 + 1
        await perform(lambda: not session.modified, "the network as it was")
        assert session.preset.network == load_preset("paper").network
        await perform(lambda: app.screen.query(TourStrip) and on(ComparisonScreen), "the comparison")
        await until(pilot, lambda: on(ExploreScreen) and "Tour 6" in screen_text(app), "Explore")
        await pilot.press("enter")
        await until(pilot, lambda: on(PlanScreen), "the form")
        assert (session.preset.name, session.preset.recipe.epochs) == ("fmnist-28", 1)


@pytest.mark.parametrize("key", ["tab", "down"])
async def test_what_a_step_says_can_be_tried(open_app: OpenApp, key: str) -> None:
    async with open_app(size=(120, 40)) as (app, pilot):
        await app.guides.start_tour()
        await until(
            pilot, lambda: app.screen.query(TourStrip) and app.screen.query_one(TourStrip).has_focus, "the tour"
        )
        table = app.screen.query_one(LayerTable)
        await pilot.press(key)
        await until(pilot, lambda: table.has_focus, "the layers")
        before = table.cursor
        await pilot.press("down")
        await until(pilot, lambda: table.cursor == before + 1, "the next layer")
        assert "Tour 1 of 6" in screen_text(app)


async def test_escape_leaves_the_tour_everywhere(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await app.run_action("tour")
        await until(pilot, lambda: app.screen.query(TourStrip), "the strip")
        await pilot.press("right", "left", "left", "escape")
        await until(pilot, lambda: not app.screen.query(TourStrip), "no strip")
        await pilot.press("3", "1")
        await until(pilot, lambda: screen_text(app).count("Tour ") == 0, "no strip")


async def test_the_last_step_ends_the_tour(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await app.run_action("tour")
        await until(pilot, lambda: app.screen.query(TourStrip), "the strip")
        for _ in STEPS:
            await pilot.press("right")
            await pilot.pause()
        await until(pilot, lambda: app.state.tour is None, "the end")


async def test_a_run_that_the_last_step_started_ends_the_tour(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    run = finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        await app.run_action("tour")
        await until(pilot, lambda: app.screen.query(TourStrip), "the strip")
        app.post_message(WatchRequested(run))
        await until(pilot, lambda: "FINISHED" in screen_text(app), "the run")
        assert app.state.tour is not None  # it was looked at meanwhile
        app.state.tour.go(len(STEPS) - 1)
        app.post_message(WatchRequested(run))
        await until(pilot, lambda: app.state.tour is None, "the end of the tour")
        await until(pilot, lambda: "Tour " not in screen_text(app), "no strip")


async def test_the_tour_asks_before_it_leaves_edits(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("x")
        await app.run_action("tour")
        await until(pilot, lambda: app.screen.is_modal, "the question")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore")
        assert app.state.tour is None
        assert app.state.session.modified


# Lessons


def progress(name: str) -> LessonProgress:
    lesson = load_lesson(name)
    return LessonProgress(lesson, analyse(load_preset(lesson.preset).network))


def test_a_wrong_answer_gets_the_hint_and_the_third_the_arithmetic() -> None:
    learner = progress("one-convolution")
    assert (learner.solved, learner.go(1), learner.solved) == (True, True, False)
    for tried in range(1, TRIES + 1):
        verdict = learner.answer("1", learner.analysis)
        assert verdict is not None
        assert not verdict.right
        shown = learner.explanation
        assert ("= 34,944" in shown) == (tried == TRIES)
    learner.answer("34,944", learner.analysis)
    assert learner.solved
    assert learner.score == (1, 3)
    assert not learner.go(-2)
    assert learner.go(3)
    assert not learner.go(1)


async def test_a_lesson_is_answered_beside_its_network(open_app: OpenApp) -> None:
    async with open_app("lenet") as (app, pilot):
        await app.run_action("lesson('one-convolution')")
        await until(pilot, lambda: app.screen.query(LessonPanel), "the lesson")
        assert app.state.session.preset.name == "paper"
        assert "1 of 5 · One convolution, counted" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: "How many parameters has conv1?" in screen_text(app), "the question")
        await pilot.press(*"34848", "enter")
        await until(pilot, lambda: "these are the weights alone" in screen_text(app), "the mistake")
        await pilot.press("ctrl+u", *"34,944", "enter")
        await until(pilot, lambda: "✓ right" in screen_text(app), "the verdict")
        assert "(11·11·3 + 1) · 96 = 34,944" in screen_text(app)
        await pilot.press("enter", "ctrl+n")
        await until(pilot, lambda: app.screen.query_one(LayerTable).cursor == 4, "conv2, which the step is about")
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.query(LessonPanel), "no lesson")
        await app.run_action("lesson('one-convolution')")
        await until(pilot, lambda: "4 of 5" in screen_text(app), "the lesson where it was left")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("steps", [0, 1])
async def test_keys_work_after_a_lesson_was_left(open_app: OpenApp, size: tuple[int, int], steps: int) -> None:
    """The focus stayed on the text of a step, which was removed, and the app took no key any more."""
    async with open_app("paper", size=size) as (app, pilot):
        await app.run_action("lesson('one-convolution')")
        await until(pilot, lambda: app.screen.query(LessonPanel), "the lesson")
        await pilot.press(*["ctrl+n"] * steps, "escape")
        await until(pilot, lambda: not app.screen.query(LessonPanel), "no lesson")
        assert isinstance(app.screen.focused, LayerTable)
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "another screen")


async def test_the_panes_beside_a_lesson_fit_their_width(open_app: OpenApp) -> None:
    async with open_app("paper", size=(80, 24)) as (app, pilot):
        await app.run_action("lesson('one-convolution')")
        await until(pilot, lambda: "96×55×55" in screen_text(app), "the outputs, which the lesson asks for")
        assert "105,4 " not in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "256 · 5×5" in screen_text(app), "the settings, for which there is room again")


async def test_an_edit_is_the_answer(open_app: OpenApp) -> None:
    """pool1 makes 27 of 55: (55 − 3) / 2 + 1; conv1 makes 55 with padding 2: ⌊(224 + 4 − 11) / 4⌋ + 1."""
    async with open_app("fmnist", size=(160, 50)) as (app, pilot):
        await app.run_action("lesson('output-sizes')")
        await until(pilot, lambda: app.screen.query(LessonPanel), "the lesson")
        panel = app.screen.query_one(LessonPanel)
        panel.progress.go(3)
        panel.show_step()
        await pilot.pause()
        assert not panel.query_one(Input).display
        await pilot.press("enter")
        await until(pilot, lambda: "the network is as it was" in screen_text(app), "the verdict")
        session = app.state.session
        session.apply(session.network.change(0, {"padding": 2}))
        app.explore.show()
        await pilot.press("enter")
        await until(pilot, lambda: "✓ right" in screen_text(app), "the verdict")
        await pilot.press("enter")
        await until(pilot, lambda: "5 of 5" in screen_text(app), "the last step")
        assert "is edited; u" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: not app.screen.query(LessonPanel), "the end")


async def test_a_lesson_that_does_not_exist_is_explained(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await app.run_action("lesson('nope')")
        await until(pilot, lambda: "no lesson 'nope'" in screen_text(app), "the message")


async def test_no_screen_keeps_the_strip_of_a_tour_that_was_left(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await app.run_action("tour")
        await until(pilot, lambda: app.screen.query(TourStrip), "the strip")
        await pilot.press("3")
        await until(pilot, lambda: "▌3 Runs▐" in screen_text(app) and app.screen.query(TourStrip), "its strip")
        await pilot.press("1")
        await until(pilot, lambda: "▌1 Explore▐" in screen_text(app), "the network")
        app.screen.query_one(TourStrip).focus()
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.query(TourStrip), "no strip")
        await pilot.press("3")
        await until(pilot, lambda: "▌3 Runs▐" in screen_text(app), "the runs")
        assert not app.screen.query(TourStrip)
