"""Two networks side by side: which layers answer to each other, and what differs.

Layers are aligned so that as many as possible, and as like as possible, stand beside each other in order: the classic
longest-common-subsequence recurrence, with a score for how like two layers are in place of equality.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

from alexplore.network.analysis import Analysis, Row, analyse
from alexplore.network.graph import Network
from alexplore.network.layers import Layer, Pool2d

QUANTITIES = ("output", "params", "macs", "receptive_field")
TOTALS = (
    "params", "trainable_params", "macs", "neurons", "connections", "weight_bytes", "activation_bytes",
    "exchange_bytes",
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A layer of each network that answer to each other; None where one network has none."""

    a: Row | None
    b: Row | None

    @cached_property
    def settings(self) -> dict[str, tuple[Any, Any]]:
        """Settings that differ, as (a's, b's); None for one that a layer has not."""
        if self.a is None or self.b is None:
            return {}
        a, b = _meant(self.a.layer), _meant(self.b.layer)
        return {key: (a.get(key), b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key)}

    @cached_property
    def numbers(self) -> dict[str, tuple[Any, Any]]:
        """Shape, parameters, MACs and receptive field that differ, as (a's, b's)."""
        if self.a is None or self.b is None:
            return {}
        a, b = _numbers(self.a), _numbers(self.b)
        return {key: (a[key], b[key]) for key in QUANTITIES if a[key] != b[key]}

    @property
    def kind(self) -> str:
        """`same`; `changed` where type or settings differ; `follows` where only numbers do; `only a` or `only b`."""
        if self.a is None:
            return "only b"
        if self.b is None:
            return "only a"
        if self.settings or self.a.layer.type != self.b.layer.type:
            return "changed"
        return "follows" if self.numbers else "same"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "a": None if self.a is None else _layer(self.a),
            "b": None if self.b is None else _layer(self.b),
            "settings": {key: list(values) for key, values in self.settings.items()},
            "numbers": {key: list(values) for key, values in self.numbers.items()},
        }


@dataclass(frozen=True)
class Comparison:
    """Two networks, their layers in pairs."""

    a: Analysis
    b: Analysis
    pairs: tuple[Pair, ...]

    @property
    def input(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Both inputs."""
        return self.a.network.input, self.b.network.input

    @cached_property
    def totals(self) -> dict[str, tuple[int, int]]:
        """All totals, as (a's, b's)."""
        return {key: (getattr(self.a.totals, key), getattr(self.b.totals, key)) for key in TOTALS}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "input": [list(size) for size in self.input],
            "towers": [self.a.network.towers, self.b.network.towers],
            "layers": [pair.to_dict() for pair in self.pairs],
            "totals": {key: {"a": a, "b": b, "difference": b - a} for key, (a, b) in self.totals.items()},
        }


def compare(a: Network, b: Network) -> Comparison:
    """Align two networks and analyse both."""
    first, second = analyse(a), analyse(b)
    return Comparison(first, second, tuple(_align(first.rows, second.rows)))


def _align(a: tuple[Row, ...], b: tuple[Row, ...]) -> Iterator[Pair]:
    """Pairs in order: those that begin alike, those that end alike, and what scores best between."""
    begin = sum(1 for _ in takewhile(_alike, zip(a, b, strict=False)))
    a_rest, b_rest = a[begin:], b[begin:]
    end = sum(1 for _ in takewhile(_alike, zip(reversed(a_rest), reversed(b_rest), strict=False)))
    yield from map(Pair, a[:begin], b[:begin])
    yield from _align_by_score(a_rest[: len(a_rest) - end], b_rest[: len(b_rest) - end])
    yield from map(Pair, a_rest[len(a_rest) - end :], b_rest[len(b_rest) - end :])


def _alike(pair: tuple[Row, Row]) -> bool:
    return pair[0].layer == pair[1].layer


def _align_by_score(a: tuple[Row, ...], b: tuple[Row, ...]) -> Iterator[Pair]:
    """The pairs with the highest sum of likenesses; `best[i][j]` is that sum for a from i and b from j."""
    likeness = [[_likeness(left.layer, right.layer) for right in b] for left in a]
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            together = best[i + 1][j + 1] + likeness[i][j] if likeness[i][j] else 0
            best[i][j] = max(together, best[i + 1][j], best[i][j + 1])
    i = j = 0
    while i < len(a) and j < len(b):
        if likeness[i][j] and best[i][j] == best[i + 1][j + 1] + likeness[i][j]:
            yield Pair(a[i], b[j])
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            yield Pair(a[i], None)
            i += 1
        else:
            yield Pair(None, b[j])
            j += 1
    yield from (Pair(row, None) for row in a[i:])
    yield from (Pair(None, row) for row in b[j:])


ROLES = {
    "relu": "activation", "tanh": "activation", "sigmoid": "activation",
    "max_pool2d": "pool", "avg_pool2d": "pool",
    "local_response_norm": "norm", "batch_norm": "norm",
}  # fmt: skip


def _likeness(a: Layer, b: Layer) -> int:
    """How well two layers answer to each other; 0 where they don't at all.

    The same type, or at least the same role, is what counts; a layer with weights weighs more than the small ones
    around it, and the same name decides between layers that are otherwise alike.
    """
    if ROLES.get(a.type, a.type) != ROLES.get(b.type, b.type):
        return 0
    return (20 if a.neurons else 8) + 4 * (a.type == b.type) + 3 * (a.name == b.name)


def _meant(layer: Layer) -> dict[str, Any]:
    """Settings in one spelling: "valid" is no padding, a pool's stride left out its window's size."""
    settings = layer.settings()
    if settings.get("padding") == "valid":
        settings["padding"] = 0
    if isinstance(layer, Pool2d):
        settings.setdefault("stride", settings["kernel_size"])
    for key, value in settings.items():
        if isinstance(value, list) and len(set(value)) == 1:
            settings[key] = value[0]
    return settings


def _numbers(row: Row) -> dict[str, Any]:
    if row.output is None:
        return dict.fromkeys(QUANTITIES)
    height, width = row.height.size, row.width.size
    return {
        "output": list(row.output),
        "params": row.params,
        "macs": row.macs,
        "receptive_field": height if height == width else [height, width],
    }


def _layer(row: Row) -> dict[str, Any]:
    return {"index": row.index, "name": row.layer.name, "type": row.layer.type, **_numbers(row), "error": row.error}
