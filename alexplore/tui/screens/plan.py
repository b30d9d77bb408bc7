"""Train, before it starts: the form of the planned run."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from alexplore.core.errors import AlexploreError
from alexplore.core.formatting import bytes_text
from alexplore.runs import service
from alexplore.runs.directory import RunDirectory
from alexplore.tui.form import Form
from alexplore.tui.messages import ModeRequested, WatchRequested
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import AppState, Mode
from alexplore.tui.widgets.settings_editor import SettingsEditor

WIDE = 100  # columns from which the form has three columns of fields
ERROR_SECONDS = 20.0  # how long a long error is shown


class PlanScreen(FrameScreen):
    """Shows the form of the planned run."""

    CSS_PATH = "plan.tcss"
    MODE: ClassVar[Mode | None] = "train"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "start", "Start", tooltip="Start the training that the form describes"),
    ]

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self.state = state
        self._form: Form | None = None  # the form that the editor shows

    def compose_body(self) -> ComposeResult:
        """Yield the form."""
        yield SettingsEditor(id="recipe", classes="frame")

    def on_screen_resume(self) -> None:
        """Show the form, also when a dialog on top closes; what was typed stays until another preset is opened."""
        planned = self.state.planned
        planned.refresh()
        editor = self.query_one("#recipe", SettingsEditor)
        editor.border_title = Text(planned.title)
        if self._form is not planned.form:
            self._form = planned.form
            editor.edit(planned.form)
        editor.set_columns(self._form_columns)
        self._show_check()
        editor.focus()

    def on_resize(self) -> None:
        """Use the width for the form."""
        self.query_one("#recipe", SettingsEditor).set_columns(self._form_columns)

    @property
    def _form_columns(self) -> int:
        return 2 if self.size.width < WIDE else 3

    def _show_check(self) -> None:
        """Show what is wrong with the form, and the memory that the training takes."""
        editor, takes = self.query_one("#recipe", SettingsEditor), self.state.planned.training_bytes
        editor.show_message()
        memory = "" if takes is None else f"takes {bytes_text(takes)} · "
        editor.border_subtitle = f"{memory}enter starts · escape goes back"

    @on(SettingsEditor.Changed)
    def _typed(self) -> None:
        self.state.planned.check()
        self._show_check()

    @on(SettingsEditor.Committed)
    def action_start(self) -> None:
        """Start the planned run; if it can't be started, show why at the setting that is at fault."""
        run = self.state.planned.create(self.state.runs_folder)
        if run is None:
            if setting := self.state.planned.form.error_field:
                self.query_one("#recipe", SettingsEditor).select(setting)
            self._show_check()
            return
        self.post_message(WatchRequested(run))
        self._start(run)

    @on(SettingsEditor.Cancelled)
    def _cancel(self) -> None:
        self.post_message(ModeRequested(self.state.close_form()))

    @work(thread=True)
    def _start(self, run: RunDirectory) -> None:
        try:
            service.start(run)
        except AlexploreError as error:
            self.notify(str(error), title="Not started", severity="error", markup=False, timeout=ERROR_SECONDS)
