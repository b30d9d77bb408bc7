"""The run that the form of Train describes: a preset, changes to its recipe, hardware, data and a name.

The changes belong to the planned run: the preset under edit keeps its own recipe and its own network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexplore.core.cpu_count import processors
from alexplore.core.errors import AlexploreError
from alexplore.core.settings import SettingError, optional, setting, settings_of, text, toml_text
from alexplore.network.graph import Network
from alexplore.presets.datasets import DATASETS
from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.recipe import Recipe
from alexplore.presets.schedules import SCHEDULES
from alexplore.runs import service
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import RunDirectory, free_name
from alexplore.runs.estimate import NVIDIA_DRIVER
from alexplore.runs.preflight import Fix
from alexplore.tui.checks import Answer, Check, Question, why_not_started
from alexplore.tui.edit_session import EditSession
from alexplore.tui.form import Field, Form, given_values


@dataclass(frozen=True)
class Naming:
    """How the run is called."""

    name: str | None = setting(optional(text()), None, "folder of the run; named by the time if left out")


PARTS = (Recipe, Hardware, DataSource)

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Essentials": ("dataset", "folder", "epochs", "batch_size", "optimizer", "lr", "schedule", "name"),
    "Machine": ("device", "gpus", "parallel", "precision", "micro_batch_size"),
    "Images": ("normalize", "resize", "random_crop", "crop_padding", "horizontal_flip", "color_noise"),
    "Start from weights": ("weights", "freeze", "head_lr"),
    "Schedule": ("warmup_epochs", "step_epochs", "gamma", "patience", "reductions", "early_stopping", "monitor"),
    "Regularising": (
        "momentum",
        "weight_decay",
        "bias_lr",
        "label_smoothing",
        "clip_grad_norm",
        "ema_decay",
        "swa_epochs",
        "swa_lr",
        "class_weights",
        "balanced_sampling",
    ),
    "Data and limits": (
        "limit_train",
        "limit_val",
        "val_share",
        "download",
        "seed",
        "checkpoint_minutes",
        "deterministic",
        "inside",
    ),
}
"""Every setting of a run, in the order of the form; the first group is always open."""

TITLES: Mapping[str, str] = {
    "dataset": "data set",
    "lr": "learning rate",
    "name": "run's name",
    "gpus": "ranks",
    "bias_lr": "bias rate",
    "head_lr": "head's rate",
    "inside": "record inside",
    "step_epochs": "epochs a step",
}
"""How the form calls settings whose name is not plain; else underscores become blanks."""


USED_BY: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "dataset": {name: entry.sources for name, entry in DATASETS.items()},
    "optimizer": {name: entry.settings for name, entry in OPTIMIZERS.items()},
    "schedule": {name: entry.settings for name, entry in SCHEDULES.items()},
}
"""The settings that only some choices use, for each setting with such choices."""


class PlannedRun:
    """A form over recipe, hardware, data and name for the network of an edit session, and what was found of it."""

    def __init__(self, session: EditSession, runs_folder: Path) -> None:
        self._session, self.runs_folder = session, runs_folder
        self._fill()

    def _fill(self) -> None:
        self._filled_at = self._session.openings
        parts = (self._session.preset.recipe, Hardware(), DataSource(), Naming(self._free_name()))
        values = {name: value for part in parts for name, value in settings_of(part).items()}
        self.form = Form([type(part) for part in parts], values, groups=GROUPS)
        for field in self.form.fields:
            field.title = TITLES.get(field.name, field.name.replace("_", " "))
        for name in ("name", "folder", "weights"):
            self.form.field(name).literal = True
        for name in ("folder", "weights"):
            self.form.field(name).opens = True
        self.form.field("batch_size").doubles = True
        self.form.is_used = self._is_used
        cores = processors()
        self.form.field("device").note = f"{cores} core{'s' * (cores > 1)}, " + (
            "and an NVIDIA driver" if NVIDIA_DRIVER.exists() else "no GPU found"
        )
        self.answer = Answer(())
        self._forget_network()
        self.follow()

    def _forget_network(self) -> None:
        """Train the session's network again, without fixes that were made for the run alone."""
        self._of_network, self._network = self._session.network, self._session.network
        self.network_fixes: tuple[str, ...] = ()

    def _free_name(self) -> str:
        return free_name(self._session.preset.name, self.runs_folder)

    @property
    def title(self) -> str:
        """What is to be trained."""
        return f"Recipe of {self._session.title}"

    @property
    def network(self) -> Network:
        """What is trained: the session's network, with the fixes that were made for the run."""
        return self._network

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """What differs from the preset: the title of each setting, its value there, and its value here."""
        return [
            (field.title, field.before or "–", field.text.strip() or "–")
            for field in self.form.changed
            if field.name != "name" and self._is_used(field)
        ]

    def refresh(self) -> None:
        """Follow the session: start a new form if another preset was opened; a name that was taken is replaced."""
        if self._filled_at != self._session.openings:
            self._fill()
            return
        if self._of_network is not self._session.network:
            self._forget_network()
        self._renew_name()

    def _renew_name(self) -> None:
        field = self.form.field("name")
        if not field.changed:
            field.text = field.before = self._free_name()

    def follow(self) -> None:
        """Follow what was typed: which group the folder is in depends on the data set."""
        dataset = DATASETS.get(self.form.field("dataset").text)
        needed = dataset is None or dataset.needs_folder
        self.form.field("folder").group = "Essentials" if needed else "Data and limits"

    def reset(self) -> None:
        """Forget every change: those of the form, and the fixes of the network."""
        self.form.reset(self.form.fields)
        self._forget_network()
        self.follow()

    def _is_used(self, field: Field) -> bool:
        """Return whether a setting matters with the schedule, the optimizer and the data set that were chosen."""
        form = self.form
        for choice, settings_by_choice in USED_BY.items():
            chosen = form.field(choice).text
            declared = any(field.name in settings for settings in settings_by_choice.values())
            if declared and field.name not in settings_by_choice.get(chosen, (field.name,)):
                return False
        return field.name != "crop_padding" or form.field("random_crop").text != "false"

    # Checks

    def config(self) -> RunConfig:
        """Return the config of the planned run.

        Raises:
            SettingError: a value is not allowed, or one that is not optional is missing.
        """
        fields = self.form.fields
        values = {field.name: field.value for field in fields if self._is_used(field) or not field.error}
        given: dict[str, Any] = {}
        for part in PARTS:
            given |= given_values(part, values)
        return RunConfig(self._session.preset.name, self._network).change(given)

    @property
    def name(self) -> str | None:
        """The name that was typed or proposed, None for one after the time."""
        name = self.form.field("name").value
        return name if isinstance(name, str) else None

    def question(self) -> Question | None:
        """Return what is to be checked; None, with an answer that says why, where what is typed can't be read."""
        wrong = [
            Check("wrong", "setting", field.error, field.name)
            for field in self.form.fields
            if self._is_used(field) and field.error
        ]
        if not wrong:
            try:
                return Question(self.config(), self.runs_folder, self.name)
            except SettingError as error:
                wrong = [Check("wrong", "setting", str(error))]
        self.answer = Answer(tuple(wrong))
        self._show_on_field()
        return None

    def take(self, answer: Answer) -> None:
        """Take over what was found: the notes beside settings, and what is wrong on the setting at fault."""
        self.answer = answer
        for field in self.form.fields:
            if field.name != "device":
                field.note = answer.notes.get(field.name, "")
        self._show_on_field()

    def _show_on_field(self) -> None:
        names = {field.name for field in self.form.fields}
        first = next((check for check in self.answer.wrong if check.setting in names), None)
        self.form.set_error(first.text if first else "", first.setting if first else "")

    @property
    def blocked(self) -> Check | None:
        """The known problems that prevent the start of the run."""
        return next(iter(self.answer.wrong), None)

    def fix(self, fix: Fix) -> None:
        """Make a change that removes a problem."""
        for name, value in fix.changes.items():
            if name == "network":
                self._network = value
                self.network_fixes = (*self.network_fixes, fix.text)
            else:
                field = self.form.field(name)
                self.form.put(field, value if isinstance(value, str) else toml_text(value))
                self.form.fold(field.group, folded=False)
        self.follow()

    # Starting

    def create(self, question: Question) -> RunDirectory:
        """Make the run directory.

        Raises:
            AlexploreError: the run can't be started.
        """
        return service.create(service.plan(question.config, question.runs_folder), question.runs_folder, question.name)

    def refuse(self, error: AlexploreError) -> None:
        """Show why the run can't be started, on the setting at fault."""
        others = tuple(check for check in self.answer.checks if check.state != "wrong")
        self.answer = Answer((why_not_started(error), *others), self.answer.notes)
        self._show_on_field()

    def mark_created(self) -> None:
        """Remember that a run has the network, and propose another name."""
        if self._network == self._session.network:
            self._session.mark_trained()
        field = self.form.field("name")
        self.form.put(field, field.before)  # a name is of one run
        self._renew_name()
