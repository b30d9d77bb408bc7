"""Texts that describe edits: `pool2: padding 0 → 1`."""

from __future__ import annotations

from collections.abc import Iterator

from alexplore.core.settings import toml_text
from alexplore.network.graph import Network
from alexplore.network.layers.base import Layer
from alexplore.network.shapes import shape_text

NOTHING = "nothing changed"
NOT_SET = "not set"


def change_text(before: Network, after: Network) -> str:
    """Return the differences between two networks, each with the name of its layer."""
    return " · ".join(_changes(before, after)) or NOTHING


def _changes(before: Network, after: Network) -> Iterator[str]:
    if before.input != after.input:
        yield f"input {shape_text(before.input)} → {shape_text(after.input)}"
    if before.towers != after.towers:
        yield f"towers {before.towers} → {after.towers}"
    old, new = ([layer.name for layer in network.layers] for network in (before, after))
    gone, come = set(old) - set(new), set(new) - set(old)
    if len(old) == len(new) and all(a == b or (a in gone and b in come) for a, b in zip(old, new, strict=True)):
        renamed = dict(zip(old, new, strict=True))
        for one, other in zip(before.layers, after.layers, strict=True):
            yield from _layer_changes(one, other, renamed)
        return
    yield from (f"{name} removed" for name in old if name in gone)
    yield from (f"{name} added" for name in new if name in come)
    if not gone and not come:
        moved = _moved(old, new)
        yield f"{moved} moved from {old.index(moved) + 1} to {new.index(moved) + 1}"
        return
    by_name = {layer.name: layer for layer in before.layers}
    for layer in after.layers:
        if layer.name in by_name:
            yield from _setting_changes(by_name[layer.name], layer)


def _moved(old: list[str], new: list[str]) -> str:
    """Return the name that was moved: without it both orders are equal. If there is none, the first that differs."""
    differing = [name for name, other in zip(old, new, strict=True) if name != other]
    for name in differing:
        if [one for one in old if one != name] == [one for one in new if one != name]:
            return name
    return differing[0]


def _layer_changes(before: Layer, after: Layer, renamed: dict[str, str]) -> Iterator[str]:
    if before.name != after.name:
        yield f"{before.name} renamed to {after.name}"
    if tuple(renamed.get(name, name) for name in before.inputs) != after.inputs:
        yield f"{after.name}: reads {', '.join(after.inputs) or 'the layer before'}"
    yield from _setting_changes(before, after)


def _setting_changes(before: Layer, after: Layer) -> Iterator[str]:
    if before is after:  # as for most layers: comparing the settings is slower
        return
    if before.type != after.type:
        yield f"{after.name}: {before.type} → {after.type}"
        return
    old, new = before.settings(), after.settings()
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            values = (toml_text(each.get(key)) or NOT_SET for each in (old, new))
            yield f"{after.name}: {key} {' → '.join(values)}"
