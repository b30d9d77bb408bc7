"""Pictures in half blocks."""

from __future__ import annotations

from alexplore.core.picture import Picture
from alexplore.render.pictures import HALF, half_blocks


def test_a_character_has_two_pixels_above_each_other() -> None:
    picture = Picture(3, 2, 1, bytes([0, 10, 20, 30, 40, 50]))
    lines = half_blocks(picture, 80, 24)
    assert ["".join(segment.text for segment in line) for line in lines] == [HALF * 2] * 2
    style = lines[0][1].style
    assert style is not None
    assert style.color is not None
    assert style.bgcolor is not None
    assert style.color.get_truecolor() == (10, 10, 10)
    assert style.bgcolor.get_truecolor() == (30, 30, 30)
    last = lines[1][0].style
    assert last is not None
    assert last.bgcolor is None  # below the last row there is nothing
