"""What a broken layer says and proposes; applying a proposal mends it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.core.settings import LARGEST
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, channels_first, read_network
from alexplore.network.shape_inference import shapes_until
from alexplore.network.shapes import ShapeError
from alexplore.presets.library import load_preset
from tests.support.examples import examples
from tests.support.networks import convolutions, linears, maps, networks, paddings, pools, sizes

PAPER = load_preset("paper").network
ALEXNET_FC6 = PAPER.change(PAPER.index("fc6"), {"in_features": 9216})


@examples(150)
@given(networks())
def test_every_proposal_fixes_the_layer(network: Network) -> None:
    """Each of several broken layers has its own, and no layer that stays above it is broken by it."""
    analysis = analyse(network)
    for row in analysis.rows:
        if not row.error:
            continue
        assert row.fixes, row.error
        known = {other.layer.name for other in analysis.rows[: row.index - 1] if other.output is not None}
        for fix in row.fixes:
            fixed = {one.layer.name: one for one in analyse(fix.network).rows}
            if fix.text.startswith("remove"):
                assert row.layer.name not in fixed
            else:
                assert fixed[row.layer.name].output is not None, fix.text
            above = fix.network.layers[: fixed[row.layer.name].index - 1] if row.layer.name in fixed else ()
            assert not [one.name for one in above if one.name in known and fixed[one.name].output is None], fix.text


def reads(network: Network, position: int) -> bool:
    """Whether the layer at a position, and every layer before it, can read its input."""
    try:
        shapes_until(network, position + 1)
    except ShapeError:
        return False
    return True


@st.composite
def faulty(draw: st.DrawFn) -> Network:
    """A layer that may be broken in every way at once: by its place, its channels, its groups and its window."""
    channels = {"in_channels": draw(st.integers(1, 4)), "groups": draw(st.integers(1, 5))}
    window = {"kernel_size": draw(sizes(1, 40)), "padding": draw(paddings(30))}
    layer = draw(
        convolutions().map(lambda conv: {**conv, **window, **channels})
        | pools().map(lambda pool: {**pool, **window})
        | linears()
        | st.just({"type": "local_response_norm", "size": 5, "groups": channels["groups"]})
    )
    before = draw(st.lists(st.sampled_from([{"type": "relu"}, CONV, {"type": "flatten"}]), max_size=4))
    return read_network({"input": draw(maps()), "layers": [*before, {"name": "faulty", **layer}]})


CONV = {"type": "conv2d", "out_channels": 6, "kernel_size": 3, "padding": 1}


@examples(300)
@given(faulty())
def test_nothing_is_removed_that_settings_can_mend(network: Network) -> None:
    """Some place, channels, groups and window suit every map: so whatever is wrong with a layer, it can stay."""
    broken = analyse(network).broken
    if broken is None:
        return
    for fix in broken.fixes:
        mended = analyse(fix.network)
        assert mended.broken is None or mended.broken.layer.name != broken.layer.name
        assert broken.layer.name in [row.layer.name for row in mended.computed], fix.text


@examples(300)
@given(faulty())
def test_no_change_of_a_proposal_is_needless(network: Network) -> None:
    """Each setting of the layer that one changes, changed back by itself, breaks the layer again."""
    broken = analyse(network).broken
    if broken is None:
        return
    for fix in broken.fixes:
        mended = fix.network
        position = mended.index(broken.layer.name)
        settings_before, settings_after = broken.layer.settings(), mended.layers[position].settings()
        for key in settings_after:
            if settings_after[key] != settings_before.get(key):
                back = mended.change(position, {key: settings_before.get(key)})
                assert not reads(back, position), (fix.text, key)


@examples(100)
@given(networks())
def test_what_depends_on_a_broken_layer_is_empty_and_all_else_stays(network: Network) -> None:
    analysis = analyse(network)
    lost: set[int] = set()
    for position, row in enumerate(analysis.rows):
        reads_lost = bool(lost & set(network.sources[position]))
        assert (row.output is None) == (bool(row.error) or reads_lost)
        if row.output is None:
            lost.add(position)
            assert not (row.error and reads_lost)
            assert (row.params, row.macs, row.neurons, row.exchange_bytes, row.activation_bytes) == (0, 0, 0, 0, 0)
    assert analysis.totals.partial == bool(lost)
    assert analysis.totals.params == sum(row.params for row in analysis.computed)
    if analysis.broken and network.is_chain:
        above = analysis.rows[: analysis.broken.index - 1]
        assert above == analyse(Network(network.input, network.layers[: len(above)], network.towers)).rows


@pytest.mark.parametrize(
    ("network", "error"),
    [
        (
            ALEXNET_FC6.with_input(3, 224, 224),
            "fc6 expects 9216 inputs, gets 6400: set in_features to 6400, or input to 3×227×227",
        ),
        (
            PAPER.with_input(3, 40, 40),
            "pool5: the window's height 3 is larger than the input's 1: "
            "set padding to 1, or kernel_size to 1, or input to 3×67×67",
        ),
        (
            PAPER.remove(PAPER.index("flatten")),
            "fc6 reads a vector, gets a 256×6×6 map: insert flatten before fc6",
        ),
        (
            PAPER.change(4, {"groups": 5}),
            "conv2: 96 input channels don't divide into 5 groups: set groups to 4",
        ),
        (
            PAPER.change(4, {"groups": 3}),
            "conv2: 256 output channels don't divide into 3 groups: set groups to 2, or out_channels to 255",
        ),
        (
            PAPER.change(4, {"in_channels": 64}),
            "conv2 expects 64 input channels, gets 96: set in_channels to 96, or conv1's out_channels to 64",
        ),
        (
            PAPER.change(0, {"in_channels": 1}),
            "conv1 expects 1 input channels, gets 3: set in_channels to 3, or input to 1×227×227",
        ),
        (
            PAPER.change(PAPER.index("fc7"), {"in_features": 1000}),
            "fc7 expects 1000 inputs, gets 4096: set in_features to 4096, or fc6's out_features to 1000",
        ),
        (
            PAPER.move(PAPER.index("conv5"), 18),
            "conv5 reads a channels×height×width map, gets a vector of 4096: move conv5 before flatten",
        ),
        (
            PAPER.change(3, {"padding": 2}),
            "pool1: padding 2 is more than half of the window's height 3: set padding to 1, or kernel_size to 4",
        ),
        (
            PAPER.change(2, {"groups": 5}),
            "norm1: 96 channels don't divide into 5 groups: set groups to 4",
        ),
        (
            PAPER.change(4, {"kernel_size": [3, 40], "padding": 0}),
            "conv2: the window's width 40 is larger than the input's 27: "
            "set padding to [0, 7], or kernel_size to [3, 27], or input to 3×331×331",
        ),
        (
            ALEXNET_FC6.with_input(3, 224, 224).remove(PAPER.index("flatten")),
            "fc6 reads a vector, gets a 256×5×5 map: insert flatten before fc6 and set in_features to 6400, "
            "or insert flatten before fc6 and set input to 3×227×227",
        ),
        (
            PAPER.change(4, {"in_channels": 64, "groups": 5}),
            "conv2 expects 64 input channels, gets 96: set in_channels to 96 and groups to 4, "
            "or conv1's out_channels to 64 and groups to 4",
        ),
        (
            PAPER.change(14, {"padding": 2}).move(14, 15),
            "pool5 reads a channels×height×width map, gets a vector of 43264: "
            "move pool5 before flatten and set padding to 1, or move pool5 before flatten and set kernel_size to 4",
        ),
        (
            PAPER.change(12, {"in_channels": 64, "groups": 5, "kernel_size": 15, "padding": 0}),
            "conv5 expects 64 input channels, gets 384: set in_channels to 384, groups to 4 and padding to 1",
        ),
        (
            PAPER.change(0, {"kernel_size": LARGEST, "dilation": LARGEST}),
            "conv1: the window's height 4611686011984936963 is larger than the input's 227: set kernel_size to 1",
        ),
    ],
)
def test_the_reason_is_told_in_numbers(network: Network, error: str) -> None:
    broken = analyse(network).broken
    assert broken is not None
    assert broken.error == error


def joined(type_: str, **changes: dict[str, Any]) -> Network:
    """Return two branches and a layer that joins them, with changed settings of layers by name."""
    layers: list[dict[str, Any]] = [
        {"name": "stem", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
        {"name": "conv1", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
        {"name": "short", "type": "conv2d", "inputs": ["stem"], "out_channels": 4, "kernel_size": 1},
        {"name": "join", "type": type_, "inputs": ["conv1", "short"]},
    ]
    return read_network({"input": [3, 8, 8], "layers": [{**one, **changes.get(one["name"], {})} for one in layers]})


@pytest.mark.parametrize(
    ("network", "errors"),
    [
        (
            joined("add", conv1={"stride": 2}),
            [
                "join adds inputs of one shape, gets conv1 4×4×4, short 4×8×8: "
                "insert conv2d out_channels 4 kernel_size 1 stride 2 between short and join, "
                "or insert adaptive_avg_pool2d output_size 4 between short and join"
            ],
        ),
        (
            joined("add", conv1={"out_channels": 6}),
            [
                "join adds inputs of one shape, gets conv1 6×8×8, short 4×8×8: set short's out_channels to 6, or "
                "conv1's out_channels to 4, or insert conv2d out_channels 6 kernel_size 1 between short and join"
            ],
        ),
        (
            joined("mul", conv1={"kernel_size": 4}),
            [
                "join multiplies inputs of one shape, or of size 1 along an axis, gets conv1 4×7×7, short 4×8×8: "
                "insert adaptive_avg_pool2d output_size 7 between short and join"
            ],
        ),
        (
            joined("concat", conv1={"stride": [1, 2]}),
            [
                "join concatenates maps of one height and width, gets conv1 4×8×4, short 4×8×8: "
                "insert adaptive_avg_pool2d output_size [8, 4] between short and join"
            ],
        ),
        (  # each branch has its own reason, and what joins them has none
            joined("add", conv1={"in_channels": 3}, short={"kernel_size": 9}),
            [
                "conv1 expects 3 input channels, gets 4: set in_channels to 4, or stem's out_channels to 3",
                "short: the window's height 9 is larger than the input's 8: "
                "set padding to 1, or kernel_size to 8, or input to 3×9×9",
            ],
        ),
    ],
)
def test_branches_that_do_not_join(network: Network, errors: list[str]) -> None:
    assert [row.error for row in analyse(network).rows if row.error] == errors


@pytest.mark.parametrize("size", [64, 100, 223, 224, 225, 230, 300])
def test_the_input_proposed_is_the_nearest(size: int) -> None:
    """Searched by halving; checked by trying every size."""
    network = ALEXNET_FC6.with_input(3, size, size)
    reading = [side for side in range(1, 400) if analyse(ALEXNET_FC6.with_input(3, side, side)).broken is None]
    nearest = min(reading, key=lambda side: abs(side - size))
    broken = analyse(network).broken
    if broken is not None and broken.layer.name == "fc6":
        assert f"input to 3×{nearest}×{nearest}" in str(broken.error)
    else:
        assert size in reading or size < 67


def test_the_search_in_a_deep_network() -> None:
    """A thousand layers before the broken one: the search looks at the few that change the map's size."""
    block = [
        {"type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
        {"type": "relu"},
        {"type": "batch_norm"},
    ]
    layers = [
        *block * 333,
        {"type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 2, "in_features": 400},
    ]
    broken = analyse(read_network({"input": [3, 13, 13], "layers": layers})).broken
    assert broken is not None
    assert broken.error == "fc expects 400 inputs, gets 676: set in_features to 676, or input to 3×10×10"


@pytest.mark.parametrize("input", [(227, 227, 3), (64, 96, 1), (32, 32, 4)])
def test_an_input_typed_with_its_channels_last_is_offered_in_the_right_order(input: tuple[int, int, int]) -> None:
    height, width, channels = input
    layers = [{"type": "conv2d", "out_channels": 4, "kernel_size": 5}, {"type": "flatten"}]
    first = analyse(read_network({"input": list(input), "layers": layers})).broken
    assert first is not None and first.error is not None
    assert first.fixes[0].text == f"set input to {channels}×{height}×{width}, channels first"
    assert first.fixes[0].network.input == (channels, height, width)
    assert first.fixes[0].text in first.error


@pytest.mark.parametrize("input", [(3, 227, 227), (96, 4, 3), (16, 5, 5), (3, 8, 3)])
def test_an_input_with_its_channels_first_is_left_in_its_order(input: tuple[int, int, int]) -> None:
    assert channels_first(input) is None
