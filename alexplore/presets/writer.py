"""Save, rename and delete the user's own preset files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from alexplore.core.atomic_files import write_output
from alexplore.core.home import expand, resolved
from alexplore.core.regular_files import FileKindError, check_regular, read_text
from alexplore.core.toml_files import is_path
from alexplore.presets.library import shipped_folder, shipped_names, user_folder
from alexplore.presets.preset import Preset, PresetError, PresetExists
from alexplore.presets.reader import parse_preset


def save_preset(preset: Preset, name_or_path: str, overwrite: bool = False) -> Preset:
    """Save as a preset of the user's own, in their folder or at a path, and return what was saved.

    A file that is overwritten keeps its comments. It is replaced atomically.

    Raises:
        PresetExists: there is such a file and `overwrite` is not set.
        PresetError: the name is a shipped preset's, or can't be a preset's; or the file can't be written.
    """
    from alexplore.presets.text import preset_text

    path = own_path(name_or_path)
    text = preset_text(preset)
    saved = parse_preset(text, path)
    try:
        if path.exists():
            if not overwrite:
                raise PresetExists(f"{path} exists")
            check_regular(path)
            text = _text_with_comments(path, preset, saved) or text
        Path(os.path.realpath(path)).parent.mkdir(parents=True, exist_ok=True)
        write_output(path, text)
    except FileKindError as error:
        raise PresetError(f"{path}: {error.strerror}") from None
    except OSError as error:
        raise PresetError(f"{path}: {error.strerror}", failure=True) from None
    return saved


def rename_preset(path: Path, name: str) -> Path:
    """Rename a preset file of the user's; return its new path.

    Raises:
        PresetExists: there is a preset of that name.
        PresetError: the name is a shipped preset's, or can't be a preset's; or the file can't be renamed.
    """
    _check_own(path)
    new = own_path(name)
    if new.parent != path.parent:
        raise PresetError(f"{name!r} can't be a preset's name; allowed: letters, digits, -, _ and .")
    try:
        if new.exists():
            raise PresetExists(f"{new} exists; give another name")
        path.rename(new)
    except OSError as error:
        raise PresetError(f"{path}: {error.strerror}", failure=True) from None
    return new


def delete_preset(path: Path) -> None:
    """Delete a preset file of the user's.

    Raises:
        PresetError: it is a shipped preset, or can't be deleted.
    """
    _check_own(path)
    try:
        path.unlink()
    except OSError as error:
        raise PresetError(f"{path}: {error.strerror}", failure=True) from None


def _check_own(path: Path) -> None:
    if resolved(path).parent == shipped_folder():
        raise PresetError(f"{path.stem} came with alexplore: save a copy of it, which can be renamed and deleted")


def check_free(name_or_path: str) -> None:
    """Check that an imported preset can be saved under a name, or in a file, without overwriting another.

    Raises:
        PresetExists: there is such a file.
        PresetError: the name is a shipped preset's, or can't be a preset's.
    """
    advice = "give another --name, or a file with --output"
    if name_or_path in shipped_names():
        raise PresetError(f"{name_or_path} is the name of a shipped preset; {advice}")
    path = own_path(name_or_path)
    if path.exists():
        raise PresetExists(f"{path} exists; {advice}")


def own_path(name_or_path: str) -> Path:
    """Return the path at which a user's preset is saved.

    Raises:
        PresetError: the name is a shipped preset's, or can't be a preset's.
    """
    if is_path(name_or_path):
        path = expand(name_or_path)
        path = path if path.suffix == ".toml" else path.parent / f"{path.name}.toml"
    else:
        path = user_folder() / f"{name_or_path}.toml"
    if not re.fullmatch(r"\w[\w.-]*", path.stem) or name_or_path.endswith(os.sep):
        raise PresetError(f"{name_or_path!r} can't be a preset's name; allowed: letters, digits, -, _ and .")
    if path.stem in shipped_names():
        raise PresetError(f"{path.stem} is the name of a shipped preset; choose another")
    return path


def _text_with_comments(path: Path, preset: Preset, saved: Preset) -> str | None:
    """Return the text of an existing file with the preset in it, None if that text would not be read as `saved`."""
    from alexplore.presets.text import updated_text

    try:
        text = updated_text(read_text(path, encoding="utf-8-sig"), preset)
        return text if parse_preset(text, path) == saved else None
    except (ValueError, PresetError):  # not UTF-8, not TOML, or of another layout
        return None
