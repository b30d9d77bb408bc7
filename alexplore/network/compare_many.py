"""Any number of networks side by side: each is aligned with the first; layers that it lacks have separate rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from alexplore.network.analysis import Analysis
from alexplore.network.compare import Pair, compare, layer_dict, plain
from alexplore.network.graph import Network
from alexplore.network.quantities import TOTALS, total
from alexplore.network.row import Row


@dataclass(frozen=True)
class AlignedLayers:
    """Layers that correspond to each other, one of each network; None for a network that has none.

    `pairs` has an entry for each network: its layer, as `b`, beside the layer of the first network that has one.
    """

    pairs: tuple[Pair | None, ...]

    @cached_property
    def rows(self) -> tuple[Row | None, ...]:
        """The layer of each network."""
        return tuple(None if pair is None else pair.b for pair in self.pairs)

    @cached_property
    def settings(self) -> dict[str, tuple[Any, ...]]:
        """Settings, and inputs, that differ: the value of each network, None if it has no such setting or layer."""
        keys = dict.fromkeys(key for pair in self.pairs if pair for key in pair.settings)
        return {key: tuple(self._setting(key, pair) for pair in self.pairs) for key in keys}

    def _setting(self, key: str, pair: Pair | None) -> Any:
        if pair is None or pair.b is None:
            return None
        if key != "inputs":
            return pair.b.layer.compared_settings().get(key)
        others = (other.settings["inputs"][0] for other in self.pairs if other and "inputs" in other.settings)
        return pair.settings["inputs"][1] if "inputs" in pair.settings else next(others)

    @property
    def kind(self) -> str:
        """`same`; `changed`: other types, settings or inputs; `follows`: only other numbers; `partial`: not in all."""
        if None in self.rows:
            return "partial"
        kinds = {pair.kind for pair in self.pairs if pair}
        return next((kind for kind in ("changed", "follows") if kind in kinds), "same")


@dataclass(frozen=True)
class ManyComparison:
    """Networks, their layers aligned."""

    analyses: tuple[Analysis, ...]
    layers: tuple[AlignedLayers, ...]

    @cached_property
    def totals(self) -> Mapping[str, tuple[int, ...]]:
        """All totals, a value of each network."""
        return {one.key: tuple(total(one, analysis) for analysis in self.analyses) for one in TOTALS}

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison for JSON: lists have a value for each network."""
        networks = [analysis.network for analysis in self.analyses]
        return {
            "input": [list(network.input) for network in networks],
            "towers": [network.towers for network in networks],
            "layers": [
                {
                    "kind": one.kind,
                    "layers": [
                        row and layer_dict(row, network) for row, network in zip(one.rows, networks, strict=True)
                    ],
                    "settings": {
                        key: [plain(value) for value in values] for key, values in one.settings.items()
                    },
                }
                for one in self.layers
            ],
            "totals": {key: list(values) for key, values in self.totals.items()},
        }  # fmt: skip


def compare_many(networks: Sequence[Network]) -> ManyComparison:
    """Analyse two networks or more, and align the layers of each with those of the first."""
    comparisons = [compare(networks[0], network) for network in networks[1:]]
    first = comparisons[0].a
    slots: list[list[Pair | None]] = [[Pair(row, row), *[None] * len(comparisons)] for row in first.rows]
    gaps: list[list[list[Pair | None]]] = [[] for _ in range(len(slots) + 1)]
    for number, comparison in enumerate(comparisons, start=1):
        position, added = 0, 0  # in the first network; in the gap before that position
        for pair in comparison.pairs:
            if pair.a is not None:
                slots[position][number] = pair if pair.b is not None else None
                position, added = position + 1, 0
            elif pair.b is not None:
                added = _put(gaps[position], added, number, pair.b, len(networks))
    rows = (row for gap, slot in zip(gaps, [*slots, None], strict=True) for row in (*gap, *([slot] if slot else [])))
    return ManyComparison((first, *(one.b for one in comparisons)), tuple(AlignedLayers(tuple(row)) for row in rows))


def _put(gap: list[list[Pair | None]], start: int, number: int, row: Row, count: int) -> int:
    """Put a layer that the first network lacks beside the same layer of another network, else in a separate row.

    Return the position after it in the gap. Layers are the same if their names and types are equal.
    """
    for place in range(start, len(gap)):
        other = next(_layers(gap[place]))
        if (other.layer.name, other.layer.type) == (row.layer.name, row.layer.type):
            gap[place][number] = Pair(other, row)
            return place + 1
    alone: list[Pair | None] = [None] * count
    alone[number] = Pair(row, row)
    gap.insert(start, alone)
    return start + 1


def _layers(pairs: Sequence[Pair | None]) -> Iterator[Row]:
    return (pair.b for pair in pairs if pair is not None and pair.b is not None)
