"""Two networks side by side, without the app."""

from __future__ import annotations

import pytest

from alexplore.network.compare import Pair
from alexplore.presets.library import load_preset
from alexplore.tui.comparison import ComparedPresets


@pytest.fixture(scope="module")
def compared() -> ComparedPresets:
    return ComparedPresets(load_preset("paper"), load_preset("torchvision"))


def pair(compared: ComparedPresets, name: str) -> Pair:
    return next(one for one in compared.pairs if compared.name(one, there=False) == name)


def test_what_differs_is_shown_also_where_it_is_the_initialisation(compared: ComparedPresets) -> None:
    assert compared.what_differs(pair(compared, "fc7")) == "init std 0.01, bias 1.0 → uniform"
    assert compared.what_differs(pair(compared, "conv5")) == "groups 2 → 1 · init std 0.01, bias 1.0 → uniform"
    assert compared.what_differs(pair(compared, "relu3")) == ""
    assert compared.what_differs(pair(compared, "norm1")).startswith("only in paper: size 5")


def test_differences_are_whole_or_in_four_digits(compared: ComparedPresets) -> None:
    """conv3 reads 256 maps in one network and 192 in the other: 384·3·3·64 weights fewer."""
    side = compared.difference(pair(compared, "conv3"), "params")
    assert (side.text, side.short, side.differs) == ("−221,184", "−221.2k", True)
    assert compared.difference(pair(compared, "fc7"), "params").text == ""
    assert compared.difference(pair(compared, "norm1"), "receptive_field").text == ""


def test_an_output_that_both_have_is_shown_once(compared: ComparedPresets) -> None:
    assert compared.shape(pair(compared, "fc7")).text == "4096"
    assert compared.shape(pair(compared, "conv1")).text == "96×55×55 → 64×55×55"


def test_the_totals_with_their_differences(compared: ComparedPresets) -> None:
    totals = {title: values for title, *values in compared.totals()}
    assert totals["params"] == ["60,965,224", "61,100,840", "+135,616"]
    assert totals["exchange"][1:] == ["0 B", f"−{totals['exchange'][0]}"]


def test_details_name_both_layers_and_every_difference(compared: ComparedPresets) -> None:
    here, there, differences = compared.details(pair(compared, "conv3"))
    assert here.startswith("paper: conv3 · conv2d")
    assert there.startswith("torchvision: conv3 · conv2d")
    assert "params 885,120 → 663,936" in differences
