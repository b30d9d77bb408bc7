"""Which layers are marked, and what is said of a layer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alexplore.runs.inside import InsideEpoch
from alexplore.runs.layer_view import layer_views
from alexplore.runs.suspicion import suspicions
from docs.demo_runs import demo_epoch

CALM = {
    "grad_norm/conv1": 0.5, "grad_norm/fc8": 0.2, "update_ratio/conv1": 1e-3, "update_ratio/fc8": 1e-3,
    "zero_share/relu1": 0.6,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "layer", "said"),
    [
        ({"grad_norm/conv1": 1e-5}, "conv1", "1/20,000 of the largest"),
        ({"grad_norm/conv1": 0.0}, "conv1", "no gradient"),
        ({"grad_norm/conv1": float("inf")}, "conv1", "not finite"),
        ({"update_ratio/conv1": 0.25}, "conv1", "by 25%"),
        ({"update_ratio/conv1": 1e-9}, "conv1", "1.0e-09"),
        ({"zero_share/relu1": 0.99}, "relu1", "99.0% of its outputs are 0"),
    ],
)
def test_unusual_figures_are_marked_with_their_number(changes: dict[str, float], layer: str, said: str) -> None:
    assert suspicions(InsideEpoch(1, 1, CALM)) == ()
    (found,) = suspicions(InsideEpoch(1, 1, {**CALM, **changes}))
    assert found.layer == layer
    assert said in found.reason


def test_small_steps_of_all_layers_are_the_end_of_a_schedule() -> None:
    last = {**CALM, "update_ratio/conv1": 3e-8, "update_ratio/fc8": 8e-8}
    assert suspicions(InsideEpoch(1, 1, last)) == ()


def test_dead_units_are_marked() -> None:
    epoch = demo_epoch(1, 20)
    dying = replace(epoch.activations[0], dead_share=0.5)
    found = suspicions(replace(epoch, activations=(dying, *epoch.activations[1:])))
    assert [(one.layer, one.reason) for one in found] == [("relu1", "50% of its units are 0 for every image")]


def test_layers_stand_in_the_order_of_the_network() -> None:
    views = layer_views(demo_epoch(1, 20), ["conv1", "relu1", "conv2", "relu2"])
    assert [view.layer for view in views][:5] == ["conv1", "relu1", "conv2", "relu2", "conv3"]
    assert views[0].grad_norm == pytest.approx(0.3)
    assert views[0].zero_share is None
    assert views[1].number("zero_share") == "40.0%"
    assert views[0].number("zero_share") == "–"
