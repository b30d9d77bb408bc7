"""Explore: the presets, the network as a picture and a table, the arithmetic of a layer, and every edit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import DescendantFocus
from textual.worker import get_current_worker

from alexplore.core.formatting import bytes_text, short_count
from alexplore.core.settings import SettingError
from alexplore.network.graph import Network
from alexplore.network.shapes import shape_text
from alexplore.presets.preset import Preset
from alexplore.tui.edit_session import EditSession
from alexplore.tui.edits import Edit, input_edit, layer_edit, new_layer_edit
from alexplore.tui.messages import PlanRequested, PresetsRead
from alexplore.tui.preset_catalog import list_entries, read_entry
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import Mode
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.widgets.formula import FormulaPanel, layer_entries
from alexplore.tui.widgets.layer_table import LayerTable
from alexplore.tui.widgets.network_strip import NetworkStrip
from alexplore.tui.widgets.preset_list import PresetList
from alexplore.tui.widgets.text_lines import TextLine, TextLines

if TYPE_CHECKING:
    from alexplore.tui.widgets.setting_list import SettingList
    from alexplore.tui.widgets.setting_pane import SettingPane

FORM_SECONDS = 0.3  # after the first screen, the form is made and the presets are read


class ExploreScreen(FrameScreen):
    """Shows the network of an edit session, and edits it. The keys that edit layers are those of the layer table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "undo", "undo", tooltip="Take the last edit back"),
        Binding("d", "compare", "compare", tooltip="Put another preset, or each marked one, beside this network"),
        Binding("t", "train", "train", tooltip="Set up a training of this network"),
        Binding("s,ctrl+s", "save", "save", tooltip="Save as a preset of your own"),
        Binding("o", "about", "source", tooltip="Where the preset is from, and its published numbers checked"),
        Binding("p", "presets", "presets", tooltip="Open another preset"),
        Binding("U,ctrl+y", "redo", "redo", show=False, tooltip="Do again what was undone"),
        Binding("I", "input", "input", show=False, tooltip="Change input size, classes and towers"),
        Binding(
            "S", "export", "export", show=False, tooltip="Write it as PyTorch or Keras code, JSON, HTML or Mermaid"
        ),
        Binding("m", "totals", "totals", show=False, tooltip="The totals written out, memory in training among them"),
        Binding("v", "picture", "picture", show=False, tooltip="Show or hide the picture of the network"),
        Binding("backslash", "marks", "marks", show=False, tooltip="Mark what differs from the preset, or stop"),
    ]

    AUTO_FOCUS = "LayerTable"
    MODE: ClassVar[Mode | None] = "explore"

    def __init__(self, session: EditSession, classes: str, hidden_columns: tuple[str, ...] = ()) -> None:
        super().__init__(classes=classes)
        self.session = session
        self._hidden_columns = hidden_columns
        self._cursor_before = 0
        self._was_broken = False
        self.presets_read = False  # whether the list of presets is complete
        self._editor: SettingPane | None = None
        self._making_form = asyncio.Lock()

    def compose_body(self) -> ComposeResult:
        """Put the presets at the left; title, picture, table, arithmetic and totals at the right."""
        with Horizontal():
            yield PresetList(id="presets", classes="frame")
            with Vertical(id="network"):
                yield TextLines(id="title")
                yield NetworkStrip(id="strip", classes="frame")
                yield LayerTable(id="layers", classes="frame")
                with Horizontal(id="detail"):
                    yield FormulaPanel(id="formulas", classes="frame")
                yield TextLines(id="totals")

    def on_mount(self) -> None:
        """Show the network; make the form and read the presets after the first screen."""
        self._list_presets()
        self.query_one(LayerTable).hidden_columns = self._hidden_columns
        self.show()
        self.set_timer(FORM_SECONDS, self._form)

    def on_resize(self) -> None:
        """Repaint everything: scrolling between the terminal's resize and Textual's layout leaves unpainted lines."""
        self.refresh()

    @property
    def selected(self) -> int:
        """The position of the layer under the cursor."""
        return self.query_one(LayerTable).cursor

    # What is shown

    def show(self) -> None:
        """Draw the network, or the preview of the edit in progress."""
        session = self.session
        with self.app.batch_update():
            self.query_one("#title", TextLines).show([self._title()])
            self.query_one(LayerTable).show(session.shown, session.baseline, dimmed=session.unreadable)
            self._draw_selected()
            self.query_one("#totals", TextLines).show(list(self._totals()))
        broken = session.analysis.broken is not None
        if broken != self._was_broken:
            self._was_broken = broken
            self.refresh_bindings()

    def _draw_selected(self) -> None:
        session, analysis = self.session, self.session.shown
        if not analysis.rows:
            return
        row = analysis.rows[min(self.selected, len(analysis.rows) - 1)]
        self.query_one(NetworkStrip).show(analysis, row.index - 1, session.baseline, dimmed=session.unreadable)
        title = "Arithmetic" if session.editing else f"Arithmetic · {row.layer.name} · {row.layer.type}"
        self.query_one(FormulaPanel).show(layer_entries(row, analysis, session.preset.published), title)

    def _title(self) -> TextLine:
        session = self.session
        preset, network = session.preset, session.shown.network
        shape = shape_text(network.input) + (f" → {network.classes}" if network.classes else "")
        parts = (preset.name, *([preset.title] if preset.title else []), shape)
        steps = f"edited · {session.step_count} steps" if session.step_count > 1 else "edited"
        state = steps if session.modified else "as opened" if preset.path else "not saved yet"
        hidden = "p presets · v picture"
        right = (state,) if self.has_class("-wide") else (f"{state} · {hidden}", state)
        return TextLine(parts, right)

    def _totals(self) -> Iterator[TextLine]:
        """Yield the totals, then the error, or the differences from before."""
        session, analysis = self.session, self.session.shown
        totals, recipe, baseline = analysis.totals, session.preset.recipe, session.baseline
        memory = analysis.memory(recipe.batch_size, recipe.optimizer_state, recipe.activation_bits)
        so_far = ""
        if analysis.broken is not None:
            before = analysis.broken.index - 2
            so_far = f" so far, to {analysis.network.name_at(before)}"
        yield TextLine(
            (
                f"{totals.params:,} params{so_far}",
                f"{short_count(totals.macs)} MACs",
                f"{bytes_text(totals.weight_bytes)}{' of weights' if self.has_class('-wide') else ''}",
                *([] if so_far else [f"{bytes_text(memory.total)} to train at batch {recipe.batch_size}"]),
            ),
            kind="faint" if session.unreadable else "",
        )
        differences: tuple[str, ...] = ()
        if baseline is not None:
            params, macs = totals.params - baseline.totals.params, totals.macs - baseline.totals.macs
            differences = (
                f"{_signed(params, f'{abs(params):,}')} params",
                f"{_signed(macs, short_count(abs(macs)))} MACs",
            )
        if session.editing:
            yield TextLine(differences, kind="faint" if session.unreadable else "changed")
        elif analysis.broken is not None:
            fix = " · f fixes it" if analysis.broken.fixes else ""
            yield TextLine((f"✗ {analysis.broken.error}{fix}",), kind="error", wraps=True)
        elif differences:
            against = f"{' and '.join(differences)} against {session.opened.name}"
            yield TextLine(("✓ every layer fits", against, "\\ hides the marks"))
        else:
            yield TextLine(("✓ every layer fits",), kind="faint")

    @on(CursorList.Highlighted, "#layers")
    def _layer_highlighted(self) -> None:
        """Write out the arithmetic of the layer under the cursor."""
        self._draw_selected()

    def on_network_strip_picked(self, event: NetworkStrip.Picked) -> None:
        """Go to the layer that was clicked in the picture."""
        self.query_one(LayerTable).cursor = event.index

    @on(CursorList.Chosen, "#layers")
    async def _layer_chosen(self) -> None:
        """Edit the layer that was double-clicked."""
        if not self.session.editing:
            await self.action_edit()

    def action_more(self) -> None:
        """Unfold the arithmetic, or scroll it down."""
        self.query_one(FormulaPanel).unfold()

    def action_less(self) -> None:
        """Scroll the arithmetic up, or fold it."""
        self.query_one(FormulaPanel).fold()

    def action_layers(self) -> None:
        """Go back to the layers; on a narrow screen, hide the presets."""
        self.remove_class("-presets")
        self.query_one(LayerTable).focus()

    def action_marks(self) -> None:
        """Mark what differs from the preset as it was opened, or stop."""
        session = self.session
        session.marks_changes = not session.marks_changes
        self.show()
        if not session.modified:
            self.notify(f"nothing differs from {session.opened.name}")
        elif session.marks_changes:
            self.notify(f"▲ more, ▼ less, ≠ other than {session.opened.name} as it was opened")
        else:
            self.notify("differences are not marked · \\ marks them")

    # Editing with the form: the form keeps the focus until the edit ends, also after a click elsewhere.

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Give the focus back to the form."""
        if self.session.editing and self._editor and self._editor not in event.widget.ancestors:
            self._editor.focus()

    async def _begin(self, edit: Edit) -> None:
        editor = await self._form()
        form = self.session.begin(edit)
        self._cursor_before = self.selected
        editor.border_title = f"Edit {edit.title}".replace("[", "\\[")
        editor.border_subtitle = "← → value · ↑ ↓ setting · ⏎ keep · esc cancel"
        self.set_class(True, "-editing")
        editor.edit(form)
        self.show()
        if self.session.shown is not self.session.analysis and edit.position is not None:  # a layer was added
            self.query_one(LayerTable).cursor = edit.position
        editor.show_help()

    async def _form(self) -> SettingPane:
        """Return the form. It is made once, some time after the first screen or when it is first used."""
        async with self._making_form:
            if self._editor is None:
                from alexplore.tui.widgets.setting_pane import SettingPane

                self._editor = SettingPane(at_once=True, id="editor", classes="frame")
                await self.query_one("#detail").mount(self._editor, before=0)
                self._read_presets()
            return self._editor

    def on_setting_list_changed(self, event: SettingList.Changed) -> None:
        """Preview what was typed."""
        event.stop()
        if self._editor is None or self.session.editing is None or event.source.form is None:
            return
        changed = self.session.preview(event.source.form.values)
        form = self.session.editing.form
        if form is not event.source.form:  # of another layer type
            self._editor.border_title = f"Edit {self.session.editing.edit.title}".replace("[", "\\[")
            self._editor.edit(form)
        if changed:
            self.show()
        self._editor.show_help()

    def on_setting_list_committed(self, event: SettingList.Committed) -> None:
        """Keep the edit, unless it can't be read."""
        event.stop()
        if self.session.commit():
            self._close_form()
            self._say_change()
        else:
            self.app.bell()

    def on_setting_list_cancelled(self, event: SettingList.Cancelled) -> None:
        """Discard the edit, and put the cursor back."""
        event.stop()
        self.session.cancel()
        self._close_form()
        self.query_one(LayerTable).cursor = self._cursor_before

    def _close_form(self) -> None:
        self.set_class(False, "-editing")
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
        """Ask for a layer type, then edit the new layer after the selected one."""
        from alexplore.tui.screens.preset_dialogs import choose_layer_type

        chosen = await choose_layer_type(self)
        if chosen is not None:
            network = self.session.network
            index = min(self.selected + 1, len(network.layers))
            await self._begin(new_layer_edit(network, index, chosen))

    async def action_input(self) -> None:
        """Edit the settings of the whole network."""
        await self._begin(input_edit(self.session.network))

    # Edits that are made with one key

    def _apply(self, network: Network, cursor: int | None = None) -> None:
        self.session.apply(network)
        self.show()
        if cursor is not None:
            self.query_one(LayerTable).cursor = cursor
        self._say_change()

    def _say_change(self) -> None:
        if self.session.last_change:
            self.notify(f"{self.session.last_change} · u takes it back")

    def _refuse(self, error: SettingError) -> None:
        self.notify(str(error), severity="error")

    def action_remove(self) -> None:
        """Remove the selected layer."""
        if len(self.session.network.layers) == 1:
            self.notify("a network needs at least one layer", severity="warning")
            return
        try:
            self._apply(self.session.network.remove(self.selected))
        except SettingError as error:
            self._refuse(error)

    def action_duplicate(self) -> None:
        """Copy the selected layer."""
        try:
            self._apply(self.session.network.duplicate(self.selected), self.selected + 1)
        except SettingError as error:
            self._refuse(error)

    def action_shift(self, step: int) -> None:
        """Move the selected layer."""
        to = self.selected + step
        if 0 <= to < len(self.session.network.layers):
            try:
                self._apply(self.session.network.move(self.selected, to), to)
            except SettingError as error:
                self._refuse(error)

    def action_undo(self) -> None:
        """Undo one edit."""
        if self.session.undo():
            self.show()
            self.notify(f"took back: {self.session.last_change} · U does it again")
        else:
            self.notify("nothing to undo")

    def action_redo(self) -> None:
        """Redo one edit."""
        if self.session.redo():
            self.show()
            self._say_change()
        else:
            self.notify("nothing to redo")

    def action_fix(self) -> None:
        """Apply the first fix that is proposed for the broken layer."""
        broken = self.session.analysis.broken
        if broken is None:
            self.notify("nothing is broken")
        elif broken.fixes:
            self._apply(broken.fixes[0].network, broken.index - 1)
        else:
            self.notify("no single change that was tried fixes it", severity="warning")

    # Presets and files

    def _list_presets(self) -> None:
        """List the presets; the numbers that are read from whole files follow later."""
        panel = self.query_one(PresetList)
        panel.show(list_entries())
        panel.point_at(self.session.preset.name)

    @work(thread=True, exclusive=True, group="presets")
    def _read_presets(self) -> None:
        """Read every preset, and find out where its data is."""
        worker = get_current_worker()
        entries = [read_entry(entry) for entry in list_entries() if not worker.is_cancelled]
        if not worker.is_cancelled:
            self.post_message(PresetsRead(entries))

    def on_presets_read(self, event: PresetsRead) -> None:
        """Show the sizes of the presets and what it takes to train them."""
        self.query_one(PresetList).show(event.entries)
        self.presets_read = True

    @on(CursorList.Highlighted, "#presets")
    def _preset_highlighted(self) -> None:
        """Show a summary of the preset under the cursor."""
        panel = self.query_one(PresetList)
        if panel.has_focus and panel.selected is not None:
            entry = panel.selected
            size = [] if entry.params is None else [f"{entry.params:,} params"]
            need = {"here": "its data is here", "to fetch": "its data is fetched when it trains"}
            words = (entry.title, *size, need.get(entry.need, entry.need), entry.error)
            self.notify(f"{entry.name}: {' · '.join(filter(None, words))}")

    @on(CursorList.Chosen, "#presets")
    def _preset_chosen(self) -> None:
        """Open the preset that was chosen in the list at the left."""
        entry = self.query_one(PresetList).selected
        if entry is not None:
            self.open_named(entry.name)

    def on_preset_list_left(self) -> None:
        """Go back to the layers."""
        self.action_layers()

    def action_presets(self) -> None:
        """Go to the list of presets; on a narrow screen it takes the place of the network."""
        self.add_class("-presets")
        self.call_after_refresh(self.query_one(PresetList).focus)

    @work
    async def open_named(self, name: str) -> None:
        """Open the preset of that name."""
        from alexplore.tui.screens.preset_dialogs import read_named

        preset = read_named(self, name)
        if preset is not None:
            await self.open_preset(preset)

    async def open_preset(self, preset: Preset) -> bool:
        """Open a preset and select its first layer; return False if the user keeps the network that is open."""
        from alexplore.tui.screens.preset_dialogs import open_preset

        if self.session.editing:
            self.notify("finish the edit first: enter keeps it, escape cancels it", severity="warning")
            return False
        if not await open_preset(self, self.session, preset):
            return False
        self.show()
        self.query_one(PresetList).point_at(preset.name)
        self.query_one(LayerTable).cursor = 0
        self.action_layers()
        self.notify(f"opened {preset.name}")
        return True

    @work
    async def action_new_network(self) -> None:
        """Open a new, minimal network."""
        from alexplore.tui.screens.preset_dialogs import new_preset

        if await self.open_preset(new_preset()):
            self.notify("a network of two layers: a adds a layer, I changes the input, s saves")

    def _presets_changed(self) -> None:
        self._list_presets()
        self._read_presets()
        self.show()

    @work
    async def action_save(self) -> None:
        """Save as a preset of the user's own."""
        from alexplore.tui.screens.preset_dialogs import save

        if await save(self, self.session):
            self._presets_changed()

    @work
    async def action_rename_preset(self) -> None:
        """Rename the preset of the user's own under the cursor."""
        from alexplore.tui.screens.preset_dialogs import rename

        entry = self.query_one(PresetList).selected
        if entry is not None and await rename(self, self.session, entry):
            self._presets_changed()

    @work
    async def action_delete_preset(self) -> None:
        """Delete the preset of the user's own under the cursor."""
        from alexplore.tui.screens.preset_dialogs import delete

        entry = self.query_one(PresetList).selected
        if entry is not None and await delete(self, self.session, entry):
            self._presets_changed()

    @work
    async def action_compare(self) -> None:
        """Compare this network with the marked presets, or with another one that the user chooses."""
        from alexplore.tui.screens.preset_dialogs import compare

        panel = self.query_one(PresetList)
        await compare(self, self.session.preset, panel.entries, panel.marked)

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
        if self.session.analysis.broken:
            self.notify("this network can't train yet: f fixes it, or change it", severity="error")
            return
        self.post_message(PlanRequested())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key works: during an edit, only the form's keys, help and the palette do."""
        if self.session.editing:
            return action in ("help", "command_palette")
        return action != "fix" or self.session.analysis.broken is not None


def _signed(difference: int, size: str) -> str:
    """Return the size of a difference with its sign."""
    return ("−" if difference < 0 else "+") + size
