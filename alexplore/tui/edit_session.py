"""The edited network: the preset as opened and with the edits so far, undo and redo, and the edit in progress.

An edit in progress begins with a form, is previewed at every keystroke, and ends with a commit or a cancel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from alexplore.core.settings import SettingError
from alexplore.network.analysis import Analysis, analyse
from alexplore.network.graph import Network
from alexplore.network.layers import EDITABLE_TYPES
from alexplore.presets.preset import Preset
from alexplore.tui.edit_texts import change_text
from alexplore.tui.edits import TYPE, Edit
from alexplore.tui.form import NAME, Form


class EditInProgress:
    """An edit that is neither committed nor cancelled: its form, the candidate network and the candidate's analysis.

    If the typed values can't be read, there is no candidate, and `analysis` is that of the network when the edit began.
    """

    def __init__(self, edit: Edit, before: Analysis) -> None:
        self.edit = edit
        self.form = edit.new_form()
        network = edit.network(self.form.values)
        self._start = before if network == before.network else analyse(network, before)
        self.candidate: Network | None = network
        self.analysis = self._start
        self._show_broken()

    def preview(self, values: Mapping[str, Any]) -> bool:
        """Analyse the network with the values of the form; return whether there is something else to show."""
        shown = (self.candidate is None, self.analysis, self.form)
        try:
            values = self._retype(values)
            self.candidate = self.edit.network(values)
        except SettingError as error:
            self.candidate, self.analysis = None, self._start
            self.form.set_error(str(error))
        else:
            self.analysis = analyse(self.candidate, self.analysis)
            self._show_broken()
        return (self.candidate is None, self.analysis, self.form) != shown

    def _retype(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change to the form of another layer type if one was chosen; return the values of the form."""
        wanted = str(values.get(TYPE))
        if self.edit.retype is None or wanted == self.edit.layer_type or wanted not in EDITABLE_TYPES:
            return values
        self.edit = self.edit.retype(wanted, values)
        name = values[NAME]
        self.form = self.edit.new_form()
        self.form.field(NAME).text = name
        self.form.go_to(TYPE)
        return self.form.values

    def _show_broken(self) -> None:
        """Set the form's error to that of a broken layer, if there is one."""
        broken = self.analysis.broken
        self.form.set_error((broken.error or "") if broken else "")


class EditSession:
    """One preset, every committed edit of it, and at most one edit in progress."""

    def __init__(self, preset: Preset) -> None:
        self.openings = 0  # how often another preset was opened
        self.open(preset)

    def open(self, preset: Preset) -> None:
        """Start over with another preset."""
        self.openings += 1
        self.preset = self.opened = preset
        self.analysis = self._opened_analysis = analyse(preset.network)
        self.marks_changes = True  # whether differences from the preset as opened are marked
        self.last_change = ""  # what the last edit changed, or the last undo or redo
        self.editing: EditInProgress | None = None
        self._trained: Network | None = None
        self._done: list[Preset] = []
        self._undone: list[Preset] = []

    @property
    def network(self) -> Network:
        """The network with every committed edit."""
        return self.preset.network

    @property
    def modified(self) -> bool:
        """Whether the network differs from what was opened or last saved."""
        return self.network != self.opened.network

    @property
    def unsaved(self) -> bool:
        """Whether closing the app would lose the network: it is in no preset file and in no run."""
        return self.network not in (self.opened.network, self._trained)

    @property
    def title(self) -> str:
        """The preset's name and title; an edited one is marked."""
        edited = " (edited)" if self.modified else ""
        return f"{self.preset.name}{edited}" + (f" · {self.preset.title}" if self.preset.title else "")

    def mark_saved(self, preset: Preset) -> None:
        """Take the preset that was just saved as the opened one; undo still works."""
        self.preset = self.opened = preset
        self._opened_analysis = self.analysis

    def mark_renamed(self, path: Path | None) -> None:
        """Follow the file of the preset, which was renamed, or deleted if `path` is None."""
        name = path.stem if path else self.preset.name
        self.preset, self.opened = (replace(one, name=name, path=path) for one in (self.preset, self.opened))

    def mark_trained(self) -> None:
        """Remember that a run has the current network."""
        self._trained = self.network

    # The edit in progress

    @property
    def shown(self) -> Analysis:
        """The analysis to show: of the edit in progress, else of the network."""
        return self.editing.analysis if self.editing else self.analysis

    @property
    def baseline(self) -> Analysis | None:
        """The analysis that the shown one is compared with; None if nothing differs, or differences are not marked.

        It is that of the network before the edit in progress, else that of the preset as opened.
        """
        if self.editing:
            return self.analysis
        return self._opened_analysis if self.marks_changes and self.modified else None

    @property
    def step_count(self) -> int:
        """How many edits can be undone."""
        return len(self._done)

    @property
    def unreadable(self) -> bool:
        """Whether the form of the edit in progress can't be read, so that the network before the edit is shown."""
        return self.editing is not None and self.editing.candidate is None

    def begin(self, edit: Edit) -> Form:
        """Begin an edit; return its form."""
        self.editing = EditInProgress(edit, self.analysis)
        return self.editing.form

    def preview(self, values: Mapping[str, Any]) -> bool:
        """Preview the edit in progress with `values`; return whether there is something else to show."""
        return self.editing is not None and self.editing.preview(values)

    def commit(self) -> bool:
        """Apply the edit in progress and end it; return False, without ending it, if its form can't be read."""
        if self.editing is None or self.editing.candidate is None:
            return False
        self.apply(self.editing.candidate)
        self.editing = None
        return True

    def cancel(self) -> None:
        """Discard the edit in progress."""
        self.editing = None

    # Committed edits

    def apply(self, network: Network) -> None:
        """Replace the network, as one step to undo; edits that were undone before can't be redone any more."""
        self.last_change = ""
        if network == self.network:
            return
        self.last_change = change_text(self.network, network)
        self._done.append(self.preset)
        self._undone.clear()
        self._show(self.preset.with_network(network))

    def undo(self) -> bool:
        """Take one step back; return whether there was one."""
        if self._done:
            self.last_change = change_text(self._done[-1].network, self.network)
        return self._step(self._done, self._undone)

    def redo(self) -> bool:
        """Take one step forward again; return whether there was one."""
        if self._undone:
            self.last_change = change_text(self.network, self._undone[-1].network)
        return self._step(self._undone, self._done)

    def _step(self, source: list[Preset], target: list[Preset]) -> bool:
        if not source:
            return False
        target.append(self.preset)
        self._show(source.pop())
        return True

    def _show(self, step: Preset) -> None:
        """Use the network of a step, and its published numbers, which follow the names of its layers."""
        self.preset = replace(self.preset, network=step.network, published=step.published)
        self.analysis = analyse(step.network, self.analysis)
