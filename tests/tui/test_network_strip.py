"""The picture of the network: which layers stand above each other, and which one a click picks."""

from __future__ import annotations

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.presets.library import load_preset
from alexplore.tui.messages import OpenRequested
from alexplore.tui.widgets.network_strip import NetworkStrip, lay_out, stacks_of
from tests.support.screens import until
from tests.tui.conftest import OpenApp

BRANCHES = {
    "input": [4, 8, 8],
    "layers": [
        {"name": "stem", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
        {"name": "relu", "type": "relu"},
        {"name": "a1", "type": "conv2d", "out_channels": 2, "kernel_size": 1},
        {"name": "a2", "type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
        {"name": "b1", "type": "max_pool2d", "kernel_size": 3, "stride": 1, "padding": 1, "inputs": ["relu"]},
        {"name": "join", "type": "concat", "inputs": ["a2", "b1"]},
        {"name": "last", "type": "conv2d", "out_channels": 3, "kernel_size": 1},
    ],
}


def names(network: Network) -> list[list[str]]:
    return [[row.layer.name for row in stack] for stack in stacks_of(analyse(network).computed)]


def test_branches_stand_above_each_other() -> None:
    assert names(read_network(BRANCHES)) == [["stem"], ["a1", "b1"], ["a2"], ["last"]]


def test_layers_one_after_another_stand_side_by_side() -> None:
    lenet = load_preset("lenet").network
    drawn = [layer.name for layer in lenet.layers if layer.type in ("conv2d", "max_pool2d", "avg_pool2d", "linear")]
    assert names(lenet) == [[name] for name in drawn]


def test_a_stack_shares_the_height() -> None:
    """All maps are as large as the input, of 8 pixels, so that each fills what it has."""
    stacks = stacks_of(analyse(read_network(BRANCHES)).computed)
    laid_out = lay_out(stacks, columns=40, eighths=8 * 6, side=8)
    assert [[block.band for block in stack] for stack in laid_out] == [[0], [0, 1], [0], [0]]
    assert [[block.now.eighths for block in stack if block.now] for stack in laid_out] == [[48], [24, 24], [48], [48]]
    assert lay_out(stacks, columns=8, eighths=48, side=8) == []


def test_a_block_depends_on_its_own_layer_and_the_input_alone() -> None:
    """Half of the input's side takes away as much of the height wherever it is: 64 → 32 → 16 pixels."""

    def heights(*strides: int) -> list[int]:
        layers = [
            {"name": f"conv{place}", "type": "conv2d", "out_channels": 4, "kernel_size": 1, "stride": stride}
            for place, stride in enumerate(strides)
        ]
        stacks = stacks_of(analyse(read_network({"input": [1, 64, 64], "layers": layers})).rows)
        return [block.now.eighths for stack in lay_out(stacks, 40, 48, 64) for block in stack if block.now]

    assert heights(1) == [48]
    assert heights(2, 2) == [40, 32]
    assert heights(2, 1, 2) == [40, 40, 32]


def test_the_extent_before_an_edit_is_kept_behind_the_block() -> None:
    lenet = load_preset("lenet").network
    before = {row.layer.name: row for row in analyse(lenet).rows}
    edited = analyse(lenet.change(0, {"stride": 2}))
    first = lay_out(stacks_of(edited.rows), 80, 48, 28, before)[0][0]
    assert first.now is not None
    assert first.before is not None
    assert first.now.eighths < first.before.eighths
    assert first.now.width == first.before.width


async def test_a_click_picks_the_branch_under_the_pointer(open_app: OpenApp) -> None:
    async with open_app("googlenet") as (app, pilot):
        strip = app.screen.query_one(NetworkStrip)
        await pilot.pause()
        stack = next(stack for stack in strip._stacks if len(stack) == 4)
        lines = strip._block_lines
        for block in stack:
            y = 2 + lines - lines // 4 * 4 + block.band * (lines // 4)  # below the frame and the sides
            await pilot.click(NetworkStrip, offset=(block.left + 1, y))
            await pilot.pause()
            assert app.screen.selected == block.row.index - 1  # type: ignore[attr-defined]


async def test_the_legend_names_what_towers_exchange_only_where_the_network_has_two(open_app: OpenApp) -> None:
    async with open_app("torchvision", size=(160, 40)) as (app, pilot):
        strip = app.screen.query_one(NetworkStrip)
        assert "towers" not in str(strip.border_subtitle)
        app.post_message(OpenRequested(load_preset("paper")))
        await until(pilot, lambda: "towers" in str(strip.border_subtitle), "the legend of two towers")
        app.post_message(OpenRequested(load_preset("torchvision")))
        await until(pilot, lambda: "towers" not in str(strip.border_subtitle), "the legend of one tower")
