"""Preferences: what the app writes can be read and edited, and a broken file is named and left alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from textual.theme import BUILTIN_THEMES

from alexplore.cli.tui import show_app
from alexplore.presets.library import load_preset
from alexplore.presets.preset import PresetError
from alexplore.tui.app import ExploreApp
from alexplore.tui.preferences import (
    Preferences,
    PreferencesError,
    PreferencesStore,
    preferences_file,
    read_preferences,
    write_preferences,
)
from alexplore.tui.screens.themes import ThemeList, ThemeScreen
from tests.support.screens import screen_text, until

OTHERS = Preferences("nord", "runs", "lenet", False, ("jump", "RF"), "osc", ("best",), False, {"explore.undo": "z"})


@pytest.mark.parametrize("preferences", [Preferences(), OTHERS])
def test_what_is_written_is_read(preferences: Preferences, tmp_path: Path) -> None:
    path = tmp_path / "new" / "preferences.toml"
    write_preferences(preferences, path)
    assert read_preferences(path) == preferences


def test_every_default_is_written_as_a_comment_that_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    write_preferences(Preferences(), path)
    written = path.read_text()
    assert "# theme = " in written
    path.write_text(written.replace('# preset = "paper"', 'preset = "lenet"'))
    assert read_preferences(path) == Preferences(preset="lenet")


async def test_the_palette_makes_the_file_and_leaves_one_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "preferences.toml"
    app = ExploreApp(load_preset("lenet"), tmp_path / "runs", preferences=PreferencesStore(path))
    told = "preferences.toml: it is read when alexplore starts"
    async with app.run_test(size=(120, 40)) as pilot:
        for _ in range(2):
            await pilot.press("ctrl+p", *"preferences")
            await until(pilot, lambda: "The file of theme" in screen_text(app), "the command")
            await pilot.press("enter")
            await until(pilot, lambda: told in " ".join(screen_text(app).split()), "the path")
            assert path.read_text().startswith("# Your preferences")
            path.write_text('# Your preferences\npreset = "paper"\n')
    assert read_preferences(path) == Preferences(preset="paper")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("theme = 3", "theme: found 3, allowed: a string"),
        ('start = "here"', "allowed: one of explore, train, runs"),
        ('thme = "nord"', "did you mean theme?"),
        ("[keys]\nundo = 3", "[keys] holds lines such as"),
        ("theme = [", "preferences.toml: "),
    ],
)
def test_a_broken_file_is_named_and_left_alone(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    path.write_text(text)
    store = PreferencesStore(path)
    assert str(path) in store.problem
    assert said in store.problem
    assert store.values == Preferences()
    with pytest.raises(PreferencesError, match="not saved"):
        store.change(theme="nord")
    assert path.read_text() == text


async def test_a_chosen_theme_is_there_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    app = ExploreApp(load_preset("lenet"), tmp_path / "runs", preferences=PreferencesStore(path))
    async with app.run_test() as pilot:
        app.action_change_theme()
        await until(pilot, lambda: app.screen.is_modal, "the themes")
        await pilot.press("down", "enter")
        await until(pilot, path.exists, "the file")
    chosen = read_preferences(path).theme
    themes = sorted(app.available_themes)
    assert chosen == themes[themes.index("textual-dark") + 1]
    again = ExploreApp(load_preset("lenet"), tmp_path / "runs", preferences=PreferencesStore(path))
    async with again.run_test():
        assert again.theme == chosen


@pytest.mark.parametrize(
    ("preferred", "shown"),
    [("textual-dark", "ansi-dark"), ("solarized-light", "ansi-light"), ("ansi-light", "ansi-light")],
)
async def test_a_terminal_of_sixteen_colours_gets_a_theme_of_these(
    preferred: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLORTERM")
    monkeypatch.setenv("TERM", "xterm")
    path = tmp_path / "preferences.toml"
    path.write_text(f'theme = "{preferred}"\n')
    app = ExploreApp(load_preset("lenet"), tmp_path / "runs", preferences=PreferencesStore(path))
    async with app.run_test():
        assert app.theme == shown
    assert read_preferences(path).theme == preferred


@pytest.mark.parametrize("terminal", ["xterm", "xterm-256color"])
@pytest.mark.parametrize(
    ("preferred", "shown"), [("ansi-dark", "textual-dark"), ("ansi-light", "textual-light"), ("nord", "nord")]
)
async def test_without_colours_the_theme_is_not_one_of_the_terminals_colours(
    preferred: str, shown: str, terminal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLORTERM")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", terminal)
    path = tmp_path / "preferences.toml"
    path.write_text(f'theme = "{preferred}"\n')
    app = ExploreApp(load_preset("lenet"), tmp_path / "runs", preferences=PreferencesStore(path))
    async with app.run_test() as pilot:
        assert app.theme == shown
        await app.run_action("change_theme")
        await until(pilot, lambda: isinstance(app.screen, ThemeScreen), "the themes")
        listed = app.screen.query_one(ThemeList).names
        assert shown in listed
        assert not [name for name in listed if BUILTIN_THEMES[name].ansi]


async def test_the_app_opens_with_the_screen_that_is_preferred_and_says_what_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    path.write_text('start = "runs"')
    app = ExploreApp(load_preset("lenet"), tmp_path / "runs", preferences=PreferencesStore(path))
    async with app.run_test() as pilot:
        await until(pilot, lambda: "▌3 Runs▐" in screen_text(app), "Runs")
    path.write_text("start = 3")
    app = ExploreApp(load_preset("lenet"), tmp_path / "runs", preferences=PreferencesStore(path))
    async with app.run_test() as pilot:
        await until(pilot, lambda: "start: found 3, allowed: one of" in screen_text(app), "the reason")


async def test_an_action_has_the_key_that_is_preferred(tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    path.write_text('[keys]\n"app.mode_runs" = "f7"\n"runs.fork" = "F"\n')
    app = ExploreApp(load_preset("lenet"), tmp_path / "runs", preferences=PreferencesStore(path))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("3")
        await pilot.pause()
        assert "▌1 Explore▐" in screen_text(app)
        await pilot.press("f7")
        await until(pilot, lambda: "▌3 Runs▐" in screen_text(app), "Runs")
        await until(pilot, lambda: "F fork" in screen_text(app), "the key")


async def test_every_value_that_means_nothing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    path.write_text('theme = "nrod"\nhidden_columns = ["jmp"]\nnotify_on = ["endd"]\n')
    app = ExploreApp(load_preset("lenet"), tmp_path / "runs", preferences=PreferencesStore(path))
    async with app.run_test(size=(200, 60)) as pilot:
        for named in ('theme: there is no "nrod"; did you mean nord', 'no column "jmp"', 'no "endd"'):
            await until(pilot, lambda named=named: named in screen_text(app), named)  # type: ignore[misc]


async def test_an_action_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    path.write_text('[keys]\n"runs.frok" = "F"\n')
    app = ExploreApp(load_preset("lenet"), tmp_path / "runs", preferences=PreferencesStore(path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "did you mean runs.fork" in screen_text(app), "the nearest name")


async def test_columns_are_hidden_and_unknown_ones_named(tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    path.write_text('hidden_columns = ["output", "RF", "jmp"]')
    app = ExploreApp(load_preset("paper"), tmp_path / "runs", preferences=PreferencesStore(path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "did you mean jump" in screen_text(app), "the nearest title")
        (titles,) = [line for line in screen_text(app).splitlines() if " params " in line and " layer " in line]
        assert "output" not in titles
        assert " RF " not in titles
        assert " jump " in titles


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["FIFO", "device"])
def test_what_is_no_file_is_named_and_not_opened(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    make(path)
    with pytest.raises(PreferencesError, match=r"preferences.toml: is a (FIFO|device), not a regular file"):
        read_preferences(path)


def test_a_preferred_preset_that_is_gone_does_not_keep_the_app_from_opening(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[tuple[str, str]] = []

    def run(app: ExploreApp) -> None:
        opened.append((app.state.session.preset.name, next(iter(app._problems()))))

    path = preferences_file()
    assert path is not None
    write_preferences(Preferences(preset="mynet"), path)
    monkeypatch.setattr(ExploreApp, "run", run)
    for needs_terminal in ("_settle_terminal_size", "_pictures"):
        monkeypatch.setattr(f"alexplore.cli.tui.{needs_terminal}", lambda: None)
    with pytest.raises(typer.Exit):
        show_app(None, tmp_path / "runs", None)
    ((name, problem),) = opened
    assert name == "paper"
    assert problem.startswith("preset: no preset 'mynet'")
    with pytest.raises(PresetError):
        show_app("mynet", tmp_path / "runs", None)


def test_what_was_edited_in_the_file_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "preferences.toml"
    write_preferences(Preferences(), path)
    store = PreferencesStore(path)
    path.write_text('preset = "lenet"\n[keys]\n"explore.undo" = "z"\n')
    store.change(theme="nord")
    assert read_preferences(path) == Preferences(preset="lenet", theme="nord", keys={"explore.undo": "z"})
    assert store.values == Preferences(theme="nord")
