"""Two networks side by side: which layers correspond to each other, and what differs.

Layers are aligned so that as many as possible, and as similar as possible, are paired in order: the classic
longest-common-subsequence recurrence, with a score for how similar two layers are in place of equality.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from typing import Any

from alexplore.network.analysis import Analysis, analyse
from alexplore.network.graph import Network
from alexplore.network.layers.base import Layer
from alexplore.network.quantities import COMPARED, TOTALS, Quantity, Value, layer_value, total
from alexplore.network.row import Row


@dataclass(frozen=True)
class Pair:
    """Two layers that correspond to each other, one of each network; None if one network has none.

    `inputs` are the names of the layers that each reads, if a branch starts or joins elsewhere in the other network.
    """

    a: Row | None
    b: Row | None
    inputs: tuple[tuple[str, ...], tuple[str, ...]] | None = None

    @cached_property
    def settings(self) -> dict[str, tuple[Any, Any]]:
        """Settings, and inputs, that differ, as (a's, b's); None for a setting that a layer does not have."""
        if self.a is None or self.b is None:
            return {}
        a, b = self.a.layer.compared_settings(), self.b.layer.compared_settings()
        inputs = {"inputs": (list(self.inputs[0]), list(self.inputs[1]))} if self.inputs else {}
        return {**inputs, **{key: (a.get(key), b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key)}}

    @cached_property
    def numbers(self) -> dict[str, tuple[Value, Value]]:
        """Quantities that differ, as (a's, b's), by their keys."""
        if self.a is None or self.b is None:
            return {}
        a, b = _numbers(self.a), _numbers(self.b)
        return {key: (a[key], b[key]) for key in a if a[key] != b[key]}

    def difference(self, quantity: Quantity) -> int | None:
        """Return b's value of a quantity minus a's; None if one of them is unknown or is not a number.

        A layer that only one network has counts as 0 in the other, for quantities that have totals.
        """
        absent = 0 if quantity.is_total else None
        a, b = (layer_value(quantity, row) if row else absent for row in (self.a, self.b))
        return b - a if isinstance(a, int) and isinstance(b, int) else None

    @property
    def kind(self) -> str:
        """`same`; `changed`: other type, settings or inputs; `follows`: only other numbers; `only a`; `only b`."""
        if self.a is None:
            return "only b"
        if self.b is None:
            return "only a"
        if self.settings or self.a.layer.type != self.b.layer.type:
            return "changed"
        return "follows" if self.numbers else "same"

    def to_dict(self, a: Network, b: Network) -> dict[str, Any]:
        """Return the pair for JSON; `a` and `b` are the networks."""
        return {
            "kind": self.kind,
            "a": None if self.a is None else layer_dict(self.a, a),
            "b": None if self.b is None else layer_dict(self.b, b),
            "settings": {key: list(values) for key, values in self.settings.items()},
            "numbers": {key: [plain(value) for value in values] for key, values in self.numbers.items()},
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
        return {quantity.key: (total(quantity, self.a), total(quantity, self.b)) for quantity in TOTALS}

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison for JSON."""
        return {
            "input": [list(size) for size in self.input],
            "towers": [self.a.network.towers, self.b.network.towers],
            "layers": [pair.to_dict(self.a.network, self.b.network) for pair in self.pairs],
            "totals": {key: {"a": a, "b": b, "difference": b - a} for key, (a, b) in self.totals.items()},
        }


def compare(a: Network, b: Network) -> Comparison:
    """Analyse two networks and align their layers."""
    first, second = analyse(a), analyse(b)
    return Comparison(first, second, tuple(_with_inputs(_align(first.rows, second.rows), a, b)))


def _with_inputs(pairs: Iterable[Pair], a: Network, b: Network) -> Iterator[Pair]:
    """Yield the pairs; add `inputs` to those whose branch starts or joins elsewhere in the other network."""
    partners = {"input": "input"}
    for pair in pairs:
        if pair.a is None or pair.b is None:
            yield pair
            continue
        partners[pair.a.layer.name] = pair.b.layer.name
        reads = a.source_names(pair.a.index - 1), b.source_names(pair.b.index - 1)
        expected = tuple(partners.get(name, name) for name in reads[0])
        branches = pair.a.layer.inputs or pair.b.layer.inputs
        yield replace(pair, inputs=reads) if branches and expected != reads[1] else pair


def _align(a: tuple[Row, ...], b: tuple[Row, ...]) -> Iterator[Pair]:
    """Yield the pairs in order: equal layers at the start and the end, and the best alignment between."""
    begin = sum(1 for _ in takewhile(_alike, zip(a, b, strict=False)))
    a_rest, b_rest = a[begin:], b[begin:]
    end = sum(1 for _ in takewhile(_alike, zip(reversed(a_rest), reversed(b_rest), strict=False)))
    yield from map(Pair, a[:begin], b[:begin])
    yield from _align_by_score(a_rest[: len(a_rest) - end], b_rest[: len(b_rest) - end])
    yield from map(Pair, a_rest[len(a_rest) - end :], b_rest[len(b_rest) - end :])


def _alike(pair: tuple[Row, Row]) -> bool:
    return pair[0].layer == pair[1].layer


def _align_by_score(a: tuple[Row, ...], b: tuple[Row, ...]) -> Iterator[Pair]:
    for part_a, part_b in parts(a, b):
        yield from _align_part(part_a, part_b)


MOST_CELLS = 120_000
"""Pairs of layers that are scored to align one part: two networks of 340 layers each are one part."""

Part = tuple[tuple[Row, ...], tuple[Row, ...]]


def parts(a: tuple[Row, ...], b: tuple[Row, ...]) -> Iterator[Part]:
    """Yield parts of the rows to be aligned one by one, each with at most `MOST_CELLS` pairs of layers.

    Aligning two whole networks of n layers takes n² steps; in parts it takes at most n·√`MOST_CELLS`. Both networks are
    divided at a layer that has the same name and kind in both and is near the middle; without one, in the middle.
    """
    if len(a) * len(b) <= MOST_CELLS:
        yield a, b
        return
    i, j = _division(a, b)
    yield from parts(a[:i], b[:j])
    yield from parts(a[i:], b[j:])


def _division(a: tuple[Row, ...], b: tuple[Row, ...]) -> tuple[int, int]:
    """Return the positions at which the networks are divided; no part is empty in both."""
    middle, places = len(a) // 2, {row.layer.name: j for j, row in enumerate(b)}
    found = [(i, places[row.layer.name]) for i, row in enumerate(a) if row.layer.name in places]
    common = [(i, j) for i, j in increasing(found) if i > 0 and j > 0 and _similarity(a[i].layer, b[j].layer)]
    near = min(common, key=lambda pair: abs(pair[0] - middle), default=None)
    if near is None or not len(a) / 8 < near[0] < len(a) * 7 / 8:  # one part would still be long
        return max(1, middle), max(1, len(b) // 2)
    return near


def increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest subsequence of pairs with rising first numbers whose second numbers rise too.

    Source: patience sorting, Aldous & Diaconis 1999.
    """
    tops: list[int] = []  # the smallest second number with which a subsequence of each length ends
    ends: list[int] = []  # the positions of these pairs
    before: list[int] = []  # for each pair, the position of its predecessor in the subsequence; -1 for none
    for position, (_, j) in enumerate(pairs):
        length = bisect_left(tops, j)
        before.append(ends[length - 1] if length else -1)
        tops[length : length + 1] = [j]
        ends[length : length + 1] = [position]
    chosen = []
    position = ends[-1] if ends else -1
    while position >= 0:
        chosen.append(pairs[position])
        position = before[position]
    return chosen[::-1]


def _align_part(a: tuple[Row, ...], b: tuple[Row, ...]) -> Iterator[Pair]:
    """Yield the pairs with the highest sum of scores; `best[i][j]` is that sum for a[i:] and b[j:]."""
    similarity = _similarities([row.layer for row in a], [row.layer for row in b])
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        scores, row, below = similarity[i], best[i], best[i + 1]
        for j in reversed(range(len(b))):
            together = below[j + 1] + scores[j] if scores[j] else 0
            row[j] = max(together, below[j], row[j + 1])
    i = j = 0
    while i < len(a) and j < len(b):
        if similarity[i][j] and best[i][j] == best[i + 1][j + 1] + similarity[i][j]:
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


def _similarities(a: Sequence[Layer], b: Sequence[Layer]) -> list[list[int]]:
    """Return the similarity of every layer of `a` (rows) to every layer of `b` (columns).

    It is calculated once for each pair of kinds, of which a network has few, and again for layers of the same name.
    """
    kinds: dict[tuple[str, str, bool], Layer] = {}
    kind_of = [[(layer.role or layer.type, layer.type, layer.neurons) for layer in layers] for layers in (a, b)]
    for layers, keys in zip((a, b), kind_of, strict=True):
        kinds |= dict(zip(keys, layers, strict=True))
    by_kind = {(one, two): _similarity(kinds[one], kinds[two], same_name=False) for one in kinds for two in kinds}
    rows = {one: [by_kind[one, two] for two in kind_of[1]] for one in kinds}
    places = {layer.name: j for j, layer in enumerate(b)}
    found = []
    for layer, kind in zip(a, kind_of[0], strict=True):
        row, place = rows[kind], places.get(layer.name)
        if place is not None:
            row = row.copy()
            row[place] = _similarity(layer, b[place])
        found.append(row)
    return found


def _similarity(a: Layer, b: Layer, *, same_name: bool | None = None) -> int:
    """Return a score of how well two layers correspond to each other; 0 if they must not be paired.

    Only layers of the same role, or of the same type without a role, are paired. Layers with neurons score higher than
    the layers around them. The same type adds 4. The same name adds 3, to decide between otherwise equal layers.
    """
    if (a.role or a.type) != (b.role or b.type):
        return 0
    same = a.name == b.name if same_name is None else same_name
    return (20 if a.neurons else 8) + 4 * (a.type == b.type) + 3 * same


def _numbers(row: Row) -> dict[str, Value]:
    return {quantity.key: layer_value(quantity, row) for quantity in COMPARED}


def plain(value: Any) -> Any:
    """Return a value for JSON: tuples as lists."""
    return list(value) if isinstance(value, tuple) else value


def layer_dict(row: Row, network: Network) -> dict[str, Any]:
    """Return a layer of a comparison for JSON."""
    return {
        "index": row.index,
        "name": row.layer.name,
        "type": row.layer.type,
        "inputs": list(network.source_names(row.index - 1)),
        **{key: plain(value) for key, value in _numbers(row).items()},
        "error": row.error,
    }
