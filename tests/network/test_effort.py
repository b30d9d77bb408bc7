"""How much work networks of many layers, and of many broken ones, take: counted, not timed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.network import compare as comparing
from alexplore.network.analysis import analyse
from alexplore.network.compare import compare, increasing, parts
from alexplore.network.graph import Network, read_network
from alexplore.network.layers.conv2d import Conv2d
from tests.support.examples import examples
from tests.support.networks import networks


def chain(count: int, name: str, width: int) -> Network:
    """Return a network of convolutions, norms and activations, whose layers are called after `name`."""
    types: tuple[dict[str, Any], ...] = (
        {"type": "conv2d", "kernel_size": 3, "padding": 1}, {"type": "batch_norm"}, {"type": "relu"},
    )  # fmt: skip
    layers = []
    for number in range(count):
        entry = {**types[number % 3], "name": f"{name}{number}"}
        layers.append({**entry, "out_channels": width + number % 5} if entry["type"] == "conv2d" else entry)
    return read_network({"input": [3, 8, 8], "layers": layers})


def compared_cells(a: Network, b: Network) -> int:
    """Return how many pairs of layers are scored to align two networks."""
    return sum(len(one) * len(other) for one, other in parts(analyse(a).rows, analyse(b).rows))


@pytest.mark.parametrize("other", ["conv", "other"])
def test_comparing_grows_with_the_layers_not_with_their_square(other: str) -> None:
    small, large = (compared_cells(chain(count, "conv", 4), chain(count, other, 40)) for count in (600, 4800))
    assert large <= 4800 * comparing.MOST_CELLS**0.5 * 2
    assert large / small < 12  # the square would be 64


@pytest.mark.parametrize("other", ["conv", "other"])
def test_every_layer_of_long_networks_is_in_one_pair(other: str) -> None:
    a, b = chain(1000, "conv", 4), chain(800, other, 40)
    pairs = compare(a, b).pairs
    assert [pair.a.layer for pair in pairs if pair.a] == list(a.layers)
    assert [pair.b.layer for pair in pairs if pair.b] == list(b.layers)
    same_name = sum(1 for pair in pairs if pair.a and pair.b and pair.a.layer.name == pair.b.layer.name)
    assert same_name == (800 if other == "conv" else 0)
    assert sum(1 for pair in pairs if pair.a and pair.b) > 780


@examples(60)
@given(networks(), networks())
def test_parts_align_as_well_as_the_whole_where_names_are_alike(a: Network, b: Network) -> None:
    with pytest.MonkeyPatch.context() as patch:
        whole = [(pair.a and pair.a.index, pair.b and pair.b.index) for pair in compare(a, b).pairs]
        patch.setattr(comparing, "MOST_CELLS", 4)
        found = compare(a, b).pairs
        assert [pair.a.index for pair in found if pair.a] == [one for one, _ in whole if one]
        assert [pair.b.index for pair in found if pair.b] == [other for _, other in whole if other]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), unique_by=(lambda p: p[0], lambda p: p[1])))
def test_the_longest_increasing_pairs(pairs: list[tuple[int, int]]) -> None:
    pairs.sort()
    best = [1] * len(pairs)  # by the definition, in n² steps
    for i in range(len(pairs)):
        best[i] = 1 + max((best[j] for j in range(i) if pairs[j][1] < pairs[i][1]), default=0)
    found = increasing(pairs)
    assert len(found) == max(best, default=0)
    assert found == sorted(found, key=lambda pair: pair[1])


def test_many_broken_layers_take_no_more_work_each(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    output_shape = Conv2d.output_shape

    def count(self: Conv2d, inputs: Any) -> Any:
        nonlocal calls
        calls += 1
        return output_shape(self, inputs)

    monkeypatch.setattr(Conv2d, "output_shape", count)
    work = []
    for branches in (500, 2000):
        broken = {"type": "conv2d", "inputs": ["input"], "out_channels": 4, "kernel_size": 3, "in_channels": 5}
        layers: list[dict[str, Any]] = [{**broken, "name": f"conv{number}"} for number in range(branches)]
        layers.append({"name": "all", "type": "concat", "inputs": [layer["name"] for layer in layers]})
        calls = 0
        rows = analyse(read_network({"input": [3, 8, 8], "layers": layers})).rows
        assert rows[0].fixes
        assert all(row.error for row in rows[:branches])
        work.append(calls)
    assert work[1] < 3 * work[0] + 200_000
    assert work[1] < 2000 * 2000 / 4
