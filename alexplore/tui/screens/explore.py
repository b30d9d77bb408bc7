"""Explore: the presets, the network as a picture and a table, the arithmetic of a layer, and every edit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

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
from alexplore.core.settings import SettingError
from alexplore.network.analysis import Analysis
from alexplore.network.graph import Network
from alexplore.network.layers import EDITABLE_TYPES
from alexplore.network.shapes import shape_text
from alexplore.presets.preset import Preset
from alexplore.tui.edit_session import EditSession
from alexplore.tui.edits import Edit, input_edit, layer_edit, new_layer_edit
from alexplore.tui.messages import PlanRequested
from alexplore.tui.widgets.formula import FormulaPanel, layer_entries
from alexplore.tui.widgets.key_bar import KeyBar
from alexplore.tui.widgets.layer_table import LayerTable
from alexplore.tui.widgets.network_strip import NetworkStrip
from alexplore.tui.widgets.preset_list import PresetList

if TYPE_CHECKING:
    from alexplore.tui.widgets.settings_editor import SettingsEditor

FORM_SECONDS = 0.3  # after the first screen, the form is made


class ExploreScreen(Screen[None]):
    """Shows the network of an edit session, and edits it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "edit", "Edit", tooltip="Change the selected layer's settings; everything follows as you type"
        ),
        Binding("a", "add", "Add", tooltip="Put a new layer behind the selected one"),
        Binding("x,delete", "remove", "Remove", tooltip="Take the selected layer out"),
        Binding("u,ctrl+z", "undo", "Undo", tooltip="Take the last edit back"),
        Binding("d", "compare", "Compare", tooltip="Put another preset beside this network"),
        Binding("t", "train", "Train", tooltip="Set up a training of this network"),
        Binding("U,ctrl+y", "redo", "Redo", show=False, tooltip="Do again what was undone"),
        Binding("y", "duplicate", "Duplicate", show=False, tooltip="Copy the selected layer behind itself"),
        Binding("K,shift+up", "shift(-1)", "Move up", show=False, tooltip="Move the selected layer up"),
        Binding("J,shift+down", "shift(1)", "Move down", show=False, tooltip="Move the selected layer down"),
        Binding("i", "input", "Input", show=False, tooltip="Change input size, classes and towers"),
        Binding("f", "fix", "Fix", show=False, tooltip="Make the smallest change that fixes the broken layer"),
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

    # A widget that gets or loses the focus repaints itself; Textual would repaint the whole screen as well.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    def __init__(self, session: EditSession, classes: str) -> None:
        super().__init__(classes=classes)
        self.session = session
        self._cursor_before = 0
        self._editor: SettingsEditor | None = None
        self._making_form = asyncio.Lock()

    def compose(self) -> ComposeResult:
        """Put the presets at the left; picture, table, arithmetic and totals at the right."""
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
        """Show the network; make the form after the first screen."""
        panel = self.query_one(PresetList)
        panel.border_title = "Presets"
        panel.point_at(self.session.preset.name)
        self.show()
        self.set_timer(FORM_SECONDS, self._form)

    def on_resize(self) -> None:
        """Repaint everything: a scroll between the terminal's new size and Textual's layout for it leaves holes."""
        self.refresh()

    @property
    def selected(self) -> int:
        """The position of the layer under the cursor."""
        return self.query_one(LayerTable).cursor

    def show(self) -> None:
        """Draw the network, or the preview of the edit in progress."""
        session = self.session
        with self.app.batch_update():
            self.query_one("#network").border_title = Text(session.title)
            self.query_one("#network").border_subtitle = shape_text(session.shown.network.input)
            self.query_one(LayerTable).show(session.shown, session.baseline, dimmed=session.unreadable)
            self.query_one("#totals").set_class(session.unreadable, "dimmed")
            self._draw_selected()
            self._draw_totals()

    def _draw_totals(self) -> None:
        text = self._totals(self.session.shown, self.session.baseline)
        totals = self.query_one("#totals", Static)
        reserved = 2 if self.has_class("-high") else 1  # lines, as in the stylesheet
        before, after = (max(reserved, 1 + content.count("\n")) for content in (str(totals.content), text))
        totals.update(text, layout=before != after)

    def _draw_selected(self) -> None:
        analysis = self.session.shown
        if not analysis.rows:
            return
        row = analysis.rows[min(self.selected, len(analysis.rows) - 1)]
        self.query_one(NetworkStrip).show(analysis, row.index - 1)
        entries = layer_entries(row, analysis, self.session.preset.published)
        self.query_one(FormulaPanel).show(entries, f"{row.layer.name} · {row.layer.type}")

    def _totals(self, analysis: Analysis, baseline: Analysis | None) -> str:
        totals, recipe = analysis.totals, self.session.preset.recipe
        memory = analysis.memory(recipe.batch_size, recipe.optimizer_state, recipe.activation_bits)
        line = (
            f"{totals.params:,} params · {short_count(totals.macs)} MACs · {bytes_text(totals.weight_bytes)} · "
            f"trains in {bytes_text(memory.total)} at batch {recipe.batch_size}"
        )
        if baseline is not None:
            params, macs = totals.params - baseline.totals.params, totals.macs - baseline.totals.macs
            line += f"\n{params:+,} params · {macs:+,} MACs"
        if analysis.broken:
            line += f"\n✗ {analysis.broken.error}" + ("" if baseline else " (f fixes it)")
        return line

    def on_layer_table_highlighted(self) -> None:
        """Write out the arithmetic of the layer under the cursor."""
        self._draw_selected()

    def on_network_strip_picked(self, event: NetworkStrip.Picked) -> None:
        """Go to the layer that was clicked in the picture."""
        self.query_one(LayerTable).cursor = event.index

    async def on_layer_table_chosen(self) -> None:
        """Edit the layer that was double-clicked."""
        if not self.session.editing:
            await self.action_edit()

    # Editing with the form: until the edit ends, the form has the keys; a click elsewhere only looks.

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Give the keys back to the form."""
        if self.session.editing and self._editor and self._editor not in event.widget.ancestors:
            self._editor.query_one(Input).focus()

    async def _begin(self, edit: Edit) -> None:
        editor = await self._form()
        form = self.session.begin(edit)
        self._cursor_before = self.selected
        editor.border_title = Text(edit.title)
        editor.border_subtitle = "enter keeps · escape cancels · ↑↓ count"
        editor.display = True
        editor.edit(form)
        self._draw_totals()
        if self.session.shown is not self.session.analysis:  # a layer was added
            self.show()
            if edit.position is not None:
                self.query_one(LayerTable).cursor = edit.position

    async def _form(self) -> SettingsEditor:
        """Return the form. It is made once, some time after the first screen or when it is first used."""
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
        changed = self.session.preview(event.values)
        if self._editor is not None:
            self._editor.show_message()
        if changed:
            self.show()

    def on_settings_editor_committed(self) -> None:
        """Keep the edit, unless it can't be read."""
        if self.session.commit():
            self._close_form()
        else:
            self.app.bell()

    def on_settings_editor_cancelled(self) -> None:
        """Leave no trace of the edit."""
        self.session.cancel()
        self._close_form()
        self.query_one(LayerTable).cursor = self._cursor_before

    def _close_form(self) -> None:
        if self._editor is not None:
            self._editor.display = False
        self.query_one(LayerTable).focus()
        self.show()

    async def action_edit(self) -> None:
        """Edit the selected layer."""
        try:
            self.session.network.change(self.selected, {})
        except SettingError as refused:  # its numbers were recorded
            self.notify(str(refused), severity="warning")
            return
        await self._begin(layer_edit(self.session.network, self.selected))

    @work
    async def action_add(self) -> None:
        """Ask for a layer type, then set the new layer up behind the selected one."""
        from alexplore.tui.screens.preset_dialogs import choose

        chosen = await choose(self, "Add a layer", list(EDITABLE_TYPES))
        if chosen is not None:
            network = self.session.network
            index = min(self.selected + 1, len(network.layers))
            await self._begin(new_layer_edit(network, index, chosen))

    async def action_input(self) -> None:
        """Edit what is set for the network as a whole."""
        await self._begin(input_edit(self.session.network))

    # Edits that are made with one key

    def _apply(self, network: Network, cursor: int | None = None) -> None:
        self.session.apply(network)
        self.show()
        if cursor is not None:
            self.query_one(LayerTable).cursor = cursor

    def action_remove(self) -> None:
        """Remove the selected layer."""
        if len(self.session.network.layers) == 1:
            self.notify("A network needs at least one layer", severity="warning")
            return
        self._apply(self.session.network.remove(self.selected))

    def action_duplicate(self) -> None:
        """Copy the selected layer."""
        self._apply(self.session.network.duplicate(self.selected), self.selected + 1)

    def action_shift(self, step: int) -> None:
        """Move the selected layer."""
        to = self.selected + step
        if 0 <= to < len(self.session.network.layers):
            self._apply(self.session.network.move(self.selected, to), to)

    def action_undo(self) -> None:
        """Take one edit back."""
        if self.session.undo():
            self.show()
        else:
            self.notify("Nothing to undo")

    def action_redo(self) -> None:
        """Do one edit again."""
        if self.session.redo():
            self.show()
        else:
            self.notify("Nothing to redo")

    def action_fix(self) -> None:
        """Apply the first fix that is proposed for the broken layer."""
        broken = self.session.analysis.broken
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
        """Open another preset, from the list at the left or, where that is hidden, from a dialog."""
        from alexplore.tui.screens.preset_dialogs import choose_preset

        panel = self.query_one(PresetList)
        if panel.display:
            panel.focus()
        elif chosen := await choose_preset(self, "Presets"):
            self.open_named(chosen)

    @work
    async def open_named(self, name: str) -> None:
        """Open the preset of that name."""
        from alexplore.tui.screens.preset_dialogs import read_named

        preset = read_named(self, name)
        if preset is not None:
            await self.open_preset(preset)

    async def open_preset(self, preset: Preset) -> bool:
        """Open a preset and select its first layer; return False where the user keeps what is open."""
        from alexplore.tui.screens.preset_dialogs import open_preset

        if self.session.editing:
            self.notify("Finish the edit first: enter keeps it, escape cancels it", severity="warning")
            return False
        if not await open_preset(self, self.session, preset):
            return False
        self.show()
        self.query_one(PresetList).point_at(preset.name)
        layers = self.query_one(LayerTable)
        layers.cursor = 0
        layers.focus()
        return True

    @work
    async def action_save(self) -> None:
        """Save as a preset of the user's own."""
        from alexplore.tui.screens.preset_dialogs import save

        if await save(self, self.session):
            panel = self.query_one(PresetList)
            panel.fill()
            panel.point_at(self.session.preset.name)
            self.show()

    @work
    async def action_compare(self) -> None:
        """Put another preset beside this network."""
        from alexplore.tui.screens.preset_dialogs import compare

        await compare(self, self.session.preset)

    @work
    async def action_export(self) -> None:
        """Write the network as code or data."""
        from alexplore.tui.screens.preset_dialogs import export

        await export(self, self.session.preset)

    def action_totals(self) -> None:
        """Show the arithmetic of the totals."""
        from alexplore.tui.screens.report import totals

        self.app.push_screen(totals(self.session.preset, self.session.analysis))

    def action_about(self) -> None:
        """Show where the preset is from."""
        from alexplore.tui.screens.report import source

        self.app.push_screen(source(self.session.preset, self.session.analysis))

    def action_picture(self) -> None:
        """Show or hide the picture."""
        self.toggle_class("-picture")

    def action_train(self) -> None:
        """Ask the app for the form that trains this network, unless a layer is broken."""
        broken = self.session.analysis.broken
        if broken:
            self.notify(f"{broken.error}", title="This network can't train yet", severity="error", markup=False)
            return
        self.post_message(PlanRequested())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key works: while an edit is in progress, the form has the keys."""
        return not self.session.editing or action in ("help", "command_palette")
