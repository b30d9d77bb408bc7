"""The changes between the network that a lesson started with and the edited one, as a learner would count them."""

from __future__ import annotations

from collections.abc import Iterator

from alexplore.network.graph import Network


def changes_between(before: Network, after: Network) -> tuple[str, ...]:
    """Return a description of each change: a setting, a layer added, removed, moved or rewired, the input, the towers.

    Which layers a layer reads is compared only where the layers are the same: those that are added, removed or moved
    change it for their neighbours.
    """
    return tuple(_changes(before, after))


def _changes(before: Network, after: Network) -> Iterator[str]:
    if before.input != after.input:
        yield "the input"
    if before.towers != after.towers:
        yield "towers"
    old = {layer.name: layer for layer in before.layers}
    new = {layer.name: layer for layer in after.layers}
    yield from (f"{name} removed" for name in old if name not in new)
    yield from (f"{name} added" for name in new if name not in old)
    kept = [name for name in old if name in new]
    if kept != [name for name in new if name in old]:
        yield "layers moved"
    if list(old) == list(new):
        for position, name in enumerate(old):
            if before.source_names(position) != after.source_names(position):
                yield f"{name} inputs"
    for name in kept:
        if old[name].type != new[name].type:
            yield f"{name} type"
            continue
        settings_before, settings_after = old[name].settings(), new[name].settings()
        for key in dict.fromkeys((*settings_before, *settings_after)):
            if settings_before.get(key) != settings_after.get(key):
                yield f"{name} {key}"
