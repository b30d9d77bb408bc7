"""Find layers that look wrong after an epoch, each with the number that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from alexplore.runs.inside import InsideEpoch, LayerHistogram
from alexplore.runs.metrics import layer_key
from alexplore.runs.thresholds import DEAD_SHARE, LARGEST_RATIO, SLOWEST_LAYER, VANISHING_GRADIENT, ZERO_SHARE


@dataclass(frozen=True)
class Suspicion:
    """Something about a layer that is unusual, with its number; `family` is the key in `LAYER_METRICS`."""

    layer: str
    family: str
    reason: str


def suspicions(epoch: InsideEpoch) -> tuple[Suspicion, ...]:
    """Return what is unusual about the layers after an epoch, in the order of the figures."""
    return (*_gradients(epoch), *_updates(epoch), *_zeros(epoch))


def _figures(epoch: InsideEpoch, family: str) -> dict[str, float]:
    """Return a family's figures by layer."""
    start = layer_key(family, "")
    return {key.removeprefix(start): value for key, value in epoch.figures.items() if key.startswith(start)}


def _gradients(epoch: InsideEpoch) -> Iterator[Suspicion]:
    norms = _figures(epoch, "grad_norm")
    largest = max((norm for norm in norms.values() if isfinite(norm)), default=0.0)
    for layer, norm in norms.items():
        if not isfinite(norm):
            yield Suspicion(layer, "grad_norm", "its gradient is not finite")
        elif norm == 0:
            yield Suspicion(layer, "grad_norm", "it gets no gradient")
        elif norm < VANISHING_GRADIENT * largest:
            yield Suspicion(layer, "grad_norm", f"its gradient is 1/{largest / norm:,.0f} of the largest")


def _updates(epoch: InsideEpoch) -> Iterator[Suspicion]:
    ratios = _figures(epoch, "update_ratio")
    largest = max((ratio for ratio in ratios.values() if isfinite(ratio)), default=0.0)
    for layer, ratio in ratios.items():
        if ratio > LARGEST_RATIO:
            yield Suspicion(layer, "update_ratio", f"a step changes its weights by {ratio:.0%}")
        elif ratio < SLOWEST_LAYER * largest:  # not by itself: schedules end with small steps of all layers
            yield Suspicion(layer, "update_ratio", f"a step changes its weights by {ratio:.1e} of their norm")


def _zeros(epoch: InsideEpoch) -> Iterator[Suspicion]:
    histograms: dict[str, LayerHistogram] = {one.layer: one for one in epoch.activations}
    for layer, share in _figures(epoch, "zero_share").items():
        dead = histograms[layer].dead_share if layer in histograms else None
        if dead is not None and dead >= DEAD_SHARE:
            yield Suspicion(layer, "zero_share", f"{dead:.0%} of its units are 0 for every image")
        elif share >= ZERO_SHARE:
            yield Suspicion(layer, "zero_share", f"{share:.1%} of its outputs are 0")
