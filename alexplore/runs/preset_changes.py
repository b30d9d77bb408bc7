"""What differs between a run and the preset that it was made from, as the preset is now."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from alexplore.core.errors import AlexploreError
from alexplore.presets.library import find_preset
from alexplore.presets.preset import Preset
from alexplore.presets.reader import read_preset
from alexplore.runs.config import RunConfig


def preset_config(config: RunConfig) -> RunConfig | None:
    """Return the config that a run of the unchanged preset would have, None if the preset can't be read any more.

    Layers that the run's recipe freezes are frozen in it, too: `freeze` says so once.
    """
    try:
        path = find_preset(config.preset)
        preset = _read(path, path.stat().st_mtime_ns)
    except (AlexploreError, OSError):
        return None
    network = preset.network.freeze(config.recipe.freeze or ())
    return replace(config, network=network, recipe=preset.recipe)


@lru_cache(maxsize=64)
def _read(path: Path, _modified: int) -> Preset:
    return read_preset(path)


def changed_layers(config: RunConfig) -> tuple[str, ...]:
    """Return the names of the layers that differ from the preset's, those that it has in addition, and those it lacks.

    It is empty, too, if the preset can't be read any more.
    """
    original = preset_config(config)
    if original is None or original.network == config.network:
        return ()
    ours, theirs = ({layer.name: layer for layer in part.network.layers} for part in (config, original))
    changed = [name for name, layer in ours.items() if theirs.get(name) != layer]
    changed += [f"−{name}" for name in theirs if name not in ours]
    if config.network.input != original.network.input:
        changed.insert(0, "input")
    return tuple(changed)
