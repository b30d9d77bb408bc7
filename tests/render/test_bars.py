"""Histograms as block characters."""

from __future__ import annotations

from alexplore.render.bars import histogram_bars, histogram_lines


def test_bars_are_as_high_as_the_roots_of_the_counts() -> None:
    assert histogram_bars([0, 0, 1, 1, 8, 8, 32, 32], 4) == " ▂▅█"
    assert histogram_bars([0] * 64) == " " * 16
    assert histogram_lines([0, 1, 16, 64], 4, 2) == ["  ▁█", " ▃██"]  # 0, 1 + 15/8, 1 + 15/2 and 16 eighths
