"""Explore: what is shown, and what every edit does to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from alexplore.network.presets import load_preset
from alexplore.tui.app import ExploreApp
from alexplore.tui.screens.dialogs import HelpScreen
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.widgets.layer_table import LayerTable
from alexplore.tui.widgets.settings_editor import SettingsEditor
from tests.tui.conftest import OpenApp


def screen_text(app: ExploreApp) -> str:
    """Every line of the terminal."""
    width, _ = app.size
    lines = app.screen._compositor.render_strips(app.size)
    return "\n".join(line.text[:width] for line in lines)


def said(app: ExploreApp) -> str:
    """What stands under the form."""
    return str(app.screen.query_one("#settings-message", Static).render())


async def type_into(pilot: Pilot[None], app: ExploreApp, name: str, text: str) -> None:
    """Replace what a setting of the open form holds."""
    app.screen.query_one(SettingsEditor).select(name)
    await pilot.pause()
    await pilot.press("home", "shift+end", *([] if not text else list(text.replace(" ", "\0"))))
    await pilot.pause()


async def test_the_first_screen_has_the_numbers_of_the_paper(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        text = screen_text(app)
        assert "60,965,224 params · 724.4M MACs" in text
        assert "34,944" in text
        assert "⌊(227 + 2·0 − 11) / 4⌋ + 1 = 55" in text
        assert "3×227×227" in text
        await pilot.press("down", "down", "down", "down")
        assert "(5·5·48 + 1) · 256 = 307,456" in screen_text(app)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40), (200, 60)])
async def test_every_size_shows_table_arithmetic_and_totals(open_app: OpenApp, size: tuple[int, int]) -> None:
    async with open_app(size=size) as (app, _):
        text = screen_text(app)
        for needed in ("conv1", "96×55×55", "34,944", "60,965,224 params", "⌊(227"):
            assert needed in text, (size, needed)


async def test_the_table_follows_the_terminals_width(open_app: OpenApp) -> None:
    """Also where the columns stay the same, and only the settings get wider: all behind them moves right."""
    async with open_app(size=(118, 40)) as (app, pilot):
        before = screen_text(app)
        await pilot.resize_terminal(124, 40)
        await pilot.pause()
        after = screen_text(app)
        columns = [text.index("34,944") - text.rindex("\n", 0, text.index("34,944")) for text in (before, after)]
        assert columns[1] == columns[0] + 6


async def test_typing_previews_and_escape_leaves_no_trace(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        before = app.workspace.network
        await pilot.press("enter")
        await type_into(pilot, app, "stride", "8")
        text = screen_text(app)
        assert "▼96×28×28" in text  # ⌊(227 − 11) / 8⌋ + 1
        assert app.workspace.network == before
        await pilot.press("escape")
        await pilot.pause()
        assert app.workspace.network == before
        assert "▼" not in screen_text(app)
        assert not app.workspace.modified


async def test_an_edit_is_kept_undone_and_redone(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("enter")
        await type_into(pilot, app, "out_channels", "64")
        await pilot.press("enter")
        await pilot.pause()
        conv1 = app.workspace.analysis.rows[0]
        assert conv1.params == (11 * 11 * 3 + 1) * 64
        assert "(edited)" in screen_text(app)
        await pilot.press("u")
        assert app.workspace.network == load_preset("paper").network
        await pilot.press("U")
        assert app.workspace.analysis.rows[0] == conv1


async def test_what_can_not_be_is_said_while_typing_and_not_kept(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("enter")
        await type_into(pilot, app, "stride", "0")
        assert "stride: found 0, allowed: an integer ≥ 1" in said(app)
        await pilot.press("enter")
        await pilot.pause()
        assert app.workspace.network == load_preset("paper").network
        await pilot.press("escape")
        assert "allowed" not in screen_text(app)


@pytest.mark.parametrize("size", [(80, 16), (80, 24), (120, 40)])
async def test_the_input_stands_on_the_setting_that_has_the_keys(open_app: OpenApp, size: tuple[int, int]) -> None:
    """And what is said about it stands below, where the window is too low for all settings, too: the form scrolls."""
    async with open_app(size=size) as (app, pilot):
        await pilot.press("enter")
        for _ in range(10):
            await pilot.pause()
            name = said(app).split(":")[0]
            place = app.screen.query_one("#editor Input").region
            line = screen_text(app).splitlines()[place.y]
            assert line[: place.x].rstrip().endswith(f" {name}"), line
            explained = app.screen.query_one("#settings-message").region
            assert app.screen.query_one("#editor").content_region.contains_region(place.union(explained))
            assert place.bottom <= explained.y
            await pilot.press("tab")


async def test_the_arithmetic_scrolls_and_tells_what_is_below(open_app: OpenApp) -> None:
    async with open_app(size=(80, 24)) as (app, pilot):
        panel = app.screen.query_one("#formulas")
        height = panel.content_size.height
        assert "[55,55,96]" not in screen_text(app)
        below = int(str(panel.border_subtitle).removeprefix("↓ ").removesuffix(" more"))
        panel.focus()
        await pilot.press(*["down"] * below)
        await pilot.pause()
        assert panel.content_size.height == height
        assert "[55,55,96]" in screen_text(app)
        assert not panel.border_subtitle


async def test_a_broken_shape_is_told_while_typing_and_mended_by_a_key(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press(*["down"] * 16, "enter")
        await type_into(pilot, app, "in_features", "6400")
        assert "fc6 expects 6400 inputs, gets 9216" in said(app)
        await pilot.press("enter")
        await pilot.pause()
        assert app.workspace.analysis.broken is not None
        await pilot.press("t")
        await pilot.pause()
        assert isinstance(app.screen, ExploreScreen)
        await pilot.press("f")
        await pilot.pause()
        assert app.workspace.analysis.broken is None


async def test_layers_are_added_copied_moved_and_removed(open_app: OpenApp) -> None:
    async with open_app("lenet") as (app, pilot):
        names = [layer.name for layer in app.workspace.network.layers]
        await pilot.press("y")
        assert len(app.workspace.network.layers) == len(names) + 1
        await pilot.press("J")
        assert app.workspace.network.layers[2].type == "conv2d"
        await pilot.press("x", "u", "u", "u")
        assert [layer.name for layer in app.workspace.network.layers] == names
        await pilot.press("g", "a")
        await pilot.pause()
        app.screen.query_one(OptionList).highlighted = 1  # max_pool2d
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert app.workspace.network.layers[1].type == "max_pool2d"
        assert len(app.workspace.network.layers) == len(names) + 1


async def test_escape_while_adding_adds_nothing(open_app: OpenApp) -> None:
    async with open_app("lenet") as (app, pilot):
        before = app.workspace.network
        await pilot.press("a")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert app.workspace.network == before


async def test_a_layer_is_renamed_and_a_taken_name_refused(open_app: OpenApp) -> None:
    async with open_app("lenet") as (app, pilot):
        names = [layer.name for layer in app.workspace.network.layers]
        await pilot.press("enter")
        await type_into(pilot, app, "name", names[1])
        assert "used twice" in said(app)
        await type_into(pilot, app, "name", "stem")
        await pilot.press("enter")
        await pilot.pause()
        assert app.workspace.network.layers[0].name == "stem"


async def test_input_classes_and_towers(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("i")
        await pilot.pause()
        await type_into(pilot, app, "classes", "10")
        await type_into(pilot, app, "height", "259")
        await type_into(pilot, app, "width", "259")
        await pilot.press("enter")
        await pilot.pause()
        network = app.workspace.network
        assert network.input == (3, 259, 259)
        assert network.classes == 10
        assert app.workspace.analysis.rows[-1].params == 4096 * 10 + 10


async def test_saving_asks_about_a_clash_and_never_writes_shipped_presets(open_app: OpenApp, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "alexplore" / "presets"
    async with open_app("lenet") as (app, pilot):

        async def save(name: str) -> None:
            await pilot.press("s")
            await pilot.pause()
            app.screen.query_one(Input).value = name
            await pilot.press("enter")
            await pilot.pause()

        await pilot.press("x")
        await save("mine")
        saved = (folder / "mine.toml").read_text()
        assert load_preset("mine").network == app.workspace.network
        assert not app.workspace.modified
        await pilot.press("x")
        await save("mine")
        await pilot.press("n")
        await pilot.pause()
        assert (folder / "mine.toml").read_text() == saved
        await save("mine")
        await pilot.press("y")
        await pilot.pause()
        assert load_preset("mine").network == app.workspace.network
        await save("paper")
        assert not (folder / "paper.toml").exists()


async def test_another_preset_is_opened_and_edits_are_asked_about(open_app: OpenApp) -> None:
    async with open_app("lenet", size=(80, 24)) as (app, pilot):
        await pilot.press("x", "p")
        await pilot.pause()
        options = app.screen.query_one(OptionList)
        options.highlighted = options.get_option_index("torchvision")
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("n")
        await pilot.pause()
        assert app.workspace.preset.name == "lenet"
        app.screen.open_preset("torchvision")  # type: ignore[attr-defined]
        await pilot.pause()
        await pilot.press("y")
        await pilot.pause()
        assert app.workspace.preset.name == "torchvision"
        assert "61,100,840 params" in screen_text(app)


async def test_comparing_and_the_source(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("d")
        await pilot.pause()
        options = app.screen.query_one(OptionList)
        options.highlighted = options.get_option_index("torchvision")
        await pilot.press("enter")
        await pilot.pause()
        text = screen_text(app)
        assert "paper and torchvision" in text
        assert "64 · 11×11 / 4 · pad 2" in text
        await pilot.press("escape", "o")
        await pilot.pause()
        assert "✗ conv1 neurons 253,440: ours is 290,400" in screen_text(app)
        await pilot.press("escape")
        assert isinstance(app.screen, ExploreScreen)


async def test_exporting_writes_a_file(open_app: OpenApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_app("lenet") as (_, pilot):
        await pilot.press("e")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert "import torch" in (tmp_path / "lenet.py").read_text()


async def test_help_and_palette_list_the_same_actions(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        commands = {command.title for command in app.get_system_commands(app.screen)}
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        listed = {description for _, description, _ in app.screen._rows}
        assert listed >= {"Edit", "Add", "Undo", "Redo", "Mend", "Export", "Quit", "Train", "Runs"}
        assert listed <= commands
        assert commands - listed == {"Theme", "Screenshot"} | (commands - listed & {"Maximize", "Minimize"})


async def test_the_footer_fits_eighty_columns(open_app: OpenApp) -> None:
    async with open_app(size=(80, 24)) as (app, _):
        last = screen_text(app).splitlines()[-1]
        assert "? Help" in last
        assert "palette" in last


async def test_a_click_selects_and_a_double_click_edits(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.click(LayerTable, offset=(10, 5))
        assert app.screen.query_one(LayerTable).cursor == 4
        await pilot.click(LayerTable, offset=(10, 5), times=2)
        await pilot.pause()
        assert app.screen.query_one("#editor").display
