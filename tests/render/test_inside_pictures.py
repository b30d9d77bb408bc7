"""Pictures of what was recorded, against pixels that are known."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from rich.console import Console

from alexplore.cli.inside import SHOWN
from alexplore.core.picture import Picture
from alexplore.render.inside_pictures import (
    GAP,
    TOWER_GAP,
    confusion_picture,
    enlarged,
    framed,
    heated,
    kernel_picture,
    kernels_per_row,
    maps_picture,
    pixels_of,
    png,
)
from alexplore.render.inside_views import VIEWS, Choice
from alexplore.runs.inside import Confusion, KernelGrid, Quantised
from docs.demo_runs import demo_epoch


def grid(count: int, channels: int, side: int, towers: int = 1) -> KernelGrid:
    weights = np.random.default_rng(0).normal(size=(count, channels, side, side)).astype(np.float32)
    return KernelGrid("conv1", Quantised.of(weights), towers, count)


def test_the_papers_kernels_stand_in_two_rows_of_48_with_the_towers_apart() -> None:
    kernels = grid(96, 3, 11, towers=2)
    picture = kernel_picture(kernels)
    assert (picture.width, picture.height) == (48 * (11 + GAP) - GAP, 2 * 11 + TOWER_GAP)
    pixels = pixels_of(picture)
    last = kernels.kernels.values()[95].transpose(1, 2, 0)
    shown = pixels[-11:, -11:].astype(float)
    assert np.abs(shown - 255 * (last - last.min()) / (last.max() - last.min())).max() <= 1


def test_kernels_of_other_than_three_channels_are_grey() -> None:
    for channels in (1, 2, 5):
        pixels = pixels_of(kernel_picture(grid(4, channels, 5)))
        assert (pixels[..., 0] == pixels[..., 1]).all()


def test_rows_are_equal_where_they_can_be() -> None:
    assert kernels_per_row(grid(96, 3, 11, towers=2), 120) == 8  # 10 would fit; 48 = 6 rows of 8
    assert kernels_per_row(grid(96, 3, 11, towers=2), 10_000) == 48
    assert kernels_per_row(grid(13, 1, 5), 40) == 6  # a prime
    assert kernels_per_row(grid(4, 1, 50), 20) == 1


def test_maps_of_images_stand_below_each_other() -> None:
    maps = demo_epoch(1, 20).maps_of("conv2")
    picture = maps_picture(maps, 12)
    assert (picture.width, picture.height) == (12 * 14 - 1, 3 * 13 + 2 * TOWER_GAP)
    assert (pixels_of(picture)[:13, :13, 0] == maps[0].maps.codes[0]).all()


def test_a_matrix_is_blue_where_it_is_right_and_red_where_it_is_wrong() -> None:
    matrix = Confusion((0, 1), np.array([[8, 2], [0, 10]], np.uint32), (10, 10))
    pixels = pixels_of(confusion_picture(matrix, 2)).astype(int)
    assert pixels.shape == (4, 4, 3)
    assert pixels[0, 0, 2] > pixels[0, 0, 0]
    assert pixels[0, 3, 0] > pixels[0, 3, 2]
    assert pixels[3, 0].max() < 30


def test_frames_and_heat_are_drawn_on_the_image() -> None:
    image = Picture(6, 6, 1, bytes([100] * 36))
    pixels = pixels_of(framed(image, (-2, 1, 4, 9)))
    red = pixels[..., 0].astype(int) > pixels[..., 1].astype(int) + 100
    assert red[0, 1:].all()
    assert red[3, 1:].all()
    assert red[:4, 1].all()
    assert red[:4, 5].all()
    assert not red[4:].any()
    assert not red[1:3, 2:5].any()
    assert framed(image, (9, 9, 12, 12)) == framed(image, (0, 0, 0, 0))
    heat = Picture(6, 6, 1, bytes([0] * 18 + [255] * 18))
    hot = pixels_of(heated(image, heat))
    assert (hot[0] == 100).all()
    assert hot[5, 0, 0] > 180 > hot[5, 0, 2]


def test_a_frame_differs_in_brightness_from_any_pixel_below_it() -> None:
    """Textual's grey for a colour, with NO_COLOR, is its brightness by ITU-R BT.709."""
    below = np.arange(256)
    image = Picture(1, 256, 1, below.astype(np.uint8).tobytes())
    above = pixels_of(framed(image, (0, 0, 1, 256)))[0] @ (0.2126, 0.7152, 0.0722)
    assert abs(above - below).min() > 40


def test_a_png_has_the_pixels() -> None:
    picture = kernel_picture(grid(4, 3, 5))
    image = Image.open(io.BytesIO(png(enlarged(picture, 3))))
    assert image.size == (3 * picture.width, 3 * picture.height)
    assert (np.array(image)[1::3, 1::3] == pixels_of(picture)).all()


def test_everything_that_can_be_shown_is_printed() -> None:
    assert tuple(VIEWS) == SHOWN
    choice = Choice(demo_epoch(2, 40), None, ["conv1", "relu1"])
    for name, view in VIEWS.items():
        for colours in (None, "truecolor"):
            printed = io.StringIO()
            out = Console(file=printed, color_system=colours, width=80, force_terminal=colours is not None)
            for line in view.lines(choice, out):
                out.print(line)
            text = printed.getvalue()
            assert max(len(line) for line in text.splitlines()) <= 80 or colours, name
            assert "not drawn without colours" in text or colours or name in ("layers", "confusion")
        assert view.picture is None or view.picture(choice, 200).width <= 200
