"""The run that the form of Train describes: a preset, changes to its recipe, hardware and data.

The changes belong to the planned run: the preset under edit keeps its own recipe.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alexplore.core.errors import AlexploreError
from alexplore.core.settings import SettingError, settings_of
from alexplore.presets.recipe import Recipe
from alexplore.runs import service
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.tui.edit_session import EditSession
from alexplore.tui.form import Form, given_values

PARTS = (Recipe, Hardware, DataSource)


class PlannedRun:
    """A form over recipe, hardware and data for the network of an edit session."""

    def __init__(self, session: EditSession) -> None:
        self._session = session
        self.training_bytes: int | None = None
        self._fill()

    def _fill(self) -> None:
        self._filled_at = self._session.openings
        parts = (self._session.preset.recipe, Hardware(), DataSource())
        self.form = Form(PARTS, {name: value for part in parts for name, value in settings_of(part).items()})
        self.check()

    @property
    def title(self) -> str:
        """What is to be trained."""
        return f"Train {self._session.title}"

    def refresh(self) -> None:
        """Follow the session: start a new form if another preset was opened, check the form if the network changed."""
        if self._filled_at != self._session.openings:
            self._fill()
        elif self._checked_network is not self._session.network:
            self.check()

    def check(self) -> None:
        """Check what is typed, and estimate the memory that training takes (`training_bytes`, None if unreadable)."""
        self._checked_network = self._session.network
        try:
            recipe = self.config().recipe
        except SettingError as error:
            self.training_bytes = None
            self.form.set_error(str(error))
            return
        memory = self._session.analysis.memory(recipe.batch_size, recipe.optimizer_state, recipe.activation_bits)
        self.training_bytes = memory.total
        self.form.set_error("")

    def config(self) -> RunConfig:
        """Return the config of the planned run.

        Raises:
            SettingError: a value is not allowed, or one that is not optional is missing.
        """
        values = self.form.values
        given: dict[str, Any] = {}
        for part in PARTS:
            given |= given_values(part, values)
        return RunConfig(self._session.preset.name, self._session.network).change(given)

    def create(self, runs_folder: Path) -> RunDirectory | None:
        """Make the run directory; if the run can't be started, set the form's error and return None."""
        try:
            run = service.create(service.plan(self.config()), runs_folder)
        except service.PlanError as error:
            self._show_problem(error.problem.message, error.problem.setting)
            return None
        except AlexploreError as error:
            self._show_problem(str(error))
            return None
        self._session.mark_trained()
        return run

    def _show_problem(self, message: str, setting: str = "") -> None:
        in_form = any(field.name == setting for field in self.form.fields)
        self.form.set_error(message, setting if in_form else "")
