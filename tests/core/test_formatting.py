"""Texts in a limited room."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.core.formatting import cut


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("256 · 5×5 · pad 2", 17, "256 · 5×5 · pad 2"),
        ("256 · 5×5 · pad 2 · 2 groups", 22, "256 · 5×5 · pad 2 · …"),
        ("96 · 11×11 / 4", 12, "96 · 11×11 …"),
        ("96 · 11×11 / 4", 10, "96 · …"),
        ("size 5 · alpha 0.0005 · beta 0.75", 20, "size 5 · alpha …"),
        ("weight decay 1e-05 · seed 3", 17, "weight decay …"),
        ("−11,648", 6, "…"),
        ("724.4M MACs", 7, "…"),
        ("fmnist-28-20261126", 13, "fmnist-28-20…"),
        ("cifar10-relu", 8, "cifar10…"),
        ("words", 1, "…"),
        ("words", 0, ""),
    ],
)
def test_a_text_is_cut_but_in_no_number(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown


@given(st.lists(st.one_of(st.integers(-(10**9), 10**9).map("{:,}".format), st.sampled_from(["pad", "·", "×"]))))
def test_every_number_that_is_left_is_whole(words: list[str]) -> None:
    text = " ".join(words)
    for width in range(len(text) + 2):
        shown = cut(text, width)
        assert len(shown) <= width
        assert set(re.findall(r"-?[\d,]+", shown)) <= set(words)
