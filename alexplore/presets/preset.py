"""A preset: one file, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from alexplore.core.errors import UseOrFailureError
from alexplore.network.graph import Network
from alexplore.presets.published import Published
from alexplore.presets.recipe import Recipe

WORDS = ("title", "family", "source", "description")
"""The keys of a preset file that hold a text."""


class PresetError(UseOrFailureError):
    """A preset that can't be found, used or saved; the message says where, what was found and what is allowed.

    `failure` means that a file or folder can't be read or written (exit code 1), else it is wrong use (exit code 2).
    """


class PresetExists(PresetError):
    """Saving a preset would replace another file, which only `overwrite` allows."""


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

    def with_network(self, network: Network) -> Preset:
        """Return the preset with an edited network; published numbers follow a renamed layer."""
        names = _renamed(self.network, network)
        taken = set(names.values())  # a number of a removed layer does not belong to a layer that takes its name
        published = (one for one in self.published if one.layer not in taken)
        following = (replace(one, layer=names.get(one.layer or "", one.layer)) for one in published)
        return replace(self, network=network, published=tuple(following))


def _renamed(before: Network, after: Network) -> dict[str, str]:
    """Return new names by old ones, of layers whose position and type stayed the same."""
    if len(before.layers) != len(after.layers):
        return {}
    old_names, new_names = ({layer.name for layer in network.layers} for network in (before, after))
    return {
        old.name: new.name
        for old, new in zip(before.layers, after.layers, strict=True)
        if old.type == new.type and old.name not in new_names and new.name not in old_names
    }
