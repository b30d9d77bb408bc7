"""The run that the form of Train describes: a preset, changes to its recipe, hardware, data and a name.

The changes belong to the planned run: the preset under edit keeps its own recipe and its own network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexplore.core.cpu_count import processors
from alexplore.core.errors import AlexploreError
from alexplore.core.formatting import count_text
from alexplore.core.settings import SettingError, optional, setting, settings_of, text, toml_text
from alexplore.network.graph import Network
from alexplore.presets.datasets import DATASETS
from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.recipe import Recipe
from alexplore.presets.schedules import SCHEDULES
from alexplore.runs import service
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import RunDirectory, free_name
from alexplore.runs.gpus import has_nvidia_driver
from alexplore.runs.preflight import Fix
from alexplore.tui.checks import Check, CheckRequest, CheckResult, why_not_started
from alexplore.tui.edit_session import EditSession
from alexplore.tui.form import Field, Form, given_values


@dataclass(frozen=True)
class Naming:
    """The name of the run."""

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
"""Titles of settings in the form; the others have their names, with blanks for underscores."""


OPTIONS: Mapping[str, str] = {"data": "folder"}
"""The settings of options of the command line that have another name."""

USED_BY: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "dataset": {name: entry.sources for name, entry in DATASETS.items()},
    "optimizer": {name: entry.settings for name, entry in OPTIMIZERS.items()},
    "schedule": {name: entry.settings for name, entry in SCHEDULES.items()},
}
"""The settings that only some choices use, for each setting with such choices."""


class PlannedRun:
    """A form for the settings and the name of a run of an edit session's network, and the result of its checks."""

    def __init__(self, session: EditSession, runs_folder: Path) -> None:
        self._session, self.runs_folder = session, runs_folder
        self._fill()

    def _fill(self) -> None:
        self._filled_at = self._session.openings
        self._filled_in_at: int | None = None  # the position of the cursor after `fill_in`
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
        self.form.field("device").note = f"{count_text(cores, 'core')}, " + (
            "and an NVIDIA driver" if has_nvidia_driver() else "no GPU found"
        )
        self.result = CheckResult(())
        self._forget_network()
        self.follow()

    def _forget_network(self) -> None:
        """Use the session's network again, without fixes that were made only for the run."""
        self._of_network, self._network = self._session.network, self._session.network
        self.network_fixes: tuple[str, ...] = ()

    def _free_name(self) -> str:
        return free_name(self._session.preset.name, self.runs_folder)

    @property
    def title(self) -> str:
        """The title of the form."""
        return f"Recipe of {self._session.title}"

    @property
    def network(self) -> Network:
        """The network to train: the session's, with the fixes that were made for the run."""
        return self._network

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """The differences from the preset: the title of each setting, the preset's value, and this run's."""
        return [
            (field.title, field.before or "–", field.text.strip() or "–")
            for field in self.form.changed
            if field.name != "name" and self._is_used(field)
        ]

    def refresh(self) -> None:
        """Follow the session: start a new form if another preset was opened, and propose a name that is free."""
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

    def fill_in(self, config: RunConfig, reason: str = "") -> None:
        """Show the hardware and the data of a run whose network and recipe are open in the session.

        The cursor goes to the setting that `reason`, why the run failed, names; otherwise see `take_problem`.
        """
        self.refresh()
        for part in (config.hardware, config.data):
            for name, value in settings_of(part).items():
                field = self.form.field(name)
                self.form.put(field, value if isinstance(value, str) else toml_text(value))
                if field.changed:
                    self.form.fold(field.group, folded=False)
        self.follow()
        if named := self._setting_named_in(reason):
            self.form.go_to(named)
        self._filled_in_at = self.form.position

    def _setting_named_in(self, reason: str) -> str | None:
        """Return the first setting that a reason names: its option, or its own name at the beginning."""
        found = [OPTIONS.get(name, name.replace("-", "_")) for name in re.findall(r"--([a-z-]+)", reason)]
        found += re.findall(r"^\w+(?=:| )", reason)
        names = {field.name for field in self.form.fields}
        return next((name for name in found if name in names), None)

    def take_problem(self) -> str | None:
        """Return the setting at fault, once for a form that was filled in and whose cursor has not moved since."""
        if self._filled_in_at != self.form.position:
            self._filled_in_at = None
        names = {field.name for field in self.form.fields}
        if self._filled_in_at is None or self.blocked is None or self.blocked.setting not in names:
            return None
        self._filled_in_at = None
        return self.blocked.setting

    def follow(self) -> None:
        """Update the group of the folder's field, which depends on the typed data set."""
        dataset = DATASETS.get(self.form.field("dataset").text)
        needed = dataset is None or dataset.needs_folder
        self.form.field("folder").group = "Essentials" if needed else "Data and limits"

    def reset(self) -> None:
        """Undo every change of the form and every fix of the network."""
        self.form.reset(self.form.fields)
        self._forget_network()
        self.follow()

    def _is_used(self, field: Field) -> bool:
        """Return whether the chosen schedule, optimizer and data set use a setting."""
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
        """The typed or proposed name; None for a name made from the time."""
        name = self.form.field("name").value
        return name if isinstance(name, str) else None

    def request(self) -> CheckRequest | None:
        """Return the run to check; None, with the reason in `result`, if the typed values are not allowed."""
        wrong = [
            Check("wrong", "setting", field.error, field.name)
            for field in self.form.fields
            if self._is_used(field) and field.error
        ]
        if not wrong:
            try:
                return CheckRequest(self.config(), self.runs_folder, self.name)
            except SettingError as error:
                wrong = [Check("wrong", "setting", str(error))]
        self.result = CheckResult(tuple(wrong))
        self._show_on_field()
        return None

    def take(self, result: CheckResult) -> None:
        """Show the result of the checks: the notes beside settings, and the problem on the setting at fault."""
        self.result = result
        for field in self.form.fields:
            if field.name != "device":
                field.note = result.notes.get(field.name, "")
        self._show_on_field()

    def _show_on_field(self) -> None:
        names = {field.name for field in self.form.fields}
        first = next((check for check in self.result.wrong if check.setting in names), None)
        self.form.set_error(first.text if first else "", first.setting if first else "")

    @property
    def blocked(self) -> Check | None:
        """The first known problem that prevents the start of the run."""
        return next(iter(self.result.wrong), None)

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

    def create(self, request: CheckRequest) -> RunDirectory:
        """Create the run directory.

        Raises:
            AlexploreError: the run can't be started.
        """
        return service.create(service.plan(request.config, request.runs_folder), request.runs_folder, request.name)

    def refuse(self, error: AlexploreError | OSError) -> None:
        """Show why the run can't be started, on the setting at fault."""
        others = tuple(check for check in self.result.checks if check.state != "wrong")
        self.result = CheckResult((why_not_started(error), *others), self.result.notes)
        self._show_on_field()

    def mark_created(self) -> None:
        """Remember that a run has the network, and propose another name."""
        if self._network == self._session.network:
            self._session.mark_trained()
        field = self.form.field("name")
        self.form.put(field, field.before)  # the name was used for this run
        self._renew_name()
