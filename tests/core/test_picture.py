"""Pictures as bytes: kept by JSON, and made smaller by means of the pixels they cover."""

from __future__ import annotations

import json
from statistics import mean

import numpy as np
import pytest

from alexplore.core.picture import Picture, scaled


def random_picture(height: int, width: int, channels: int) -> Picture:
    data = np.random.default_rng(height).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Picture(height, width, channels, data.tobytes())


@pytest.mark.parametrize("channels", [1, 3])
def test_json_keeps_it(channels: int) -> None:
    picture = random_picture(3, 5, channels)
    assert Picture.from_dict(json.loads(json.dumps(picture.to_dict()))) == picture


@pytest.mark.parametrize(
    "values", [{}, {"height": 2, "width": 2, "channels": 1, "pixels": "AAAA"}, {"height": 2, "width": 2, "channels": 2}]
)
def test_a_damaged_one_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"damaged|bytes for"):
        Picture.from_dict(values)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_smaller_one_has_the_means_of_blocks(channels: int) -> None:
    picture = random_picture(8, 12, channels)
    small = scaled(picture, 4, 4)
    assert (small.height, small.width) == (2, 4)
    pixels = np.frombuffer(picture.data, np.uint8).reshape(8, 12, channels)
    for row in range(2):
        for column in range(4):
            block = pixels[4 * row : 4 * row + 4, 3 * column : 3 * column + 3].reshape(-1, channels)
            expected = [int(mean(map(int, block[:, channel]))) for channel in range(channels)]
            assert list(small.pixel(row, column))[:channels] == expected


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (64, 64)])
def test_it_never_grows_and_always_fits(size: tuple[int, int]) -> None:
    picture = random_picture(31, 17, 3)
    small = scaled(picture, *size)
    assert small.width <= max(1, size[0])
    assert small.height <= max(1, size[1])
    assert scaled(picture, 100, 100) is picture
