"""Where preset files are found: by path, in the user's folder, and among the shipped ones.

A preset's name is its file's stem. A user's file with a shipped name is refused rather than shadowing it.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from alexplore.core import home
from alexplore.core.regular_files import read_text
from alexplore.core.settings import nearest
from alexplore.core.shipped_files import shipped_path
from alexplore.core.toml_files import is_path
from alexplore.presets.preset import Preset, PresetError
from alexplore.presets.reader import read_preset


def shipped_folder() -> Path:
    """Return the folder of the shipped presets."""
    return shipped_path("presets/shipped", "presets")


def is_shipped(preset: Preset) -> bool:
    """Return whether a preset came with alexplore."""
    return preset.path is not None and preset.path.resolve().parent == shipped_folder()


def user_folder() -> Path:
    """Return the folder of the user's own presets.

    Raises:
        NoHomeError: there is no home folder.
    """
    return home.user_folder("config", "set $XDG_CONFIG_HOME, or give a path to a preset file") / "presets"


@cache
def shipped_names() -> tuple[str, ...]:
    """Return the names of the shipped presets."""
    return tuple(sorted(path.stem for path in shipped_folder().glob("*.toml")))


def user_paths() -> list[Path]:
    """Return the preset files in the user's folder, also those with a shipped name.

    Raises:
        PresetError: the folder can't be read.
    """
    try:
        folder = user_folder()
    except home.NoHomeError:
        return []
    try:
        return sorted(folder.glob("*.toml"))
    except OSError as error:
        raise PresetError(f"{folder}: {error.strerror}", failure=True) from None


def find_preset(name_or_path: str) -> Path:
    """Return the file of a preset.

    Raises:
        PresetError: there is none of that name, or a user's file has a shipped name.
    """
    if is_path(name_or_path):
        return home.expand(name_or_path)
    own = {path.stem: path for path in user_paths()}
    if name_or_path in shipped_names():
        if name_or_path in own:
            raise PresetError(
                f"{own[name_or_path]}: {name_or_path} is the name of a shipped preset; give your file another name"
            )
        return shipped_folder() / f"{name_or_path}.toml"
    if name_or_path in own:
        return own[name_or_path]
    known = [*shipped_names(), *own]
    raise PresetError(
        f"no preset {name_or_path!r}{nearest(name_or_path, known)} Presets: {', '.join(known)}; or a path to a file"
    )


def preset_family(path: Path) -> str:
    """Return the family that a preset file names before its layers; "other" if it names none or can't be read.

    Lists of presets are read often, and most of a file is layers. So only the text before the layers is parsed: up to
    the first line that starts with `layers` and has valid TOML before it, as a description may contain such a line.
    """
    try:
        text = read_text(path, encoding="utf-8-sig")
    except (OSError, ValueError):
        return "other"
    for start in re.finditer(r"^layers\b|\Z", text, re.MULTILINE):
        try:
            return str(tomllib.loads(text[: start.start()]).get("family", "other"))
        except (ValueError, RecursionError):
            continue
    return "other"


def load_preset(name_or_path: str) -> Preset:
    """Find, read and check a preset.

    Raises:
        PresetError: it can't be found, read or used.
    """
    return read_preset(find_preset(name_or_path))
