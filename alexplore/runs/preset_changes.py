"""The differences between a run and the current version of the preset that it was made from."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from alexplore.core.boundary import ACTIONABLE
from alexplore.presets.library import find_preset
from alexplore.presets.preset import Preset
from alexplore.presets.reader import read_preset
from alexplore.runs.config import RunConfig


class PresetChanges:
    """Compares runs with the current versions of their presets; each preset is read once."""

    def __init__(self) -> None:
        self._presets: dict[str, Preset | None] = {}

    def layers(self, config: RunConfig) -> tuple[str, ...]:
        """Return the names of layers that were changed, added, or removed (with a `−` in front).

        The result is empty if the preset can't be read any more.
        """
        preset = self._preset(config.preset)
        if preset is None:
            return ()
        original = _unchanged(config, preset)
        if original.network == config.network:
            return ()
        ours, theirs = ({layer.name: layer for layer in part.network.layers} for part in (config, original))
        changed = [name for name, layer in ours.items() if theirs.get(name) != layer]
        changed += [f"−{name}" for name in theirs if name not in ours]
        if config.network.input != original.network.input:
            changed.insert(0, "input")
        return tuple(changed)

    def _preset(self, name: str) -> Preset | None:
        if name not in self._presets:
            self._presets[name] = _find(name)
        return self._presets[name]


def preset_config(config: RunConfig) -> RunConfig | None:
    """Return the config that a run of the unchanged preset would have; None if the preset can't be read any more.

    Layers that the run's recipe freezes are frozen in it too, so that only `freeze` differs.
    """
    preset = _find(config.preset)
    return None if preset is None else _unchanged(config, preset)


def _unchanged(config: RunConfig, preset: Preset) -> RunConfig:
    return replace(config, network=preset.network.freeze(config.recipe.freeze or ()), recipe=preset.recipe)


def _find(name: str) -> Preset | None:
    try:
        path = find_preset(name)
        return _read(path, path.stat().st_mtime_ns)
    except ACTIONABLE:
        return None


@lru_cache(maxsize=64)
def _read(path: Path, _modified: int) -> Preset:
    return read_preset(path)
