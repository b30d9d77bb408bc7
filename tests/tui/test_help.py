"""Help, the palette, themes and pictures of the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.color import Color
from textual.command import CommandPalette
from textual.keys import REPLACED_KEYS, key_to_character
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Input

from alexplore.network.quantities import QUANTITIES
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.tui.app import ExploreApp
from alexplore.tui.commands import Palette, commands, newest_runs
from alexplore.tui.glossary import words
from alexplore.tui.keys import EVERYWHERE, PANE, Key, active_keys
from alexplore.tui.preferences import PreferencesStore, read_preferences
from alexplore.tui.preset_catalog import list_entries
from alexplore.tui.screens.browse import Browse
from alexplore.tui.screens.dialogs import Ask, Choose, Confirm, Dialog
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.help import HelpScreen
from alexplore.tui.screens.jump import JumpScreen
from alexplore.tui.screens.preset_dialogs import ChoosePreset
from alexplore.tui.screens.themes import ThemeList, ThemeScreen
from alexplore.tui.screens.welcome import Welcome
from alexplore.tui.widgets.choice_list import Choice
from alexplore.tui.widgets.key_bar import KeyBar
from alexplore.tui.widgets.line_widget import LineWidget
from tests.support.runs import finished_run
from tests.support.screens import pane_keys, screen_text, until
from tests.tui.conftest import OpenApp


def listed(app: ExploreApp) -> dict[str, Key]:
    return {key.keys: key for key in active_keys(app.screen)}


# Keys


async def test_help_lists_the_keys_of_the_focused_list_too(open_app: OpenApp) -> None:
    async with open_app(size=(120, 40)) as (app, pilot):
        keys = listed(app)
        assert keys["↑ k"].group == PANE
        assert {"home g", "end G", "^d", "^u"} <= set(keys)
        assert keys["tab"].group == EVERYWHERE
        assert keys["^p"].name == "palette"
        await pilot.press("question_mark")
        await until(pilot, lambda: "Everywhere" in screen_text(app), "help")
        text = screen_text(app)
        for shown in ("Help · Explore", "This pane", "↑ k", "? f1", "^p", "tab", "⏎", "Words"):
            assert shown in text, shown


@pytest.mark.parametrize("mode", ["1", "2", "3"])
async def test_every_key_that_works_is_listed(mode: str, open_app: OpenApp) -> None:
    """Those of the focused widget with a description, and all that the screen and the app declare."""
    async with open_app() as (app, pilot):
        await pilot.press(mode)
        await until(pilot, lambda: app.screen.focused is not None, "a focused pane")
        shown = " ".join(key.keys for key in active_keys(app.screen)).split()
        for node, binding, enabled, tooltip in app.screen.active_bindings.values():
            if enabled and (tooltip or node is app.screen.focused):
                assert app.get_key_display(binding) in shown, binding


async def test_while_a_layer_is_edited_help_lists_only_what_works(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: app.state.session.editing, "the form")
        names = {key.name for key in active_keys(app.screen)}
        assert names
        assert not names & {"Edit", "Remove", "Train", "Undo"}


async def test_help_is_filtered_by_keys_and_words(open_app: OpenApp) -> None:
    async with open_app(size=(120, 40)) as (app, pilot):
        await pilot.press("question_mark", "slash", *"palette")
        await pilot.pause()
        text = screen_text(app)
        assert "Everything that can be done, by name" in text
        assert "Copy the selected" not in text
        await pilot.press("escape")
        await pilot.pause()
        await pilot.press("slash", *"receptive")
        await pilot.pause()
        assert "receptive field" in screen_text(app)
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert isinstance(app.screen, ExploreScreen)


async def test_help_says_what_matches_nothing(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("question_mark", "slash", *"zzz")
        await pilot.pause()
        assert "no key and no word matches" in screen_text(app)


def test_the_words_are_those_of_the_glossary_and_the_quantities() -> None:
    terms = {word.term: word.meaning for word in words()}
    glossary = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text()
    assert terms["MACs"] in glossary
    assert "▲ ▼ ≠" in terms
    assert "golden text" not in terms
    assert {quantity.title for quantity in QUANTITIES} <= set(terms)
    assert all(terms.values())
    assert "[training]" in terms["recipe"]


# The palette


def titles(app: ExploreApp) -> dict[str, str]:
    return {command.title: command.key for command in commands(app, newest_runs(app.state.runs_folder))}


async def test_the_palette_lists_the_runs_once_and_beside_the_screen(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of runs, or a slow file system, would delay each key."""
    threads: list[threading.Thread] = []

    def list_slowly(_: Path) -> list[RunDirectory]:
        threads.append(threading.current_thread())
        return [RunDirectory(Path("night-7"))]

    monkeypatch.setattr("alexplore.tui.commands.newest_runs", list_slowly)
    async with open_app() as (app, pilot):
        await pilot.press("ctrl+p", *"night")
        await until(pilot, lambda: "Watch night-7" in screen_text(app), "the run")
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_the_palette_has_keys_and_what_other_screens_do(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        offered = titles(app)
        assert offered["help"] == "? f1"
        assert {"Open torchvision", "Train fmnist-28", "Watch alpha", "Tour", "Theme", "Screenshot"} <= set(offered)
        assert "Lesson: 224 or 227?" in offered
        assert "Up" not in offered
        await pilot.press("ctrl+p", *"open torchvision".replace(" ", "\0"))
        await until(pilot, lambda: "Show its layers" in screen_text(app), "the command")
        await pilot.press("enter")
        await until(pilot, lambda: app.state.session.preset.name == "torchvision", "the preset")


async def test_the_palette_shows_keys_and_leaves_the_screen_in_sight(open_app: OpenApp) -> None:
    async with open_app(size=(160, 40)) as (app, pilot):
        await pilot.press("ctrl+p", *"jump")
        await until(pilot, lambda: "Put a letter on each pane" in screen_text(app), "the command")
        (line,) = (line for line in screen_text(app).splitlines() if "jump  ^o" in line)
        assert line.startswith(("│", "┃"))
        assert isinstance(app.screen, CommandPalette)


async def test_a_preset_is_trained_from_the_palette(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await app.run_action("train_preset('fmnist-28')")
        await until(pilot, lambda: app.state.shows_form and not isinstance(app.screen, ExploreScreen), "the form")
        assert app.state.session.preset.name == "fmnist-28"


# Themes


async def test_a_theme_is_previewed_kept_or_not(open_app: OpenApp, tmp_path: Path) -> None:
    file = tmp_path / "preferences.toml"
    async with open_app() as (app, pilot):
        app.preferences = PreferencesStore(file)
        before = app.theme
        await app.run_action("change_theme")
        await until(pilot, lambda: app.screen.query(ThemeList), "the list")
        await pilot.press("g")
        first = sorted(app.available_themes)[0]
        await until(pilot, lambda: app.theme == first, "the preview")
        await pilot.press("escape")
        await until(pilot, lambda: app.theme == before, "the theme as it was")
        assert not file.exists()
        await app.run_action("change_theme")
        await until(pilot, lambda: app.screen.query(ThemeList), "the list")
        await pilot.press("g", "enter")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "the screen")
        assert app.theme == first
        assert read_preferences(file).theme == first


async def test_another_theme_reaches_what_inherits_its_colours(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("down", "up")
        app.theme = "textual-light"
        foreground = Color.parse(app.get_css_variables()["foreground"]).rich_color

        def in_old_colours() -> list[str]:
            names = ("#presets", "#title", "#strip", "#layers", "#formulas", "#totals")
            return [name for name in names if app.screen.query_one(name, LineWidget).style().color != foreground]

        await until(pilot, lambda: not in_old_colours(), "the new colours")


# Pictures of the screen


async def test_a_picture_is_saved_in_the_current_folder(
    open_app: OpenApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_app() as (app, pilot):
        app.deliver_screenshot()
        await pilot.pause()
        (saved,) = tmp_path.glob("*.svg")
        shown = screen_text(app).replace("\n", "")
        assert saved.name in "".join(shown.split())
        assert "<svg" in saved.read_text()


async def test_a_picture_that_cannot_be_saved_is_explained(open_app: OpenApp, tmp_path: Path) -> None:
    async with open_app() as (app, pilot):
        assert app.deliver_screenshot(path=str(tmp_path / "nowhere")) is None
        await until(pilot, lambda: "No such file or" in " ".join(screen_text(app).split()), "the reason")


async def test_while_a_filter_is_typed_letters_are_no_commands(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("question_mark", "slash", "q", "question_mark")
        await pilot.pause()
        assert app.screen.query_one(Input).value == "q?"


async def test_below_a_dialog_the_keys_stay_as_they_were(open_app: OpenApp) -> None:
    """Those of the screen below: the dialog would answer for them that all of them work."""
    async with open_app() as (app, pilot):
        before = pane_keys(app)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen), "the help")
        below = app.screen_stack[0].query_one(KeyBar)
        below.refresh()
        await pilot.pause()
        assert before[0] in below.render_line(0).text
        assert "f fix" not in below.render_line(0).text


# What is listed is what works, on every pane of every screen


def declared_keys(app: ExploreApp) -> dict[str, str]:
    """Return the display of each key that the focused widget, its screen and the app bind and that works now."""
    focused = app.screen.focused
    return {
        key: app.get_key_display(binding)
        for key, (node, binding, enabled, _) in app.screen.active_bindings.items()
        if enabled and node in (focused, app.screen, app) and binding.action != "screen.copy_text"
        if not binding.action.startswith("screen.") or hasattr(app.screen, f"action_{binding.action[7:].split('(')[0]}")
    }


async def check_each_pane(app: ExploreApp, pilot: Pilot[None], least: int) -> None:
    """Check the help of every pane that can have the focus; there are at least so many."""
    panes = list(app.screen.focus_chain)
    assert len(panes) >= least
    for pane in panes:
        pane.focus()
        await until(pilot, lambda: app.screen.focused is pane, str(pane))  # noqa: B023
        shown = set(" ".join(listed(app)).split())
        theirs = [key for key in active_keys(app.screen) if isinstance(pane, LineWidget) and not key.binding.tooltip]
        assert not theirs, (pane, theirs)  # what Textual binds of itself and does not work here
        missing = {key: display for key, display in declared_keys(app).items() if display not in shown}
        typed = {key for key in missing if pane.check_consume_key(key, key_to_character(REPLACED_KEYS.get(key, key)))}
        assert set(missing) == typed, (app.screen, pane, missing)


EXPLORE, TRAIN, RUNS = "60,965,224", "batch size", "75.0%"
WALK = (
    ("explore", 3, [("1", EXPLORE)]),
    ("source", 1, [("o", "253,440")]),
    ("totals", 1, [("escape", EXPLORE), ("m", "243,860,896")]),
    (
        "comparison",
        1,
        [("escape", EXPLORE), ("p", "▶ paper"), ("down", "paper-release:"), ("space", "●"), ("d", "paper and")],
    ),
    ("the form", 2, [("escape", EXPLORE), ("t", TRAIN)]),
    ("runs", 1, [("3", RUNS)]),
    ("marked runs", 2, [("space", "validation accuracy")]),
    ("a filter", 2, [("slash", "esc leaves")]),
    ("a run", 3, [("escape", RUNS), ("enter", "FINISHED")]),
    ("inside", 1, [("v", "Mistakes")]),
)
"""Screens, how many panes each has at least, and the keys that lead there, each with what is then shown."""


async def test_help_lists_every_key_of_every_pane(open_app: OpenApp, config: RunConfig, tmp_path: Path) -> None:
    finished_run(config, tmp_path / "runs", "alpha", 0.75)
    async with open_app() as (app, pilot):
        for name, least, keys in WALK:
            for key, text in keys:
                await pilot.press(key)
                await until(pilot, lambda: text in screen_text(app), f"{name}: {text}")  # noqa: B023
            await check_each_pane(app, pilot, least)


DIALOGS: dict[type[ModalScreen[Any]], Callable[[], ModalScreen[Any]]] = {
    Choose: lambda: Choose("Export", [Choice("csv"), Choice("json")]),
    Ask: lambda: Ask("Name", "value"),
    Confirm: lambda: Confirm("Delete it?"),
    ChoosePreset: lambda: ChoosePreset("Compare with", list_entries()[:3]),
    Browse: lambda: Browse("Folder of the images", "/"),
    ThemeScreen: lambda: ThemeScreen(["textual-dark", "textual-light"]),
    Palette: Palette,
}
WITHOUT_HELP = {Dialog, HelpScreen, Welcome, JumpScreen}
"""The base class; the help itself; a card and letters, which show their keys and are closed by any other."""


@pytest.mark.parametrize("dialog", DIALOGS)
async def test_help_in_a_dialog_lists_its_keys(dialog: type[ModalScreen[Any]], open_app: OpenApp) -> None:
    async with open_app("fmnist-28") as (app, pilot):
        await app.push_screen(DIALOGS[dialog]())
        await until(pilot, lambda: isinstance(app.screen, dialog) and app.screen.focused is not None, "the dialog")
        await check_each_pane(app, pilot, 1)
        keys = listed(app)
        assert [key for key in keys if "esc" in key.split()]
        assert {"? f1", "^p"} <= set(keys) or {"f1", "^q"} <= set(keys)
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen) and "f1" in screen_text(app), "the help")
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, dialog), "the dialog again")


async def test_keys_of_a_list_that_do_nothing_in_a_dialog_are_not_listed(open_app: OpenApp) -> None:
    """A network is begun and a preset renamed in Explore, not where one is chosen to compare with."""
    async with open_app("fmnist-28", size=(120, 40)) as (app, pilot):
        await pilot.press("p")
        await until(pilot, lambda: "n" in listed(app), "the presets of Explore")
        await pilot.press("escape", "d")
        await until(pilot, lambda: isinstance(app.screen, ChoosePreset) and app.screen.focused is not None, "a dialog")
        assert not {"n", "R", "del", "space"} & set(listed(app))
        assert {"⏎", "/"} <= set(listed(app))


def test_every_dialog_has_help() -> None:
    def below(cls: type[Any]) -> set[type[Any]]:
        direct = set(cls.__subclasses__())
        return direct.union(*(below(each) for each in direct))

    ours = {cls for cls in below(ModalScreen) if cls.__module__.startswith("alexplore.")}
    assert ours - WITHOUT_HELP == set(DIALOGS)


async def test_the_palette_below_its_help_is_shown_again(open_app: OpenApp) -> None:
    """It was opened a second time, which ended the app."""
    async with open_app() as (app, pilot):
        await pilot.press("ctrl+p", "f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen), "the help")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, Palette), "the palette")
        assert len(app.screen_stack) == 2


async def test_the_welcome_card_closes_for_the_help(open_app: OpenApp, tmp_path: Path) -> None:
    async with open_app() as (app, pilot):
        await app.push_screen(Welcome(tmp_path, shown_again=True))
        await until(pilot, lambda: isinstance(app.screen, Welcome), "the card")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen) and "Explore" in screen_text(app), "the help")


TYPED: dict[str, tuple[list[str], list[str]]] = {
    "a value of a layer": (["enter"], ["⏎", "esc", "↓"]),
    "a value of a layer, begun": (["enter", "5"], ["⏎", "esc", "↓", "^u"]),
    "words that filter layers": (["slash", "c"], ["⏎", "↓", "esc", "^u"]),
    "a value of a run": (["t", "down", "enter", "7"], ["⏎", "esc", "↓", "^w"]),
    "words that find a setting": (["t", "slash", "e"], ["⏎", "esc", "↓", "^u"]),
}


@pytest.mark.parametrize("name", TYPED)
async def test_while_a_text_is_typed_its_keys_are_listed_and_no_character(name: str, open_app: OpenApp) -> None:
    keys, expected = TYPED[name]
    async with open_app("fmnist-28") as (app, pilot):
        for key in keys:
            await pilot.press(key)
            await until(pilot, lambda: key != "t" or "batch size" in screen_text(app), "the form")  # noqa: B023
        await until(pilot, lambda: set(expected) <= set(" ".join(listed(app)).split()), "the keys of typing")
        for shown in (set(" ".join(listed(app)).split()), {key.split()[0] for key in pane_keys(app) if key}):
            assert not {key for key in shown if len(key) == 1 and (key.isalnum() or key in "?/[]\\")}, shown
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen), "the help")
