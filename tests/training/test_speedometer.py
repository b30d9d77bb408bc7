"""The speed of a training, as a mean over the last seconds."""

from __future__ import annotations

import pytest

from alexplore.training.speedometer import MEAN_SECONDS, Speedometer


def test_a_slow_start_and_one_fast_part_do_not_stand_for_the_speed() -> None:
    """264, 5,235 and 1,418 images a second were shown within four seconds of one run."""
    speed = Speedometer()
    assert speed.images_per_second == 0
    speed.add(264, 1.0)
    speed.add(5235, 1.0)
    assert speed.images_per_second == pytest.approx((264 + 5235) / 2)
    for _ in range(int(MEAN_SECONDS)):
        speed.add(1418, 1.0)
    assert speed.images_per_second == pytest.approx(1418)


def test_a_part_that_is_longer_than_the_mean_counts_whole() -> None:
    speed = Speedometer()
    speed.add(100, 1.0)
    speed.add(3000, 2 * MEAN_SECONDS)
    assert speed.images_per_second == pytest.approx(3000 / (2 * MEAN_SECONDS))
