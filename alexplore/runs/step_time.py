"""Where the time of a training step goes, in sentences: a verdict, its parts, and what to try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from statistics import fmean, mode
from typing import Any

from alexplore.runs.curves import Curve
from alexplore.runs.metrics import SLOWEST_RANK, TIME_METRICS, layer_key
from alexplore.runs.watch import Snapshot

LAST_LINES = 20
"""Number of last lines with times over which means are taken."""

SLOW_LAYER = 0.4
"""Share of the forward pass above which a layer is named."""


@dataclass(frozen=True)
class Bound:
    """A part that limits the training if it takes at least `share` of a step."""

    part: str
    name: str
    share: float

    does: str
    """The end of the sentence `62% of a step of 12 ms …`."""

    advice: str


BOUNDS: Mapping[str, Bound] = {
    bound.name: bound
    for bound in (
        Bound(
            "time/input", "data-bound", 0.25, "waits for images",
            "images that are decoded once and are small, a faster disk, more processors, or a larger network: "
            "it would cost nothing",
        ),
        Bound(
            "time/copy", "transform-bound", 0.25, "copies, crops, flips and normalises images",
            "smaller images, no random_crop, horizontal_flip or color_noise, or a device that prepares them faster",
        ),
        Bound(
            "time/wait", "slow rank", 0.15, "waits for other ranks",
            "what else runs on that rank's processor or GPU, and where it reads its images from",
        ),
        Bound(
            "time/exchange", "exchange-bound", 0.3, "exchanges data between ranks",
            "larger batches, so that gradients are exchanged less often, fewer ranks, or a faster connection",
        ),
        Bound(
            "time/optimizer", "optimizer-bound", 0.4, "updates the weights",
            "larger batches, so that there are fewer updates, or an optimizer that keeps less, such as sgd",
        ),
        Bound(
            "time/evaluation", "evaluation-bound", 0.4, "evaluates and records epochs",
            "fewer validation images: --limit-val",
        ),
    )
}  # fmt: skip
"""What can limit a training besides its calculations, by name. The shares are rules of thumb."""


@dataclass(frozen=True)
class StepTime:
    """The mean milliseconds of a step by the keys of `TIME_METRICS`, the longest first."""

    parts: Mapping[str, float]

    slowest_rank: int | None = None
    """The rank that others wait for."""

    slow_layer: tuple[str, float] | None = None
    """The layer with the longest forward pass, and its share of the forward pass, from 0 to 1."""

    @property
    def total(self) -> float:
        """Milliseconds of a step, with its share of the evaluations."""
        return sum(self.parts.values())

    def share(self, part: str) -> float:
        """Return the share of a step that a part takes, from 0 to 1."""
        return self.parts.get(part, 0.0) / self.total if self.total > 0 else 0.0

    @property
    def bound(self) -> Bound | None:
        """What limits the training: the part that exceeds its limit by the largest factor; None for its calculations.

        If a part is slow on only one of two ranks, the other rank waits for as long. The limit of waiting is lower, so
        the verdict is a slow rank, which is named.
        """
        found = [bound for bound in BOUNDS.values() if self.share(bound.part) >= bound.share]
        return max(found, key=lambda bound: self.share(bound.part) / bound.share, default=None)

    @property
    def name(self) -> str:
        """The name of what limits the training."""
        return self.bound.name if self.bound else "compute-bound"

    @property
    def parts_text(self) -> str:
        """The shares of the parts that take at least 1 %, such as `input 62% · backward 20% · forward 11%`."""
        shares = {TIME_METRICS[part].heading: self.share(part) for part in self.parts}
        return " · ".join(f"{heading} {share:.0%}" for heading, share in shares.items() if share >= 0.01)

    @property
    def verdict(self) -> str:
        """What limits the training, in one sentence with its number."""
        length = f"a step of {self.total:.3g} ms"
        if bound := self.bound:
            named = f"; the slowest is rank {self.slowest_rank}" if bound.part == "time/wait" else ""
            return f"{bound.name}: {self.share(bound.part):.0%} of {length} {bound.does}{named}"
        work = sum(self.share(f"time/{part}") for part in ("forward", "backward", "step"))
        verdict = f"{self.name}: {work:.0%} of {length} calculates forward and backward"
        if self.slow_layer is None or self.slow_layer[1] < SLOW_LAYER:
            return verdict
        return f"{verdict}; {self.slow_layer[0]} takes {self.slow_layer[1]:.0%} of the forward pass"

    @property
    def advice(self) -> str:
        """What to try."""
        return self.bound.advice if self.bound else "alexplore profile, which times each layer"

    def to_dict(self) -> dict[str, Any]:
        """Return verdict, advice and the milliseconds of a step by part, as `runs show --json` prints them."""
        layer = {"slow_layer": self.slow_layer[0], "slow_layer_share": self.slow_layer[1]} if self.slow_layer else {}
        rank = {} if self.slowest_rank is None else {"slowest_rank": self.slowest_rank}
        return {
            "bound": self.name,
            "verdict": self.verdict,
            "advice": self.advice,
            **rank,
            **layer,
            "parts": dict(self.parts),
        }


def step_time(snapshot: Snapshot) -> StepTime | None:
    """Return where the time of a run's steps goes; None if that was not recorded."""
    curves = snapshot.curves
    found = {key: value for key in TIME_METRICS if key != SLOWEST_RANK and (value := _last_mean(curves.get(key)))}
    if not found:
        return None
    layers = {
        layer.name: value
        for layer in snapshot.config.network.layers
        if (value := _last_mean(curves.get(layer_key("forward_time", layer.name))))
    }
    slow = max(layers, key=layers.__getitem__, default=None)
    ranks = curves.get(SLOWEST_RANK)
    return StepTime(
        dict(sorted(found.items(), key=lambda item: -item[1])),
        int(mode(ranks.values[-LAST_LINES:])) if ranks and all(map(isfinite, ranks.values[-LAST_LINES:])) else None,
        None if slow is None else (slow, layers[slow] / sum(layers.values())),
    )


def _last_mean(curve: Curve | None) -> float | None:
    """Return the mean of the last values, without the very first, which includes PyTorch's slow first step."""
    values = () if curve is None else curve.values[len(curve.values) > 1 :]
    finite = [value for value in values if isfinite(value) and value >= 0]
    return fmean(finite[-LAST_LINES:]) if finite else None
