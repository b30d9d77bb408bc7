"""The user's preferences: a TOML file that the app writes, and that can be edited by hand."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alexplore.core.atomic_files import write_atomically
from alexplore.core.errors import AlexploreError
from alexplore.core.home import NoHomeError, user_folder
from alexplore.core.regular_files import read_text
from alexplore.core.settings import (
    SettingError,
    choice,
    flag,
    read_settings,
    setting,
    setting_fields,
    text,
    texts,
    toml_text,
)
from alexplore.core.terminal_notice import WAYS
from alexplore.runs.occasion_kinds import OCCASIONS, USUAL
from alexplore.tui.state import MODES

KEYS = "keys"
HEADER = """\
# Your preferences for `alexplore tui`, and for how the end of a training is reported. The app changes this file where
# you choose something in it, such as a theme. Your own changes take effect at the next start. A setting that is left
# out has its default.
"""
KEYS_NOTE = """
# Other keys for an action, by the name that the help (?) shows beside it: "explore.undo" = "z"
[keys]
"""


class PreferencesError(AlexploreError):
    """The file can't be read or written; the message says where and why."""


@dataclass(frozen=True)
class Preferences:
    """The preferences; `keys` maps the names of actions to their keys."""

    theme: str = setting(text(), "textual-dark", "the colours; the palette (ctrl+p) previews all themes")
    start: str = setting(choice(*MODES), "explore", "the screen that the app opens with")
    preset: str = setting(text(), "paper", "the preset that the app opens with")
    welcome: bool = setting(flag(), True, "whether the welcome card is shown as long as there are no runs")
    hidden_columns: tuple[str, ...] = setting(texts(), (), "titles of columns of the layer table that are not shown")
    notify: str = setting(
        choice(*WAYS), "bell", "how to notify you when a run needs you; osc also shows a notification"
    )
    notify_on: tuple[str, ...] = setting(texts(), USUAL, f"when to notify you, any of {', '.join(OCCASIONS)}")
    pixels: bool = setting(
        flag(), True, "whether pictures are drawn in pixels where the terminal has Sixel or kitty's protocol"
    )
    keys: Mapping[str, str] = field(default_factory=dict)


DEFAULT = Preferences()


def preferences_file() -> Path | None:
    """Return the path of the preferences; None without a home folder."""
    try:
        return user_folder("config", "preferences are not kept") / "preferences.toml"
    except NoHomeError:
        return None


def read_preferences(path: Path) -> Preferences:
    """Return the preferences in a file, or the defaults if there is no file.

    Raises:
        PreferencesError: the file can't be read, or has a value that is not allowed.
    """
    try:
        values: dict[str, Any] = tomllib.loads(read_text(path))
    except FileNotFoundError:
        return Preferences()
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PreferencesError(f"{path}: {reason}") from None
    keys = values.pop(KEYS, {})
    if not isinstance(keys, dict) or not all(isinstance(value, str) for value in keys.values()):
        raise PreferencesError(f'{path}: [keys] holds lines such as "explore.undo" = "z"')
    try:
        return Preferences(**read_settings(Preferences, values), keys=keys)
    except SettingError as error:
        raise PreferencesError(f"{path}: {error}") from None


def write_preferences(preferences: Preferences, path: Path) -> None:
    """Write the preferences, each with its description.

    Raises:
        PreferencesError: the file can't be written.
    """
    lines = [HEADER]
    for name, declared in setting_fields(Preferences).items():
        value = getattr(preferences, name)
        comment = "# " if value == declared.default else ""
        lines.append(f"# {declared.metadata['doc']}: {declared.metadata['kind'].allowed}")
        lines.append(f"{comment}{name} = {toml_text(value)}\n")
    lines.append(KEYS_NOTE.strip())
    lines += [f"{toml_text(action)} = {toml_text(keys)}" for action, keys in preferences.keys.items()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise PreferencesError(f"{path}: {error.strerror}") from None


class PreferencesStore:
    """The preferences and their file. A file that can't be read is not overwritten until it is fixed."""

    def __init__(self, path: Path | None) -> None:
        """Read the preferences from `path`; if it is None, use the defaults and write nothing."""
        self._path = path
        self.problem = ""  # why the file was not read
        self.values = Preferences()
        if path is not None:
            try:
                self.values = read_preferences(path)
            except PreferencesError as error:
                self.problem = str(error)

    def make_file(self) -> Path:
        """Write the file, with every setting explained, unless there is one; return its path.

        Raises:
            PreferencesError: there is no home folder, or the file can't be written.
        """
        if self._path is None:
            raise PreferencesError("there is no home folder for preferences")
        if not self._path.exists():
            write_preferences(self.values, self._path)
        return self._path

    def change(self, **changes: Any) -> None:
        """Change preferences, and write them beside those that the file has now.

        Raises:
            PreferencesError: the file can't be written, or can't be read, or could not when the app started.
        """
        changed = replace(self.values, **changes)
        if changed == self.values:
            return
        self.values = changed
        if self._path is None:
            return
        if self.problem:
            raise PreferencesError(f"not saved, because the file can't be read: {self.problem}")
        written = read_preferences(self._path)  # it may have been edited, or another app has written it
        write_preferences(replace(written, **changes), self._path)
