"""Preset files: finding, reading and checking them.

A preset's name is its file's stem. Presets are found by path, in the user's folder, and among the shipped ones; a
user's file with a shipped name is refused rather than shadowing it.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from alexplore.network.layers import LAYER_TYPES
from alexplore.network.network import Network, read_network
from alexplore.network.published import Published, read_published
from alexplore.network.recipe import Recipe, read_recipe
from alexplore.network.settings import SettingError, found_text, nearest, setting_fields

KEYS = ("title", "family", "source", "description", "input", "towers", "layers", "training", "published")


class PresetError(Exception):
    """A preset that can't be found, used or saved; the message says where, what was found and what is allowed."""


class PresetExists(PresetError):
    """A preset would be saved over another file; `overwrite` does it."""


@dataclass(frozen=True)
class Preset:
    """One preset file, read and checked. `path` is None for one that was never saved."""

    name: str
    network: Network
    recipe: Recipe = field(default_factory=Recipe)
    title: str = ""
    family: str = ""
    source: str = ""
    description: str = ""
    published: tuple[Published, ...] = ()
    path: Path | None = None

    @property
    def shipped(self) -> bool:
        """Whether it came with alexplore."""
        return self.path is not None and self.path.resolve().parent == shipped_folder()

    def with_network(self, network: Network) -> Preset:
        """With an edited network: published numbers follow a layer that has another name there."""
        names = _renamed(self.network, network)
        taken = set(names.values())  # what was said of a layer that is gone is not said of the one that gets its name
        published = (one for one in self.published if one.layer not in taken)
        following = (replace(one, layer=names.get(one.layer or "", one.layer)) for one in published)
        return replace(self, network=network, published=tuple(following))


def _renamed(before: Network, after: Network) -> dict[str, str]:
    """New names by old ones, of layers that stand where they stood and are of the type that they were."""
    if len(before.layers) != len(after.layers):
        return {}
    old_names, new_names = ({layer.name for layer in network.layers} for network in (before, after))
    return {
        old.name: new.name
        for old, new in zip(before.layers, after.layers, strict=True)
        if old.type == new.type and old.name not in new_names and new.name not in old_names
    }


def shipped_folder() -> Path:
    """Where the presets that come with alexplore are: in the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "presets"
    return inside if inside.is_dir() else package.parent / "presets"


def user_folder() -> Path:
    """Where a person's own presets are kept."""
    import platformdirs

    return platformdirs.user_config_path("alexplore") / "presets"


@cache
def shipped_names() -> tuple[str, ...]:
    """The names of the shipped presets."""
    return tuple(sorted(path.stem for path in shipped_folder().glob("*.toml")))


def user_paths() -> list[Path]:
    """The files in the user's folder, those with a shipped name too."""
    folder = user_folder()
    try:
        return sorted(folder.glob("*.toml"))
    except OSError as error:
        raise PresetError(f"{folder}: {error.strerror}") from None


def find_preset(name_or_path: str) -> Path:
    """The file of a preset.

    Raises:
        PresetError: there is none of that name, or a user's file has a shipped name.
    """
    if name_or_path.endswith(".toml") or os.sep in name_or_path:
        return Path(name_or_path).expanduser()
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
    """The family that a preset file names before its layers; "other" where it names none or can't be read."""
    try:
        head = path.read_text(encoding="utf-8-sig").partition("\nlayers")[0]
        return str(tomllib.loads(head).get("family", "other"))
    except (OSError, ValueError):
        return "other"


def load_preset(name_or_path: str) -> Preset:
    """Find, read and check a preset.

    Raises:
        PresetError: it can't be found, read or used.
    """
    return read_preset(find_preset(name_or_path))


def read_preset(path: Path) -> Preset:
    """Read and check a preset file.

    Raises:
        PresetError: the file can't be read, is not TOML (with the line), or holds something that is not allowed.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PresetError(f"{path}: no such file") from None
    except OSError as error:
        raise PresetError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PresetError(f"{path}: not UTF-8 text (byte {error.start})") from None
    return parse_preset(content, path)


def save_preset(preset: Preset, name_or_path: str, overwrite: bool = False) -> Preset:
    """Save as a preset of one's own, in the user's folder or at a path, and give back what was saved.

    A file that is overwritten keeps its comments. It is replaced whole or not at all.

    Raises:
        PresetExists: there is such a file and `overwrite` is not set.
        PresetError: the name is a shipped preset's, or can't be a preset's; or the file can't be written.
    """
    from alexplore.network.preset_text import preset_text

    path = _own_path(name_or_path)
    text = preset_text(preset)
    saved = parse_preset(text, path)
    try:
        if path.exists():
            if not overwrite:
                raise PresetExists(f"{path} exists")
            text = _text_with_comments(path, preset, saved) or text
        _write(path, text)
    except OSError as error:
        raise PresetError(f"{path}: {error.strerror}") from None
    return saved


def _own_path(name_or_path: str) -> Path:
    """Where a preset of one's own is saved."""
    if name_or_path.endswith(".toml") or os.sep in name_or_path:
        path = Path(name_or_path).expanduser()
        path = path if path.suffix == ".toml" else path.with_name(f"{path.name}.toml")
    else:
        path = user_folder() / f"{name_or_path}.toml"
    if not re.fullmatch(r"\w[\w.-]*", path.stem):
        raise PresetError(f"{name_or_path!r} can't be a preset's name; allowed: letters, digits, -, _ and .")
    if path.stem in shipped_names():
        raise PresetError(f"{path.stem} is the name of a shipped preset; choose another")
    return path


def _text_with_comments(path: Path, preset: Preset, saved: Preset) -> str | None:
    """The text of an existing file with the preset in it, None where that would not read as `saved`."""
    from alexplore.network.preset_text import updated_text

    try:
        text = updated_text(path.read_text(encoding="utf-8-sig"), preset)
        return text if parse_preset(text, path) == saved else None
    except (ValueError, PresetError):  # not UTF-8, not TOML, or of another layout
        return None


def _write(path: Path, text: str) -> None:
    target = Path(os.path.realpath(path))  # a link stays a link
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def parse_preset(content: str, path: Path) -> Preset:
    """Check the text of a preset file; `path` names it in messages."""
    try:
        values = tomllib.loads(content)
    except ValueError as error:  # tomllib's own error, with the line, or an integer of thousands of digits
        raise PresetError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise PresetError(f"{path}: not valid TOML: nested too deep") from None
    try:
        return _preset(values, path)
    except SettingError as error:
        raise PresetError(f"{path}: {error}") from None


def _preset(values: Mapping[str, Any], path: Path) -> Preset:
    for key in values:
        if key not in KEYS:
            raise SettingError(f"unknown key {found_text(key)}{_place(key)} Allowed: {', '.join(KEYS)}")
    words = {}
    for key in ("title", "family", "source", "description"):
        value = values.get(key, "")
        if not isinstance(value, str):
            raise SettingError(f"{key}: found {found_text(value)}, allowed: a string")
        words[key] = value.strip()
    network = read_network(values)
    training = values.get("training", {})
    if not isinstance(training, dict):
        raise SettingError(f"training: found {found_text(training)}, allowed: a table")
    try:
        recipe = read_recipe(training)
    except SettingError as error:
        raise SettingError(f"[training]: {error}") from None
    return Preset(path.stem, network, recipe, **words, published=_published(values, network), path=path)


def _place(key: str) -> str:
    """Where a key that can't stand at the top of a file belongs, to the end of the sentence."""
    if key in setting_fields(Recipe):
        return "; it belongs in [training]."
    if key in ("name", "type") or any(key in setting_fields(cls) for cls in LAYER_TYPES.values()):
        return "; it belongs in a layer, { name = …, type = … }."
    return nearest(key, KEYS)


def _published(values: Mapping[str, Any], network: Network) -> tuple[Published, ...]:
    entries = values.get("published", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SettingError("published: allowed: [[published]] tables")
    published = []
    for number_, entry in enumerate(entries, start=1):
        try:
            one = read_published(entry)
            if one.layer is not None:
                network.index(one.layer)
        except SettingError as error:
            raise SettingError(f"[[published]] {number_}: {error}") from None
        published.append(one)
    return tuple(published)
