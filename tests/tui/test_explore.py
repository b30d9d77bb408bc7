"""Explore: what is shown, and what every edit changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from alexplore.export import FORMATS
from alexplore.network.analysis import analyse
from alexplore.presets.library import load_preset, shipped_folder
from alexplore.tui.app import ExploreApp
from alexplore.tui.screens.dialogs import Ask, Choose
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.help import HelpScreen
from alexplore.tui.widgets.choice_list import ChoiceList
from alexplore.tui.widgets.comparison_table import ComparisonTable
from alexplore.tui.widgets.formula import FormulaPanel
from alexplore.tui.widgets.layer_table import LayerTable
from alexplore.tui.widgets.network_strip import NetworkStrip
from alexplore.tui.widgets.preset_list import PresetList
from alexplore.tui.widgets.setting_pane import SettingPane
from alexplore.tui.widgets.status_line import StatusLine
from alexplore.tui.widgets.text_page import TextPage
from tests.support.screens import form_message, pane_keys, screen_text, type_into, until
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
        assert " edited" in screen_text(app).splitlines()[1]
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
        await type_into(pilot, app, "stride", "")
        assert form_message(app).startswith("✗ stride: found nothing, allowed: an integer ≥ 1")
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
        faint = app.screen.query_one(LayerTable).style("layer-table--dim")
        line = app.screen.query_one(LayerTable).line_strip(0, False, 80)
        assert all(segment.style is not None and segment.style.color == faint.color for segment in line)
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
async def test_every_setting_is_reached_and_explained(open_app: OpenApp, size: tuple[int, int]) -> None:
    """Also in a window that is too low for all settings: there the list scrolls."""
    async with open_app(size=size) as (app, pilot):
        await pilot.press("enter")
        for name in ("stride", "padding", "padding_mode", "dilation", "groups", "bias", "in_channels", "init"):
            await until(pilot, lambda: app.screen.query_one(SettingPane).display, "the form")
            while not form_message(app).startswith(f"{name}:"):
                await pilot.press("down")
                await pilot.pause()
            pane = app.screen.query_one(SettingPane)
            shown = screen_text(app).splitlines()[pane.list.region.y : pane.list.region.bottom]
            assert any(f" {name} " in line for line in shown), (name, shown)


async def test_the_arithmetic_is_folded_and_unfolds(open_app: OpenApp) -> None:
    """Four lines of conv1's numbers with their shares of the network's; 34,944 of 60,965,224 are 0.057 %."""
    async with open_app() as (app, pilot):
        text = screen_text(app)
        for shown in ("⌊(227 + 2·0 − 11) / 4⌋ + 1 = 55", "34,944  0.057 % of the network", "15 % of the network"):
            assert shown in text
        assert "1 + (11 − 1)·1 = 11" in text
        assert "96·55·55 = 290,400" not in text
        for _ in range(3):
            await pilot.press("right_square_bracket")
        await pilot.pause()
        assert "96·55·55 = 290,400" in screen_text(app)
        for _ in range(12):
            await pilot.press("right_square_bracket")
        await pilot.pause()
        assert "[55,55,96]" in screen_text(app)
        for _ in range(14):
            await pilot.press("left_square_bracket")
        await pilot.pause()
        assert "⌊(227" in screen_text(app)
        assert "96·55·55 = 290,400" not in screen_text(app)


async def test_a_high_terminal_shows_all_of_the_arithmetic(open_app: OpenApp) -> None:
    async with open_app(size=(120, 60)) as (app, pilot):
        await until(pilot, lambda: "activation bytes" in screen_text(app), "all entries")
        assert "] " not in str(app.screen.query_one(FormulaPanel).border_subtitle)


async def test_a_line_of_the_arithmetic_is_copied(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        app.screen.query_one("#formulas").focus()
        await pilot.press("down", "y")
        await pilot.pause()
        assert app.clipboard.startswith("params  (11·11·3 + 1) · 96 = 34,944")


async def test_a_broken_layer_is_explained_while_typing_and_fixed_with_a_key(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press(*["down"] * 16, "enter")
        await type_into(pilot, app, "in_features", "6400")
        assert "fc6 expects 6400 inputs, gets 9216" in form_message(app)
        await pilot.press("enter")
        await pilot.pause()
        assert app.state.session.analysis.totals.partial
        await pilot.press("t")
        await pilot.pause()
        assert isinstance(app.screen, ExploreScreen)
        assert pane_keys(app)[0] == "f fix"
        await pilot.press("f")
        await pilot.pause()
        fixed = app.state.session.analysis
        assert not fixed.totals.partial
        assert "f fix" not in pane_keys(app)


async def test_a_broken_networks_totals_are_partial_and_its_error_is_shown_once(open_app: OpenApp) -> None:
    """Up to norm1 there are conv1's 34,944 parameters."""
    async with open_app() as (app, pilot):
        await pilot.press("down", "down", "down", "enter")
        await type_into(pilot, app, "padding", "9")
        assert "34,944 params so far, to norm1" in screen_text(app)
        assert screen_text(app).count("is more than half") == 1
        await pilot.press("enter")
        await pilot.pause()
        text = screen_text(app)
        assert "34,944 params so far, to norm1" in text
        assert text.count("is more than half") == 1
        assert "GiB to train" not in text
        before = app.screen.query_one(LayerTable).size.height
        await pilot.press("u")
        await pilot.pause()
        assert "60,965,224 params" in screen_text(app)
        assert app.screen.query_one(LayerTable).size.height >= before


async def test_outcomes_name_the_layer(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):

        def outcome() -> str:
            return screen_text(app).splitlines()[-3].strip()

        await pilot.press("down", "down", "down", "enter")
        await type_into(pilot, app, "padding", "9")
        await pilot.press("enter")
        await until(pilot, lambda: outcome() == "pool1: padding 0 → 9 · u takes it back", "the outcome")
        await pilot.press("f")
        await until(pilot, lambda: outcome() == "pool1: padding 9 → 1 · u takes it back", "the outcome of the fix")
        await pilot.press("u")
        await until(pilot, lambda: outcome().startswith("took back: pool1: padding 9 → 1"), "what was taken back")
        await pilot.press("u", "u")
        await until(pilot, lambda: outcome() == "nothing to undo", "the end of the history")


async def test_after_an_edit_the_differences_from_the_preset_stay_until_toggled(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("enter")
        await type_into(pilot, app, "stride", "8")
        await pilot.press("enter", "down", "enter", "enter")
        await pilot.pause()
        assert "▼96×28×28" in screen_text(app)
        assert "against paper" in screen_text(app)
        await pilot.press("backslash")
        await pilot.pause()
        assert "▼" not in screen_text(app)
        assert "96×28×28" in screen_text(app)
        await pilot.press("backslash")
        await pilot.pause()
        assert "▼96×28×28" in screen_text(app)


async def test_a_layers_type_is_changed_in_its_form(open_app: OpenApp) -> None:
    """Settings of equal names stay: here a window of 3 that moves by 2."""
    async with open_app() as (app, pilot):
        await pilot.press("down", "down", "down", "enter")
        await type_into(pilot, app, "type", "avg_pool2d")
        assert "Edit pool1 · avg_pool2d" in screen_text(app)
        await pilot.press("enter", "enter")
        await pilot.pause()
        layer = app.state.session.network.layers[3]
        assert (layer.name, layer.type) == ("pool1", "avg_pool2d")
        assert (layer.settings()["kernel_size"], layer.settings()["stride"]) == (3, 2)


async def test_form_and_arithmetic_have_titles_of_their_own(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("enter")
        await pilot.pause()
        assert "━ Edit conv1 · conv2d ━" in screen_text(app)
        assert "─ Arithmetic ─" in screen_text(app)
        assert "{ std = 0.01, bias = 0.0 }" in screen_text(app)


async def test_layers_are_added_duplicated_moved_and_removed(open_app: OpenApp) -> None:
    async with open_app("lenet") as (app, pilot):
        names = [layer.name for layer in app.state.session.network.layers]
        await pilot.press("D")
        assert len(app.state.session.network.layers) == len(names) + 1
        await pilot.press("J")
        assert app.state.session.network.layers[2].type == "conv2d"
        await pilot.press("x", "u", "u", "u")
        assert [layer.name for layer in app.state.session.network.layers] == names
        await pilot.press("g", "a")
        await pilot.pause()
        app.screen.query_one(ChoiceList).cursor = 1  # max_pool2d
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
        await pilot.press("I")
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


def point_at(app: ExploreApp, name: str) -> PresetList:
    """Put the cursor of the list of presets on one."""
    presets = app.screen.query_one(PresetList)
    presets._go_to(name)
    assert presets.selected is not None
    assert presets.selected.name == name
    return presets


async def test_another_preset_is_opened_and_edits_are_asked_about(open_app: OpenApp) -> None:
    """On a narrow terminal, where the list takes the place of the network."""
    async with open_app("lenet", size=(80, 24)) as (app, pilot):
        await pilot.press("x", "p")
        await until(pilot, lambda: app.screen.query_one(PresetList).has_focus, "the list")
        point_at(app, "torchvision")
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("n")
        await pilot.pause()
        assert app.state.session.preset.name == "lenet"
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("y")
        await until(pilot, lambda: "61,100,840 params" in screen_text(app), "the other network")
        assert app.state.session.preset.name == "torchvision"


async def test_the_open_preset_and_the_cursor_are_apart(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("p", "down")
        await pilot.pause()
        presets = app.screen.query_one(PresetList)
        text = screen_text(app)
        assert "▶ paper " in text
        assert presets.selected is not None
        assert presets.selected.name == "paper-release"
        await pilot.press("escape")
        await pilot.pause()
        assert presets.selected.name == "paper"
        assert app.screen.query_one(LayerTable).has_focus
        assert app.state.session.preset.name == "paper"


async def test_layer_keys_work_only_where_the_layers_have_the_keys(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        layers = len(app.state.session.network.layers)
        await pilot.press("p")
        await pilot.pause()
        assert not {"x remove", "a add"} & set(pane_keys(app))
        await pilot.press("x", "delete", "D", "J")
        await pilot.pause()
        assert len(app.state.session.network.layers) == layers
        await pilot.press("escape")
        await pilot.pause()
        assert {"x remove", "a add"} <= set(pane_keys(app))
        await pilot.press("x")
        assert len(app.state.session.network.layers) == layers - 1


async def test_presets_show_their_sizes_and_what_training_them_takes(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await until(pilot, lambda: "61.0M" in screen_text(app), "the sizes")
        lines = [line[1:26] for line in screen_text(app).splitlines()]
        heads = {line.split()[0]: line for line in lines if line.rstrip().endswith(("here", "fetch", "folder"))}
        assert heads["AlexNet"].endswith("needs a folder")
        assert heads["CIFAR-10"].endswith("to fetch")
        assert any(line.startswith("▶ paper") and line.endswith("61.0M") for line in lines)
        assert any(line.startswith("  fmnist-28 ★") for line in lines)


async def test_presets_are_filtered(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("p", "slash", *"cif")
        await pilot.pause()
        presets = app.screen.query_one(PresetList)
        listed = [presets._lines[presets.line_at(row)] for row in range(presets.row_count)]
        assert [line if isinstance(line, str) else line.name for line in listed] == [
            "cifar-10", "cifar10-relu", "cifar10-tanh",
        ]  # fmt: skip
        await pilot.press(*"zz")
        await pilot.pause()
        assert "no match" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "▶ paper" in screen_text(app)
        await pilot.press("slash", *"cif", "enter")
        await until(pilot, lambda: app.state.session.preset.name == "cifar10-relu", "the preset that was found")


@pytest.mark.parametrize(
    ("words", "chosen"),
    [("paper", "paper"), ("PAPER-", "paper-release"), ("fmnist", "fmnist"), ("squeeze", "squeezenet1_1")],
)
async def test_the_preset_whose_name_is_typed_is_under_the_cursor(open_app: OpenApp, words: str, chosen: str) -> None:
    async with open_app() as (app, pilot):
        await until(pilot, lambda: "vgg16" in screen_text(app), "the list")
        await pilot.press("p", "slash", *words)
        presets = app.screen.query_one(PresetList)
        await until(pilot, lambda: presets.selected is not None and presets.selected.name == chosen, chosen)
        found = sum(entry.matches(words) for entry in presets.entries)
        assert f"{found} of {len(presets.entries)}" in screen_text(app)


async def test_enter_opens_the_preset_that_the_arrows_went_to_while_typing(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await until(pilot, lambda: "vgg16" in screen_text(app), "the list")
        await pilot.press("p", "slash", "r")
        presets = app.screen.query_one(PresetList)
        await until(pilot, lambda: presets.selected is not None and presets.selected.name == "resnet18", "resnet18")
        await pilot.press("up")
        assert presets.selected is not None
        above = presets.selected.name
        assert above != "resnet18"
        await pilot.press("enter")
        await until(pilot, lambda: app.state.session.preset.name == above, above)


async def test_layers_are_filtered_and_keep_their_places(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("slash", *"local", "enter")
        table = app.screen.query_one(LayerTable)
        await until(pilot, lambda: table.filter.lines == [2, 6], "the two norms")
        await pilot.press("down", "enter")
        await until(pilot, lambda: "Edit norm2" in screen_text(app), "the form of the second")
        await pilot.press("escape", "a", "enter", "enter")
        await until(pilot, lambda: len(app.state.session.network.layers) == 24, "a layer behind it")
        assert table.filter.lines is None or table.is_listed(table.cursor)
        assert table.cursor == 7


async def test_own_presets_are_renamed_and_deleted_and_shipped_ones_are_not(open_app: OpenApp, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "alexplore" / "presets"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text((shipped_folder() / "lenet.toml").read_text())
    async with open_app() as (app, pilot):
        await pilot.press("p")
        await pilot.pause()
        await pilot.press("R")
        await pilot.pause()
        assert isinstance(app.screen, ExploreScreen)
        point_at(app, "mine")
        await pilot.press("R")
        await pilot.pause()
        app.screen.query_one(Input).value = "ours"
        await pilot.press("enter")
        await until(pilot, (folder / "ours.toml").exists, "the new name")
        assert not (folder / "mine.toml").exists()
        point_at(app, "ours")
        await pilot.press("delete")
        await pilot.pause()
        await pilot.press("n")
        await pilot.pause()
        assert (folder / "ours.toml").exists()
        await pilot.press("delete")
        await pilot.pause()
        await pilot.press("y")
        await until(pilot, lambda: not (folder / "ours.toml").exists(), "the file to be deleted")


async def test_a_network_is_begun_from_nothing(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("p", "n")
        await until(pilot, lambda: app.state.session.preset.name == "new", "the new network")
        assert app.state.session.analysis.broken is None
        assert "not saved yet" in screen_text(app)


async def compare_with(app: ExploreApp, pilot: Pilot[None], name: str) -> None:
    await pilot.press("d")
    await pilot.pause()
    point_at(app, name)
    await pilot.press("enter")
    await until(pilot, lambda: f"and {name}" in screen_text(app), "the comparison")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_a_comparison_cuts_no_number(open_app: OpenApp, size: tuple[int, int]) -> None:
    """conv1 has 96·(11·11·3 + 1) and 64·(11·11·3 + 1) parameters, conv3 384·3·3·(256 − 192) fewer."""
    async with open_app(size=size) as (app, pilot):
        await compare_with(app, pilot, "torchvision")
        text = screen_text(app)
        differences = {line.split()[2]: line for line in text.splitlines() if line.startswith(("┃ ≠", "┃ ≈"))}
        assert re.search(r"−(11,648|11\.6k)\s", differences["conv1"])
        assert size[1] == 24 or re.search(r"−(221,184|221\.2k)\s", differences["conv3"])
        assert "−11,6 " not in text


def is_written(text: str, number: int) -> bool:
    """Return whether a text is a number with its sign, in full or rounded to one decimal of k, M or G."""
    if not number:
        return text == ""
    digits, unit = re.fullmatch(r"[−+]([\d,.]+)([kMG]?)", text).groups()  # type: ignore[union-attr]
    factor = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[unit]
    value = float(digits.replace(",", "")) * factor
    return text[0] == "−+"[number > 0] and abs(value - abs(number)) <= (factor / 20 if unit else 0)


@pytest.mark.parametrize("size", [(60, 24), (80, 24), (120, 40)])
async def test_differences_of_ten_digits_are_whole_or_rounded(open_app: OpenApp, size: tuple[int, int]) -> None:
    """vgg16's second convolution has 1,849,688,064 multiplications, paper's largest 223,948,800."""
    async with open_app(size=size) as (app, pilot):
        await compare_with(app, pilot, "vgg16")
        table = app.screen.query_one(ComparisonTable)
        rows = {
            name: {row.layer.name: row for row in analyse(load_preset(name).network).rows}
            for name in ("paper", "vgg16")
        }
        left = 0
        for column, width in table.widths.items():
            for index, pair in enumerate(table.compared.pairs):
                a, b = (
                    rows[name][side.layer.name] if side else None
                    for name, side in (("paper", pair.a), ("vgg16", pair.b))
                )
                shown = table.line_strip(index, False, size[0]).text[left : left + width].strip()
                if column in ("Δ params", "Δ MACs"):
                    key = "params" if column == "Δ params" else "macs"
                    numbers = [getattr(row, key) or 0 if row else 0 for row in (a, b)]
                    assert is_written(shown, numbers[1] - numbers[0]), (column, shown, numbers)
            left += width + table.gap
        assert "Δ params" in table.widths


async def test_a_comparison_says_what_differs(open_app: OpenApp) -> None:
    async with open_app(size=(200, 60)) as (app, pilot):
        await compare_with(app, pilot, "torchvision")
        lines = {line.split()[2]: line for line in screen_text(app).splitlines() if line.startswith("┃ ≠")}
        assert "init std 0.01, bias 1.0 → uniform" in lines["fc7"]
        assert "out_channels 96 → 64 · padding 0 → 2" in lines["conv1"]
        await pilot.press("y")
        await pilot.pause()
        assert "paper: conv1 · conv2d" in app.clipboard
        await pilot.press("escape")
        assert isinstance(app.screen, ExploreScreen)


async def test_marked_presets_are_compared_one_after_another(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("p")
        await pilot.pause()
        for name in ("zfnet", "torchvision"):
            point_at(app, name)
            await pilot.press("space")
        await pilot.press("d")
        await until(pilot, lambda: "paper and zfnet" in screen_text(app), "the first comparison")
        await pilot.press("right")
        await until(pilot, lambda: "paper and torchvision" in screen_text(app), "the second comparison")


async def test_a_line_of_the_source_is_copied(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("o")
        await until(pilot, lambda: "✗ conv1 neurons 253,440: ours is 290,400" in screen_text(app), "the source")
        await pilot.press("y")
        await pilot.pause()
        assert app.clipboard == "paper · AlexNet on two GPUs"
        await pilot.press("escape")
        assert isinstance(app.screen, ExploreScreen)


async def test_no_line_of_a_page_is_below_its_scrollbar(open_app: OpenApp) -> None:
    """A + at the end of a line of the totals was."""
    async with open_app(size=(80, 24)) as (app, pilot):
        await pilot.press("m")
        await until(pilot, lambda: "Totals" in screen_text(app), "the totals")
        page = app.screen.query_one(TextPage)
        await until(pilot, lambda: page.show_vertical_scrollbar, "the scrollbar")
        lines = [sum(segment.cell_length for segment in line) for line in page._lines]
        assert max(lines) <= page.scrollable_content_region.width


async def test_what_was_copied_is_shown_in_one_line(open_app: OpenApp) -> None:
    async with open_app(size=(80, 24)) as (app, pilot):
        await pilot.press("y")
        await until(
            pilot, lambda: app.screen.query_one(StatusLine).message.startswith("copied: 1 conv1 96"), "the words"
        )
        assert len(app.screen.query_one(StatusLine).message) < 70
        assert app.clipboard.count("  ") > 3


async def test_titles_of_columns_explain_themselves(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        table = app.screen.query_one(LayerTable)
        left = screen_text(app).splitlines()[table.content_region.y].index(" RF") - table.region.x + 1
        await pilot.hover(LayerTable, offset=(left, 1))
        await pilot.pause()
        assert "receptive field" in str(table.tooltip) or "pixels" in str(table.tooltip)
        await pilot.hover(LayerTable, offset=(left, 4))
        await pilot.pause()
        assert not table.tooltip


async def test_exporting_writes_a_file_for_each_format(
    open_app: OpenApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_app("lenet") as (_, pilot):
        for to in FORMATS:
            await pilot.press("S")
            await pilot.pause()
            await pilot.press("slash", *to, "enter")
            await pilot.pause()
            await pilot.press("enter")
            await pilot.pause()
    assert {path.name for path in tmp_path.glob("lenet*")} == {f"lenet{form.ending}" for form in FORMATS.values()}
    assert len({form.ending for form in FORMATS.values()}) == len(FORMATS)
    assert "import torch" in (tmp_path / "lenet.py").read_text()


async def test_the_keys_fit_eighty_columns(open_app: OpenApp) -> None:
    async with open_app(size=(80, 24)) as (app, _):
        assert pane_keys(app)[:6] == ["⏎ edit", "a add", "x remove", "u undo", "d compare", "t train"]


async def test_dialogs_are_answered_and_closed_with_the_mouse(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, Choose), "the layer types")
        await pilot.click(offset=(1, 1))
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "the click outside to cancel")
        assert not app.state.session.editing
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the question for a name")
        await pilot.click("#no")
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "the button to cancel")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen), "the help")
        await pilot.click(offset=(0, 39))
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "the click outside to close it")


async def test_a_click_selects_and_a_double_click_edits(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.click(LayerTable, offset=(10, 6))
        assert app.screen.query_one(LayerTable).cursor == 4
        await pilot.click(LayerTable, offset=(10, 6), times=2)
        await pilot.pause()
        assert app.screen.query_one("#editor").display


async def test_a_click_elsewhere_leaves_the_focus_in_the_form(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("enter")
        await type_into(pilot, app, "out_channels", "6")
        await pilot.click(LayerTable, offset=(10, 6), times=2)
        assert "▼6×55×55" in screen_text(app)
        await pilot.press("4")
        await pilot.pause()
        assert "▼4×55×55" in screen_text(app)
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert "▼" not in screen_text(app)
        assert app.screen.query_one(LayerTable).cursor == 0


async def test_no_other_preset_is_opened_while_a_layer_is_edited(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("end", "enter")
        await pilot.pause()
        await pilot.click(PresetList, offset=(5, 3), times=2)
        await pilot.pause()
        await pilot.press("9")
        await pilot.pause()
        assert app.state.session.preset.name == "paper"
        await pilot.press("enter", "enter")
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


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40)])
async def test_the_picture_fits_and_its_labels_differ(open_app: OpenApp, size: tuple[int, int]) -> None:
    async with open_app(size=size) as (app, pilot):
        if size[1] < 30:
            await pilot.press("v")
            await pilot.pause()
        text = screen_text(app)
        assert ("╳" in text) == (size[1] >= 24)
        assert "╰" in text.splitlines()[app.screen.query_one("#formulas").region.bottom - 1]
        strip = app.screen.query_one("#strip").content_region
        labels = text.splitlines()[strip.bottom - 1][strip.x : strip.right].replace("input", "")
        assert len({label.strip("▸") for label in labels.split()}) == 11  # of convolutions, pools and linear layers
        assert "▸conv1" in labels or size[0] == 60
        if size[1] >= 24:
            sides = text.splitlines()[strip.y][strip.x : strip.right].split()
            assert [side for side in sides if side.isdigit()][-8:] == ["55", "27", "27", "13", "13", "13", "13", "6"]
        await pilot.press("v")
        await pilot.pause()
        assert not app.screen.query_one("#strip").display


async def test_the_picture_shows_an_edit_to_scale(open_app: OpenApp) -> None:
    """With stride 2 the side is 109 in place of 55; the block grows, the input stays."""
    async with open_app("zfnet") as (app, pilot):
        strip = app.screen.query_one(NetworkStrip)

        def heights() -> list[int]:
            return [block.now.eighths for block in strip._blocks if block.now]

        before = heights()
        await pilot.press("enter")
        await type_into(pilot, app, "stride", "1")
        assert heights()[0] > before[0]
        assert any(now == old for now, old in zip(heights()[1:], before[1:], strict=True))
        assert "▲" in screen_text(app).splitlines()[strip.content_region.y]


async def test_layers_behind_a_broken_one_are_ghosts(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("down", "down", "down", "enter")
        await type_into(pilot, app, "padding", "9")
        strip = app.screen.query_one(NetworkStrip)
        await pilot.pause()
        picture = "\n".join(screen_text(app).splitlines()[strip.region.y : strip.region.bottom])
        assert "╎✗╎" in picture
        assert picture.count("╎") > 10
        assert "fc8" in picture


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
