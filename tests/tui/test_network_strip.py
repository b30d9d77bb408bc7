"""The picture of the network: which layers stand above each other, and which one a click picks."""

from __future__ import annotations

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.presets.library import load_preset
from alexplore.tui.widgets.network_strip import NetworkStrip, lay_out, stacks_of
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
    stacks = stacks_of(analyse(read_network(BRANCHES)).computed)
    laid_out = lay_out(stacks, columns=40, eighths=8 * 6)
    assert [[block.band for block in stack] for stack in laid_out] == [[0], [0, 1], [0], [0]]
    assert [max(block.eighths for block in stack) for stack in laid_out] == [48, 24, 48, 48]
    assert lay_out(stacks, columns=8, eighths=48) == []


async def test_a_click_picks_the_branch_under_the_pointer(open_app: OpenApp) -> None:
    async with open_app("googlenet") as (app, pilot):
        strip = app.screen.query_one(NetworkStrip)
        await pilot.pause()
        stack = next(stack for stack in strip._stacks if len(stack) == 4)
        lines = strip.size.height - 1
        for block in stack:
            y = lines - lines // 4 * 4 + block.band * (lines // 4)
            await pilot.click(NetworkStrip, offset=(block.left, y))
            await pilot.pause()
            assert app.screen.selected == block.row.index - 1  # type: ignore[attr-defined]
