"""Match the tensors of a file to those of a network: by the names of the layers, or by shapes if the names differ.

A layer is matched as a whole or not at all. `load_weights` loads a file that fits the whole network, to evaluate it;
`match_weights` takes the layers that fit, to start a training from them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from alexplore.network.shapes import shape_text
from alexplore.training.errors import CheckpointError, UnfitWeightsError

COUNTER = "num_batches_tracked"
"""The batches that a batch norm has counted; files of early versions of PyTorch lack it, and nothing depends on it."""

Layers = dict[str, dict[str, Tensor]]
"""The tensors of each layer by their kinds: weight, bias, running_mean, …"""

Signature = frozenset[tuple[str, tuple[int, ...]]]
"""Kinds and shapes of a layer's tensors."""


@dataclass(frozen=True)
class Match:
    """The tensors that a network takes from a file."""

    tensors: Mapping[str, Tensor]
    """The tensors that are taken, by the network's names."""

    taken: Mapping[str, str]
    """The network's layers that are taken, each with the name that the file has for it."""

    left: Mapping[str, str]
    """The network's other layers with tensors, each with the reason."""

    unused: Mapping[str, str]
    """The file's other layers, each with its shapes."""


def match_weights(own: Mapping[str, Tensor], given: Mapping[str, Tensor], source: object) -> Match:
    """Match the tensors of a network, `own`, to those of a file, `given`.

    Layers of the same name are matched if their shapes are the same; "features.0" is the same name as "features_0", and
    the prefix is ignored after which the most names are the same, such as "model." of a LightningModule. Of the rest,
    layers with the same shapes are matched in order. `source` is named in messages.

    Raises:
        CheckpointError: a tensor that would be taken is of integers, or contains a value that is not finite.
    """
    ours, theirs = _layers(own), _layers(given)
    named = _same_names(ours, theirs)
    taken = {layer: other for layer, other in named.items() if _signature(ours[layer]) == _signature(theirs[other])}
    left = {layer: _difference(ours[layer], theirs[other]) for layer, other in named.items() if layer not in taken}
    others = {layer: tensors for layer, tensors in theirs.items() if layer not in named.values()}
    found, refused = _same_shapes({layer: ours[layer] for layer in ours if layer not in named}, others)
    taken, left = {**taken, **found}, {**left, **refused}
    tensors = {
        f"{layer}.{kind}" if layer else kind: theirs[taken[layer]][kind]
        for layer in ours
        if layer in taken
        for kind in ours[layer]
        if kind in theirs[taken[layer]]
    }
    for name, tensor in tensors.items():
        if tensor.is_floating_point() != own[name].is_floating_point():
            raise UnfitWeightsError(f"{source}: {name} contains {str(tensor.dtype).removeprefix('torch.')} numbers")
        if not tensor.isfinite().all():
            raise CheckpointError(f"{source}: {name} contains numbers that are not finite, so it can't be used")
    unused = {layer: _shapes_text(theirs[layer]) for layer in theirs if layer not in taken.values()}
    return Match(
        tensors,
        {layer: taken[layer] for layer in ours if layer in taken},
        {layer: left[layer] for layer in ours if layer in left},
        unused,
    )


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Load weights that fit the whole model, such as torchvision's, whose names are `features.0.weight` and so on.

    `source` is named in messages.

    Raises:
        CheckpointError: the tensors don't fit the model, their assignment is ambiguous, or a value is not finite.
    """
    own = model.state_dict()
    ours, theirs = (sum(not name.endswith(COUNTER) for name in names) for names in (own, tensors))
    if ours != theirs:
        raise UnfitWeightsError(f"{source}: contains {theirs} tensors, the network has {ours}")
    match = match_weights(own, tensors, source)
    for layer, reason in match.left.items():
        raise UnfitWeightsError(f"{source}: does not fit {layer}: {reason}")
    model.load_state_dict({**own, **match.tensors})


def _layers(tensors: Mapping[str, Tensor]) -> Layers:
    """Return the tensors by layer; layers are in the order of their first tensors."""
    layers: Layers = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        layers.setdefault(layer, {})[kind] = tensor
    return layers


def _signature(tensors: Mapping[str, Tensor]) -> Signature:
    return frozenset((kind, tuple(tensor.shape)) for kind, tensor in tensors.items() if kind != COUNTER)


def _same_names(ours: Layers, theirs: Layers) -> dict[str, str]:
    """Return the layers of the file that have the network's names, by the network's."""
    beginnings = [
        "",
        _shared_beginning(list(theirs)),
        *dict.fromkeys(f"{layer.partition('.')[0]}." for layer in theirs),
    ]
    spellings = [
        {layer.removeprefix(start).replace(".", "_"): layer for layer in theirs if layer.startswith(start)}
        for start in beginnings
    ]
    found = [{layer: names[layer] for layer in ours if layer in names} for names in spellings]
    return max(found, key=len)  # the first of those with most


def _shared_beginning(names: list[str]) -> str:
    """Return the prefix of whole parts that all names share, with its last dot; each name has a part after it."""
    shared = ""
    while names and all("." in name for name in names) and len({name.partition(".")[0] for name in names}) == 1:
        first = names[0].partition(".")[0]
        shared += f"{first}."
        names = [name.partition(".")[2] for name in names]
    return shared


def _same_shapes(ours: Layers, theirs: Layers) -> tuple[dict[str, str], dict[str, str]]:
    """Match layers by their shapes, in order: return the file's layer of each of the network's, or the reason for none.

    The order is that of the numbers in the names, if the file has its layers in that order too: some formats sort them.
    """
    fitting: dict[Signature, list[str]] = {}
    for layer, tensors in theirs.items():
        fitting.setdefault(_signature(tensors), []).append(layer)
    wanted: dict[Signature, list[str]] = {}
    for layer, tensors in ours.items():
        wanted.setdefault(_signature(tensors), []).append(layer)
    found: dict[str, str] = {}
    refused: dict[str, str] = {}
    for signature, layers in wanted.items():
        others = fitting.get(signature, [])
        if others != sorted(others, key=_natural_order):
            said = (
                f"{' and '.join(others)} have the same shapes, and neither their names nor their order show which is "
                "which: give them the network's names"
            )
            refused.update(dict.fromkeys(layers, said))
            continue
        found.update(zip(layers, others, strict=False))
        said = f"the file has no {'other ' * bool(others)}layer with {_shapes_text(ours[layers[0]])}"
        refused.update(dict.fromkeys(layers[len(others) :], said))
    return found, refused


def _difference(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> str:
    """Return how the file's tensors of a layer differ from the network's."""
    return f"the file has {_shapes_text(theirs)}, the network {_shapes_text(ours)}"


def _shapes_text(tensors: Mapping[str, Tensor]) -> str:
    """Return `bias 3 and weight 3×9`."""
    shapes = {kind: shape_text(shape) or "of one number" for kind, shape in sorted(_signature(tensors))}
    return " and ".join(f"{kind} {shape}" for kind, shape in shapes.items()) or "no tensors"


def _natural_order(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts `b2` before `b10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
