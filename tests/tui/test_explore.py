"""Explore: what is shown, and what every edit changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from alexplore.export import FORMATS
from alexplore.presets.library import load_preset, shipped_folder
from alexplore.tui.screens.dialogs import HelpScreen
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.widgets.layer_table import LayerTable
from alexplore.tui.widgets.settings_editor import SettingsEditor
from tests.support.screens import footer, form_message, screen_text, type_into
from tests.tui.conftest import OpenApp


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
    """Here only the settings get wider: the columns after them move right."""
    async with open_app(size=(115, 40)) as (app, pilot):
        before = screen_text(app)
        await pilot.resize_terminal(118, 40)
        await pilot.pause()
        after = screen_text(app)
        columns = [text.index("34,944") - text.rindex("\n", 0, text.index("34,944")) for text in (before, after)]
        assert columns[1] == columns[0] + 3


async def test_typing_previews_and_escape_cancels(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        before = app.state.session.network
        await pilot.press("enter")
        await type_into(pilot, app, "stride", "8")
        text = screen_text(app)
        assert "▼96×28×28" in text  # ⌊(227 − 11) / 8⌋ + 1
        assert app.state.session.network == before
        await pilot.press("escape")
        await pilot.pause()
        assert app.state.session.network == before
        assert "▼" not in screen_text(app)
        assert not app.state.session.modified


async def test_an_edit_is_committed_undone_and_redone(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("enter")
        await type_into(pilot, app, "out_channels", "64")
        await pilot.press("enter")
        await pilot.pause()
        conv1 = app.state.session.analysis.rows[0]
        assert conv1.params == (11 * 11 * 3 + 1) * 64
        assert "(edited)" in screen_text(app)
        await pilot.press("u")
        assert app.state.session.network == load_preset("paper").network
        await pilot.press("U")
        assert app.state.session.analysis.rows[0] == conv1


async def test_a_value_that_is_not_allowed_is_refused(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("enter")
        await type_into(pilot, app, "stride", "0")
        assert "stride: found 0, allowed: an integer ≥ 1" in form_message(app)
        await pilot.press("enter")
        await pilot.pause()
        assert app.state.session.network == load_preset("paper").network
        await pilot.press("escape")
        assert "allowed" not in screen_text(app)


async def test_an_unreadable_value_shows_the_network_as_it_was(open_app: OpenApp) -> None:
    """An emptied field, too: with stride 1, the default, the network would have ten times the parameters."""
    async with open_app() as (app, pilot):
        await pilot.press("enter")
        app.screen.query_one(SettingsEditor).select("stride")
        await pilot.press("backspace")
        await pilot.pause()
        assert (
            form_message(app) == "✗ stride: found nothing, allowed: an integer ≥ 1 or [height, width]; the default is 1"
        )
        assert "60,965,224 params" in screen_text(app)
        await pilot.press("1")
        await pilot.pause()
        assert "▲96×217×217" in screen_text(app)
        await pilot.press("backspace", *"abc")
        await pilot.pause()
        assert 'stride: found "abc", allowed: an integer ≥ 1' in form_message(app)
        text = screen_text(app)
        assert "60,965,224 params" in text
        assert "▲" not in text
        assert "+0 params" in text
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen.query_one("#editor").display
        assert app.state.session.network == load_preset("paper").network


async def test_an_empty_optional_setting_is_shown_as_not_set(open_app: OpenApp) -> None:
    async with open_app(size=(200, 60)) as (app, pilot):
        await pilot.press("enter")
        await pilot.pause()
        assert re.search(r"in_channels +not set", screen_text(app))


@pytest.mark.parametrize("size", [(80, 16), (80, 24), (120, 40)])
async def test_the_input_is_placed_on_the_current_field(open_app: OpenApp, size: tuple[int, int]) -> None:
    """Its description is below it, also in a window that is too low for all settings: there the form scrolls."""
    async with open_app(size=size) as (app, pilot):
        await pilot.press("enter")
        for _ in range(10):
            await pilot.pause()
            name = form_message(app).split(":")[0]
            place = app.screen.query_one("#editor Input").region
            line = screen_text(app).splitlines()[place.y]
            assert line[: place.x].rstrip().endswith(f" {name}"), line
            explained = app.screen.query_one("#settings-message").region
            assert app.screen.query_one("#editor").content_region.contains_region(place.union(explained))
            assert place.bottom <= explained.y
            await pilot.press("tab")


async def test_the_arithmetic_scrolls_and_counts_the_lines_below(open_app: OpenApp) -> None:
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


async def test_a_broken_layer_is_explained_while_typing_and_fixed_with_a_key(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press(*["down"] * 16, "enter")
        await type_into(pilot, app, "in_features", "6400")
        assert "fc6 expects 6400 inputs, gets 9216" in form_message(app)
        await pilot.press("enter")
        await pilot.pause()
        assert app.state.session.analysis.broken is not None
        await pilot.press("t")
        await pilot.pause()
        assert isinstance(app.screen, ExploreScreen)
        await pilot.press("f")
        await pilot.pause()
        assert app.state.session.analysis.broken is None


async def test_layers_are_added_duplicated_moved_and_removed(open_app: OpenApp) -> None:
    async with open_app("lenet") as (app, pilot):
        names = [layer.name for layer in app.state.session.network.layers]
        await pilot.press("y")
        assert len(app.state.session.network.layers) == len(names) + 1
        await pilot.press("J")
        assert app.state.session.network.layers[2].type == "conv2d"
        await pilot.press("x", "u", "u", "u")
        assert [layer.name for layer in app.state.session.network.layers] == names
        await pilot.press("g", "a")
        await pilot.pause()
        app.screen.query_one(OptionList).highlighted = 1  # max_pool2d
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert app.state.session.network.layers[1].type == "max_pool2d"
        assert len(app.state.session.network.layers) == len(names) + 1


async def test_escape_while_adding_adds_nothing(open_app: OpenApp) -> None:
    async with open_app("lenet") as (app, pilot):
        before = app.state.session.network
        await pilot.press("a")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert app.state.session.network == before


async def test_a_layer_is_renamed_and_a_taken_name_refused(open_app: OpenApp) -> None:
    async with open_app("lenet") as (app, pilot):
        names = [layer.name for layer in app.state.session.network.layers]
        await pilot.press("enter")
        await type_into(pilot, app, "name", names[1])
        assert "used twice" in form_message(app)
        await type_into(pilot, app, "name", "stem")
        await pilot.press("enter")
        await pilot.pause()
        assert app.state.session.network.layers[0].name == "stem"


async def test_input_classes_and_towers(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("i")
        await pilot.pause()
        await type_into(pilot, app, "classes", "10")
        await type_into(pilot, app, "height", "259")
        await type_into(pilot, app, "width", "259")
        await pilot.press("enter")
        await pilot.pause()
        network = app.state.session.network
        assert network.input == (3, 259, 259)
        assert network.classes == 10
        assert app.state.session.analysis.rows[-1].params == 4096 * 10 + 10


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
        assert load_preset("mine").network == app.state.session.network
        assert not app.state.session.modified
        await pilot.press("x")
        await save("mine")
        await pilot.press("n")
        await pilot.pause()
        assert (folder / "mine.toml").read_text() == saved
        await save("mine")
        await pilot.press("y")
        await pilot.pause()
        assert load_preset("mine").network == app.state.session.network
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
        assert app.state.session.preset.name == "lenet"
        app.explore.open_named("torchvision")
        await pilot.pause()
        await pilot.press("y")
        await pilot.pause()
        assert app.state.session.preset.name == "torchvision"
        assert "61,100,840 params" in screen_text(app)


async def test_the_comparison_and_the_source(open_app: OpenApp) -> None:
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


async def test_exporting_writes_a_file_for_each_format(
    open_app: OpenApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_app("lenet") as (app, pilot):
        for to in FORMATS:
            await pilot.press("e")
            await pilot.pause()
            options = app.screen.query_one(OptionList)
            options.highlighted = options.get_option_index(to)
            await pilot.press("enter")
            await pilot.pause()
            await pilot.press("enter")
            await pilot.pause()
    assert {path.name for path in tmp_path.glob("lenet*")} == {f"lenet{form.ending}" for form in FORMATS.values()}
    assert len({form.ending for form in FORMATS.values()}) == len(FORMATS)
    assert "import torch" in (tmp_path / "lenet.py").read_text()


async def test_help_and_palette_list_the_same_actions(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        commands = {command.title for command in app.get_system_commands(app.screen)}
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        listed = {description for _, description, _ in app.screen._rows}
        assert listed >= {"Edit", "Add", "Undo", "Fix", "Export", "Quit", "Train", "Runs", "Last layer", "Theme"}
        assert listed == commands


async def test_while_a_layer_is_edited_help_lists_only_what_works(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("enter", "f1")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        assert not {description for _, description, _ in app.screen._rows} & {"Edit", "Remove", "Train", "Undo"}


async def test_the_footer_fits_eighty_columns(open_app: OpenApp) -> None:
    async with open_app(size=(80, 24)) as (app, _):
        assert footer(app) == ["⏎ Edit", "a Add", "x Remove", "u Undo", "d Compare", "t Train", "? Help"]


async def test_a_click_selects_and_a_double_click_edits(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.click(LayerTable, offset=(10, 5))
        assert app.screen.query_one(LayerTable).cursor == 4
        await pilot.click(LayerTable, offset=(10, 5), times=2)
        await pilot.pause()
        assert app.screen.query_one("#editor").display


async def test_a_click_elsewhere_leaves_the_focus_in_the_form(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("enter")
        await type_into(pilot, app, "out_channels", "6")
        await pilot.click(LayerTable, offset=(10, 5), times=2)
        await pilot.press("4")
        await pilot.pause()
        assert "▼64×55×55" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "▼" not in screen_text(app)
        assert app.screen.query_one(LayerTable).cursor == 0


async def test_no_other_preset_is_opened_while_a_layer_is_edited(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("end", "enter")
        app.screen.query_one("#presets", OptionList).post_message(
            OptionList.OptionSelected(app.screen.query_one("#presets", OptionList), Option("lenet", id="lenet"), 0)
        )
        await pilot.pause()
        await pilot.press("9")
        await pilot.pause()
        assert app.state.session.preset.name == "paper"
        await pilot.press("enter")
        await pilot.pause()
        assert app.state.session.network.classes == 9


async def test_markup_in_a_title_is_shown_as_text(open_app: OpenApp, tmp_path: Path) -> None:
    text = (shipped_folder() / "lenet.toml").read_text()
    title = next(line for line in text.splitlines() if line.startswith("title"))
    (tmp_path / "odd.toml").write_text(text.replace(title, 'title = "A [/red] net of [bold]"'))
    async with open_app(str(tmp_path / "odd.toml")) as (app, _):
        assert "A [/red] net of [bold]" in screen_text(app)


async def test_closing_asks_about_edits_and_the_second_time_closes(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("x", "q")
        await pilot.pause()
        assert "are not saved" in screen_text(app)
        await pilot.press("n")
        await pilot.pause()
        assert app.is_running
        assert app.screen.query(LayerTable)
        await pilot.press("ctrl+c", "ctrl+c")
        await pilot.pause()
        assert app._exit


@pytest.mark.parametrize(("size", "exchanges"), [((60, 20), False), ((80, 24), True), ((120, 40), True)])
async def test_the_picture_fits_and_its_labels_differ(
    open_app: OpenApp, size: tuple[int, int], exchanges: bool
) -> None:
    async with open_app(size=size) as (app, pilot):
        if size[1] < 30:
            await pilot.press("v")
            await pilot.pause()
        text = screen_text(app)
        assert ("╳" in text) == exchanges
        assert "60,965,224 params" in text
        assert "╰" in text.splitlines()[app.screen.query_one("#formulas").region.bottom - 1]
        strip = app.screen.query_one("#strip").region
        labels = text.splitlines()[strip.bottom - 1][strip.x : strip.right]
        assert len({label.strip("▸") for label in labels.split()}) == 11  # of convolutions, pools and linear layers
        assert "▸conv1" in labels or size[0] == 60


async def test_the_edited_layer_stays_in_view_when_a_message_takes_its_line(open_app: OpenApp) -> None:
    async with open_app(size=(80, 24)) as (app, pilot):
        table = app.screen.query_one(LayerTable)
        await pilot.press(*["down"] * 10)
        await pilot.pause()
        before = table.region.height
        await pilot.press("enter", "7")
        await pilot.pause()
        await pilot.pause()
        assert table.region.height < before
        shown = screen_text(app).splitlines()[table.region.y : table.region.bottom]
        assert any("11 conv4" in line for line in shown)


async def test_escape_while_adding_restores_the_cursor(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("down", "down", "a", "enter")
        await pilot.pause()
        assert app.screen.query_one(LayerTable).cursor == 3
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.query_one(LayerTable).cursor == 2


async def test_numbers_are_never_cut(open_app: OpenApp) -> None:
    """32,768 · (11·11·3 + 1) = 11,927,552 and 12,345,678 · 364 = 4,493,826,792, 4.5 G."""
    async with open_app(size=(80, 24)) as (app, pilot):
        await pilot.press("enter")
        await type_into(pilot, app, "out_channels", "32768")
        assert "▲11,927,552" in screen_text(app)
        await type_into(pilot, app, "out_channels", "12345678")
        assert "▲4.5G" in screen_text(app)


async def test_a_change_of_one_axis_is_marked(open_app: OpenApp) -> None:
    async with open_app(size=(200, 60)) as (app, pilot):
        await pilot.press("enter")
        await type_into(pilot, app, "kernel_size", "[11,13]")
        assert "▲11×13" in screen_text(app)


async def test_the_totals_are_written_out(open_app: OpenApp) -> None:
    """A weight takes 4 bytes."""
    async with open_app() as (app, pilot):
        await pilot.press("m")
        await pilot.pause()
        assert "243,860,896" in screen_text(app)  # 4 · 60,965,224
