"""Explore: the presets, the network as a picture and a table, the arithmetic of a layer, and every edit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import DescendantFocus
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static

from alexplore.core.formatting import bytes_text, short_count
from alexplore.core.settings import SettingError, integer, optional, setting
from alexplore.network.analysis import Analysis, analyse
from alexplore.network.graph import TOWERS, Network
from alexplore.network.layers import LAYER_TYPES
from alexplore.network.layers.base import Layer
from alexplore.network.shapes import shape_text
from alexplore.presets.preset import Preset
from alexplore.tui.edit_session import Workspace
from alexplore.tui.widgets.formula import FormulaPanel, layer_entries
from alexplore.tui.widgets.key_bar import KeyBar
from alexplore.tui.widgets.layer_table import LayerTable
from alexplore.tui.widgets.network_strip import NetworkStrip
from alexplore.tui.widgets.preset_list import PresetList

if TYPE_CHECKING:
    from alexplore.tui.app import ExploreApp
    from alexplore.tui.widgets.settings_editor import SettingsEditor


@dataclass(frozen=True)
class InputSettings:
    """What is set for the network as a whole."""

    channels: int = setting(integer(1), 3, "channels of the input image")
    height: int = setting(integer(1), 227, "pixels of the input image")
    width: int = setting(integer(1), 227, "pixels of the input image")
    classes: int | None = setting(optional(integer(1)), None, "outputs of the last linear layer")
    towers: int = setting(TOWERS, 1, "devices that the network is split over")


# What a new layer begins with where its type leaves a setting without a default.
NEW_LAYERS: Mapping[str, Mapping[str, Any]] = {
    "conv2d": {"out_channels": 64, "kernel_size": 3, "padding": 1},
    "max_pool2d": {"kernel_size": 2},
    "avg_pool2d": {"kernel_size": 2},
    "adaptive_avg_pool2d": {"output_size": 6},
    "local_response_norm": {"size": 5},
    "linear": {"out_features": 1000},
}

FORM_SECONDS = 0.3  # after the first screen

Build = Callable[[Mapping[str, Any]], Network]


class ExploreScreen(Screen[None]):
    """One network at a time, under edit."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "edit", "Edit", tooltip="Change the selected layer's settings; everything follows as you type"
        ),
        Binding("a", "add", "Add", tooltip="Put a new layer behind the selected one"),
        Binding("x,delete", "remove", "Remove", tooltip="Take the selected layer out"),
        Binding("u,ctrl+z", "undo", "Undo", tooltip="Take the last edit back"),
        Binding("d", "compare", "Compare", tooltip="Put another preset beside this network"),
        Binding("t", "train", "Train", tooltip="Go to Train with this network"),
        Binding("U,ctrl+y", "redo", "Redo", show=False, tooltip="Do again what was undone"),
        Binding("y", "duplicate", "Duplicate", show=False, tooltip="Copy the selected layer behind itself"),
        Binding("K,shift+up", "shift(-1)", "Move up", show=False, tooltip="Move the selected layer up"),
        Binding("J,shift+down", "shift(1)", "Move down", show=False, tooltip="Move the selected layer down"),
        Binding("i", "input", "Input", show=False, tooltip="Change input size, classes and towers"),
        Binding("f", "mend", "Mend", show=False, tooltip="Make the smallest change that mends the broken layer"),
        Binding("p", "presets", "Presets", show=False, tooltip="Open another preset"),
        Binding("s,ctrl+s", "save", "Save", show=False, tooltip="Save as a preset of your own"),
        Binding("e", "export", "Export", show=False, tooltip="Write PyTorch or Keras code, JSON or a Mermaid diagram"),
        Binding(
            "o", "about", "Source", show=False, tooltip="Where the preset is from, and its published numbers checked"
        ),
        Binding("m", "totals", "Totals", show=False, tooltip="The totals written out, memory in training among them"),
        Binding("v", "picture", "Picture", show=False, tooltip="Show or hide the picture of the network"),
    ]

    AUTO_FOCUS = "LayerTable"

    # Whoever gets or loses the focus repaints itself; Textual repaints the whole screen besides.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    app: ExploreApp

    def __init__(self, workspace: Workspace, classes: str) -> None:
        super().__init__(classes=classes)
        self.workspace = workspace
        self._build: Build | None = None
        self._candidate: Network | None = None
        self._previewed = workspace.analysis
        self._cursor_before = 0
        self._editor: SettingsEditor | None = None
        self._making_form = asyncio.Lock()

    def compose(self) -> ComposeResult:
        """Presets at the left; picture, table, arithmetic and totals at the right."""
        with Horizontal():
            yield PresetList(id="presets", classes="frame")
            with Vertical(id="network", classes="frame"):
                yield NetworkStrip(id="strip")
                yield LayerTable(id="layers")
                with Horizontal(id="detail"):
                    yield FormulaPanel(id="formulas", classes="frame")
                yield Static(id="totals", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        """Show the network, ready for keys."""
        panel = self.query_one(PresetList)
        panel.border_title = "Presets"
        panel.point_at(self.workspace.preset.name)
        self.show()
        self.set_timer(FORM_SECONDS, self._form)

    def on_resize(self) -> None:
        """Paint all of it: a scroll between the terminal's new size and Textual's layout for it leaves holes."""
        self.refresh()

    @property
    def selected(self) -> int:
        """The position of the layer under the cursor."""
        return self.query_one(LayerTable).cursor

    def show(self) -> None:
        """Draw the network as it is."""
        self._draw(self.workspace.analysis, None)

    def _draw(self, analysis: Analysis, baseline: Analysis | None) -> None:
        with self.app.batch_update():
            self.query_one("#network").border_title = Text(self.workspace.title)
            self.query_one("#network").border_subtitle = shape_text(analysis.network.input)
            self.query_one(LayerTable).show(analysis, baseline)
            self._draw_selected(analysis)
            self._draw_totals(self._totals(analysis, baseline))

    def _draw_totals(self, text: str) -> None:
        totals = self.query_one("#totals", Static)
        reserved = 2 if self.has_class("-high") else 1  # lines, as the style sheet has it
        before, after = (max(reserved, 1 + content.count("\n")) for content in (str(totals.content), text))
        totals.update(text, layout=before != after)

    def _draw_selected(self, analysis: Analysis) -> None:
        if not analysis.rows:
            return
        row = analysis.rows[min(self.selected, len(analysis.rows) - 1)]
        self.query_one(NetworkStrip).show(analysis, row.index - 1)
        entries = layer_entries(row, analysis, self.workspace.preset.published)
        self.query_one(FormulaPanel).show(entries, f"{row.layer.name} · {row.layer.type}")

    def _totals(self, analysis: Analysis, baseline: Analysis | None) -> str:
        totals, recipe = analysis.totals, self.workspace.preset.recipe
        memory = analysis.memory(recipe.batch_size, recipe.optimizer, recipe.momentum, recipe.activation_bits)
        line = (
            f"{totals.params:,} params · {short_count(totals.macs)} MACs · {bytes_text(totals.weight_bytes)} · "
            f"trains in {bytes_text(memory.total)} at batch {recipe.batch_size}"
        )
        if baseline is not None:
            params, macs = totals.params - baseline.totals.params, totals.macs - baseline.totals.macs
            line += f"\n{params:+,} params · {macs:+,} MACs"
        if analysis.broken:
            line += f"\n✗ {analysis.broken.error}" + ("" if baseline else " (f mends it)")
        return line

    def on_layer_table_highlighted(self) -> None:
        """Write out the arithmetic of the layer under the cursor."""
        self._draw_selected(self.workspace.analysis if self._candidate is None else self._previewed)

    def on_network_strip_picked(self, event: NetworkStrip.Picked) -> None:
        """Go to the layer that was clicked in the picture."""
        self.query_one(LayerTable).cursor = event.index

    async def on_layer_table_chosen(self) -> None:
        """Edit the layer that was double-clicked."""
        if self._build is None:
            await self.action_edit()

    # Editing: a form over settings, a function from what is typed to a network, a preview at every keystroke. Until it
    # ends the form has the keys; a click elsewhere only looks.

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Give the keys back to the form."""
        if self._build and self._editor and self._editor not in event.widget.ancestors:
            self._editor.query_one(Input).focus()

    async def _edit(self, build: Build, cls: type, values: Mapping[str, Any], name: str | None = None) -> None:
        self._build = build
        self._cursor_before = self.selected
        self._previewed = self.workspace.analysis
        editor = await self._form()
        editor.border_title = Text(f"{name or 'the network'} · {getattr(cls, 'type', 'input')}")
        editor.border_subtitle = "enter keeps · escape cancels · ↑↓ count"
        editor.display = True
        editor.edit([cls], values, name)
        self._preview(editor.values)

    async def _form(self) -> SettingsEditor:
        """The form, made once: when the first screen has long been there, or when it is wanted sooner."""
        async with self._making_form:
            if self._editor is None:
                from alexplore.tui.widgets.settings_editor import SettingsEditor

                editor = SettingsEditor(id="editor", classes="frame")
                editor.display = False
                await self.query_one("#detail").mount(editor, before=0)
                self._editor = editor
            return self._editor

    def on_settings_editor_changed(self, event: SettingsEditor.Changed) -> None:
        """Preview what was typed."""
        self._preview(event.values)

    def _preview(self, values: Mapping[str, Any]) -> None:
        editor = self._editor
        if self._build is None or editor is None:
            return
        try:
            self._candidate = self._build(values)
        except SettingError as error:
            self._candidate = None
            editor.complain(str(error))
            return
        analysis = analyse(self._candidate, self._previewed)
        editor.complain(analysis.broken.error or "" if analysis.broken else "")
        if analysis.rows != self._previewed.rows or analysis.network != self._previewed.network:
            self._previewed = analysis
            self._draw(analysis, self.workspace.analysis)

    def on_settings_editor_committed(self) -> None:
        """Keep the edit, unless it can't be read."""
        if self._candidate is None:
            self.app.bell()
            return
        self.workspace.edit(self._candidate)
        self._close_form()

    def on_settings_editor_cancelled(self) -> None:
        """Leave no trace."""
        self._close_form()
        self.query_one(LayerTable).cursor = self._cursor_before

    def _close_form(self) -> None:
        self._build = self._candidate = None
        if self._editor is not None:
            self._editor.display = False
        self.query_one(LayerTable).focus()
        self.show()

    async def action_edit(self) -> None:
        """Edit the selected layer."""
        index, layer = self.selected, self.workspace.network.layers[self.selected]

        def build(values: Mapping[str, Any]) -> Network:
            settings = {key: value for key, value in values.items() if key != "name"}
            network = self.workspace.network.change(index, settings)
            return network if values["name"] == layer.name else network.rename(index, values["name"])

        await self._edit(build, type(layer), layer.settings(), layer.name)

    @work
    async def action_add(self) -> None:
        """Choose a type, then set the new layer up behind the selected one."""
        from alexplore.tui.screens.files import choose

        chosen = await choose(self, "Add a layer", list(LAYER_TYPES))
        if chosen is None:
            return
        index = min(self.selected + 1, len(self.workspace.network.layers))
        cls: type[Layer] = LAYER_TYPES[chosen]
        plain = cls(
            name=self.workspace.network.free_name(NAME_STEMS.get(chosen, chosen) + "1"), **NEW_LAYERS.get(chosen, {})
        )

        def build(values: Mapping[str, Any]) -> Network:
            settings = {key: value for key, value in values.items() if key != "name"}
            network = self.workspace.network.insert(index, plain).change(index, settings)
            return network if values["name"] == plain.name else network.rename(index, values["name"])

        await self._edit(build, cls, plain.settings(), plain.name)
        self.query_one(LayerTable).cursor = index  # of what the preview shows

    async def action_input(self) -> None:
        """Change what is set for the network as a whole."""
        network = self.workspace.network

        def build(values: Mapping[str, Any]) -> Network:
            changed = network.with_input(values["channels"], values["height"], values["width"])
            changed = changed.with_towers(values["towers"])
            classes = values["classes"]
            return changed if classes in (None, network.classes) else changed.with_classes(classes)

        channels, height, width = network.input
        values = {"channels": channels, "height": height, "width": width}
        await self._edit(build, InputSettings, {**values, "classes": network.classes, "towers": network.towers})

    def _apply(self, network: Network, cursor: int | None = None) -> None:
        self.workspace.edit(network)
        self.show()
        if cursor is not None:
            self.query_one(LayerTable).cursor = cursor

    def action_remove(self) -> None:
        """Take the selected layer out."""
        if len(self.workspace.network.layers) == 1:
            self.notify("A network needs at least one layer", severity="warning")
            return
        self._apply(self.workspace.network.remove(self.selected))

    def action_duplicate(self) -> None:
        """Copy the selected layer."""
        self._apply(self.workspace.network.duplicate(self.selected), self.selected + 1)

    def action_shift(self, step: int) -> None:
        """Move the selected layer."""
        to = self.selected + step
        if 0 <= to < len(self.workspace.network.layers):
            self._apply(self.workspace.network.move(self.selected, to), to)

    def action_undo(self) -> None:
        """Take one edit back."""
        if self.workspace.undo():
            self.show()
        else:
            self.notify("Nothing to undo")

    def action_redo(self) -> None:
        """Do one edit again."""
        if self.workspace.redo():
            self.show()
        else:
            self.notify("Nothing to redo")

    def action_mend(self) -> None:
        """Apply the first proposal for the broken layer."""
        broken = self.workspace.analysis.broken
        if broken is None:
            self.notify("Nothing is broken")
            return
        if not broken.fixes:
            self.notify(str(broken.error), markup=False)
            return
        fix = broken.fixes[0]
        self._apply(fix.network, broken.index - 1)
        self.notify(fix.text, markup=False)

    # Presets and files

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open the preset that was chosen in the list at the left."""
        if event.option.id:
            self.open_named(event.option.id)

    @work
    async def action_presets(self) -> None:
        """Open another preset, from the list at the left or, where it is hidden, from a dialog."""
        from alexplore.tui.screens.files import choose_preset

        panel = self.query_one(PresetList)
        if panel.display:
            panel.focus()
        elif chosen := await choose_preset(self, "Presets"):
            self.open_named(chosen)

    @work
    async def open_named(self, name: str) -> None:
        """Open the preset of that name."""
        from alexplore.tui.screens.files import loaded

        preset = loaded(self, name)
        if preset is not None:
            await self.open_preset(preset)

    async def open_preset(self, preset: Preset) -> bool:
        """Open a preset and show it from its first layer on; False where what is there is to be kept."""
        from alexplore.tui.screens.files import open_preset

        if self._build:
            self.notify("Finish the edit first: enter keeps it, escape cancels it", severity="warning")
            return False
        if not await open_preset(self, preset):
            return False
        self.show()
        self.query_one(PresetList).point_at(preset.name)
        layers = self.query_one(LayerTable)
        layers.cursor = 0
        layers.focus()
        return True

    @work
    async def action_save(self) -> None:
        """Save as a preset of one's own."""
        from alexplore.tui.screens.files import save

        if await save(self):
            panel = self.query_one(PresetList)
            panel.fill()
            panel.point_at(self.workspace.preset.name)
            self.show()

    @work
    async def action_compare(self) -> None:
        """Put another preset beside this network."""
        from alexplore.tui.screens.files import compare

        await compare(self)

    @work
    async def action_export(self) -> None:
        """Write the network as code or data."""
        from alexplore.tui.screens.files import export

        await export(self)

    def action_totals(self) -> None:
        """The arithmetic of the totals."""
        from alexplore.tui.screens.reading import totals

        self.app.push_screen(totals(self.workspace.preset, self.workspace.analysis))

    def action_about(self) -> None:
        """Where the preset is from."""
        from alexplore.tui.screens.reading import source

        self.app.push_screen(source(self.workspace.preset, self.workspace.analysis))

    def action_picture(self) -> None:
        """Show or hide the picture."""
        self.toggle_class("-picture")

    def action_train(self) -> None:
        """Go to Train with this network."""
        broken = self.workspace.analysis.broken
        if broken:
            self.notify(f"{broken.error}", title="This network can't train yet", severity="error", markup=False)
            return
        self.app.action_mode("train")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a layer is being edited, keys belong to the form."""
        return self._build is None or action in ("help", "command_palette")


NAME_STEMS = {
    "conv2d": "conv", "max_pool2d": "pool", "avg_pool2d": "pool", "adaptive_avg_pool2d": "pool",
    "local_response_norm": "norm", "batch_norm": "norm", "linear": "fc", "dropout": "drop",
}  # fmt: skip
