"""The config of a run: its network, recipe, hardware and data, as config.json holds them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from alexplore import __version__
from alexplore.core.regular_files import parse_json
from alexplore.core.settings import (
    SettingError,
    choice,
    flag,
    found_text,
    integer,
    number,
    optional,
    read_settings,
    setting,
    setting_fields,
    settings_of,
    text,
)
from alexplore.network.graph import Network, read_network
from alexplore.presets.preset import Preset
from alexplore.presets.recipe import Recipe, change_recipe, read_recipe
from alexplore.runs.lines import read_time
from alexplore.runs.steering import RecipeChange, add_change, read_changes, recipe_at

FORMAT = 1
DEVICES = ("auto", "cpu", "cuda", "mps")
PARALLEL = ("data", "towers")


@dataclass(frozen=True)
class Hardware:
    """The hardware that a run trains on."""

    device: str = setting(choice(*DEVICES), "auto", "auto takes the GPUs, or another accelerator, else the CPU")
    gpus: int | None = setting(
        optional(integer(1, 1024)), None, "ranks to start; all GPUs, or one CPU rank, if left out"
    )
    parallel: str = setting(choice(*PARALLEL), "data", "split the batch, or the network's towers, among the ranks")


@dataclass(frozen=True)
class DataSource:
    """Where the images are, and how many of them are used."""

    folder: str | None = setting(optional(text()), None, "folder of the data set; the first place to look")
    limit_train: int | None = setting(optional(integer(1)), None, "use only this many training images")
    limit_val: int | None = setting(optional(integer(1)), None, "use only this many validation images")
    val_share: float = setting(
        number(0, 1, above=True, below=True), 0.2, "share of an image folder without val/ that is held out of training"
    )
    download: bool = setting(flag(), True, "whether a missing data set may be downloaded")


@dataclass(frozen=True)
class RunConfig:
    """Everything that is needed to start a run, and to start it again.

    `recipe` is the current one, with all `changes` that were made while the run was trained. `created` is the time at
    which the run was created, in seconds since 1970; it does not enter comparisons.
    """

    preset: str
    network: Network
    recipe: Recipe = field(default_factory=Recipe)
    hardware: Hardware = field(default_factory=Hardware)
    data: DataSource = field(default_factory=DataSource)
    created: float | None = field(default=None, compare=False)
    changes: tuple[RecipeChange, ...] = ()

    def recipe_at(self, step: int) -> Recipe:
        """Return the recipe of the update after `step` updates."""
        return recipe_at(self.recipe, self.changes, step)

    def steered(self, step: int, values: Mapping[str, Any]) -> RunConfig:
        """Return the config with other values of the recipe from the update after `step` updates on.

        Raises:
            SettingError: a key is unknown or a value is not allowed.
        """
        recipe, changes = add_change(self.recipe, self.changes, step, values)
        return replace(self, recipe=recipe, changes=changes)

    def as_preset(self, title: str) -> Preset:
        """Return the network and the recipe as a preset that is not saved."""
        return Preset(self.preset, self.network, self.recipe, title=title)

    def as_started(self) -> RunConfig:
        """Return the config before all changes that were made while the run was trained."""
        return replace(self, recipe=self.recipe_at(-1), changes=())

    def options(self, *, defaults: bool = True) -> dict[str, Any]:
        """Return hardware and data settings by the names of their options; with `defaults=False` only changed ones."""
        hardware, data = (settings_of(part, defaults=defaults) for part in (self.hardware, self.data))
        return {**hardware, **{"data" if name == "folder" else name: value for name, value in data.items()}}

    def change(self, changes: Mapping[str, Any]) -> RunConfig:
        """Return the config with other values of some settings.

        A key is a setting of `Recipe`, `Hardware` or `DataSource`, whose names do not overlap, or `network`. The new
        values of a recipe count from the beginning: earlier changes of the same keys are dropped.

        Raises:
            SettingError: a key is unknown or a value is not allowed.
        """
        settings = {key: value for key, value in changes.items() if key != "network"}
        of_hardware, of_data = (
            {key: settings.pop(key) for key in setting_fields(part) if key in settings}
            for part in (Hardware, DataSource)
        )
        return RunConfig(
            self.preset,
            changes.get("network", self.network),
            change_recipe(self.recipe, settings),
            Hardware(**read_settings(Hardware, {**settings_of(self.hardware), **of_hardware})),
            DataSource(**read_settings(DataSource, {**settings_of(self.data), **of_data})),
            self.created,
            tuple(rest for change in self.changes if (rest := change.without(tuple(settings))).after),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what config.json holds."""
        return {
            "format": FORMAT,
            "alexplore": __version__,
            **({} if self.created is None else {"created": round(self.created, 3)}),
            "preset": self.preset,
            "network": self.network.to_dict(),
            "recipe": self.recipe.to_dict(),
            "hardware": settings_of(self.hardware),
            "data": settings_of(self.data),
            **({"changes": [change.to_dict() for change in self.changes]} if self.changes else {}),
        }

    def to_json(self) -> str:
        """Return the text of config.json."""
        return json.dumps(self.to_dict(), indent=1) + "\n"


def parse_config(content: str, where: Path) -> RunConfig:
    """Read the text of config.json; `where` is its path, for messages.

    Raises:
        SettingError: this version can't read it.
    """
    try:
        values = parse_json(content)
    except ValueError as error:
        raise SettingError(f"{where}: not valid JSON: {error}") from None
    try:
        return _config(values)
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from None


def _config(values: Any) -> RunConfig:
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        raise SettingError(f"format: allowed: {FORMAT}; this file is from another version of alexplore, or damaged")
    preset = values.get("preset")
    if not isinstance(preset, str):
        raise SettingError(f"preset: found {found_text(preset)}, allowed: a string")
    tables = {key: _table(values, key) for key in ("network", "recipe", "hardware", "data")}
    network, recipe, hardware, data = (_shared(key, json.dumps(table)) for key, table in tables.items())
    return RunConfig(
        preset,
        network,
        recipe,
        hardware,
        data,
        read_time(values.get("created")),
        read_changes(values.get("changes", [])),
    )


TABLES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "network": read_network,
    "recipe": read_recipe,
    "hardware": lambda values: Hardware(**read_settings(Hardware, values)),
    "data": lambda values: DataSource(**read_settings(DataSource, values)),
}
"""What reads each table of config.json."""


@lru_cache(maxsize=256)
def _shared(table: str, text: str) -> Any:
    """Return what a table in a text of JSON says: the same object for the same text, as lists have many such runs."""
    return TABLES[table](json.loads(text))


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if key not in values:
        raise SettingError(f"{key} is missing")
    if not isinstance(values[key], Mapping):
        raise SettingError(f"{key}: found {found_text(values[key])}, allowed: a table")
    table: Mapping[str, Any] = values[key]
    return table
