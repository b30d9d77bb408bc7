"""What was recorded of each layer after an epoch, one row a layer, for tables of the command line and the app."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alexplore.runs.inside import InsideEpoch, LayerHistogram
from alexplore.runs.metrics import LAYER_METRICS, layer_key
from alexplore.runs.suspicion import suspicions


@dataclass(frozen=True)
class LayerView:
    """A layer after an epoch; numbers that were not measured are None. `reasons` say what is suspicious about it."""

    layer: str
    grad_norm: float | None = None
    update_ratio: float | None = None
    zero_share: float | None = None
    weights: LayerHistogram | None = None
    activations: LayerHistogram | None = None
    reasons: tuple[str, ...] = ()

    @property
    def dead_share(self) -> float | None:
        """The share of the units that are 0 for every recorded image."""
        return self.activations.dead_share if self.activations else None

    def number(self, family: str) -> str:
        """Return the text of a figure for a table, by its key in `LAYER_METRICS`."""
        return LAYER_METRICS[family].number(getattr(self, family))

    def to_dict(self) -> dict[str, Any]:
        """Return the layer for JSON."""
        values = {family: getattr(self, family) for family in LAYER_METRICS}
        parts = {"weights": self.weights, "activations": self.activations}
        histograms = {key: None if one is None else vars(one) | {"edges": one.edges} for key, one in parts.items()}
        return {"layer": self.layer, **values, "suspicious": list(self.reasons), **histograms}


def layer_views(epoch: InsideEpoch, order: Sequence[str] = ()) -> tuple[LayerView, ...]:
    """Return the layers with recorded figures or histograms, in the given order of the network's layers."""
    weights = {one.layer: one for one in epoch.weights}
    activations = {one.layer: one for one in epoch.activations}
    measured = (key.partition("/")[2] for key in epoch.figures)
    names = dict.fromkeys((*weights, *activations, *measured))
    place = {name: number for number, name in enumerate(order)}
    found: dict[str, list[str]] = {}
    for suspicion in suspicions(epoch):
        found.setdefault(suspicion.layer, []).append(suspicion.reason)
    return tuple(
        LayerView(
            layer=name,
            **{family: epoch.figures.get(layer_key(family, name)) for family in LAYER_METRICS},
            weights=weights.get(name),
            activations=activations.get(name),
            reasons=tuple(found.get(name, ())),
        )
        for name in sorted(names, key=lambda name: place.get(name, len(place)))
    )
