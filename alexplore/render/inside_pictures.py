"""Pictures of what was recorded inside a run: kernels, feature maps, the confusion matrix, mistakes.

Each function returns a `Picture` for terminals (half blocks, `pictures.py`) and files (`png`) alike.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alexplore.core.picture import Picture
from alexplore.runs.inside import Bytes, Confusion, FeatureMaps, KernelGrid, LayerHistogram, Quantised, ShownImage

GROUND = 96
"""Grey between tiles."""

GAP, TOWER_GAP = 1, 3
"""Pixels between two tiles, and between two towers."""

LIGHT_RED, DARK_RED = (255, 95, 95), (135, 0, 0)
"""Marks on pixels darker and lighter than `DARK`: the brightness of each differs from theirs also without colours."""

DARK = 70
"""The mean of the colours of a pixel below which it is dark."""

Colours = NDArray[np.uint8]
"""Pixels (height, width, 3)."""


def kernel_picture(grid: KernelGrid, per_row: int | None = None) -> Picture:
    """Return the kernels in rows of `per_row`, the towers apart; a row for each tower if left out (paper, figure 3).

    Each kernel's smallest weight is black and its largest is white. Kernels of three channels are in colour, those of
    any other number in grey, the mean over the channels.
    """
    kernels = grid.kernels.values()
    tiles = kernels if kernels.shape[1] == 3 else kernels.mean(1, keepdims=True)
    shown = _stretched(tiles)
    each = -(-len(shown) // max(1, grid.towers))
    towers = [shown[start : start + each] for start in range(0, len(shown), each)]
    return _picture(_stacked([_tiled(tower, min(per_row or each, each)) for tower in towers], TOWER_GAP))


def kernels_per_row(grid: KernelGrid, width: int) -> int:
    """Return how many kernels to draw in a row of `width` pixels: if possible, a number that makes all rows equal."""
    each = -(-len(grid.kernels) // max(1, grid.towers))
    most = max(1, min(each, (width + GAP) // (grid.kernels.codes.shape[3] + GAP)))
    equal = next((count for count in range(most, 0, -1) if each % count == 0), most)
    return equal if equal > most // 2 else most


def maps_picture(maps: Sequence[FeatureMaps], per_row: int) -> Picture:
    """Return feature maps, those of each image below the last one's; each map's largest value is white."""
    return _picture(_stacked([_tiled(_codes(one.maps), per_row) for one in maps], TOWER_GAP))


def confusion_picture(confusion: Confusion, cell: int = 8) -> Picture:
    """Return the matrix, with `cell`×`cell` pixels for each pair: a row is a true class, a column a predicted class.

    Right predictions are blue and wrong ones red; a larger share of the row is lighter. The brightness is the square
    root of the share, so that rare mistakes are visible.
    """
    totals = np.maximum(1, np.array(confusion.images, dtype=np.float64))[:, None]
    share = np.sqrt(np.clip(confusion.counts / totals, 0, 1))[..., None]
    size = len(confusion.classes)
    right = np.eye(size, dtype=bool)[..., None]
    colours = np.where(right, (70, 130, 240), (255, 90, 60)) * share + np.array((16, 16, 20)) * (1 - share)
    return _picture(colours.astype(np.uint8).repeat(cell, 0).repeat(cell, 1))


def heat_strip(histograms: Sequence[LayerHistogram], width: int, height: int) -> Picture:
    """Return how a distribution changes: a column of the picture for each histogram, largest values at the top.

    Bins with more values are lighter: the brightness is the square root of the share, so that the tails are visible.
    The picture is at most `width` pixels wide; all histograms are equally wide, and if there are more than `width`,
    some are left out.
    """
    shown = list(histograms)
    if len(shown) > width:
        shown = [shown[round(index * (len(shown) - 1) / max(1, width - 1))] for index in range(width)]
    limit = max(one.limit for one in shown)
    counts = np.array([one.widened(limit).counts for one in shown], np.float64)
    edges = np.arange(height) * counts.shape[1] // height
    sums = np.add.reduceat(counts, edges, 1) if height <= counts.shape[1] else counts
    shares = np.sqrt(sums / np.maximum(1, sums.max(1, keepdims=True)))
    grey = (255 * shares).astype(np.uint8).T[::-1].repeat(max(1, width // len(shown)), 1)
    return _picture(grey[..., None].repeat(3, 2))


def image_pictures(images: Sequence[ShownImage], per_row: int) -> Picture:
    """Return images side by side in rows."""
    pixels = [pixels_of(one.picture) for one in images]
    height, width = (max(one.shape[axis] for one in pixels) for axis in (0, 1))
    tiles = np.full((len(pixels), 3, height, width), GROUND, np.uint8)
    for tile, one in zip(tiles, pixels, strict=True):
        tile[:, : one.shape[0], : one.shape[1]] = one.transpose(2, 0, 1)
    return _picture(_tiled(tiles, per_row))


def pixels_of(picture: Picture) -> Colours:
    """Return a picture's pixels in colour."""
    pixels = np.frombuffer(picture.data, np.uint8).reshape(picture.height, picture.width, picture.channels)
    return pixels if picture.channels == 3 else pixels.repeat(3, 2)


def framed(picture: Picture, box: tuple[int, int, int, int]) -> Picture:
    """Return a picture with a red frame just inside the rows `box[0]` to `box[2]` and columns `box[1]` to `box[3]`.

    The ends are excluded, and points outside the picture are left out. The frame is light red on dark pixels and dark
    red on light ones.
    """
    pixels = pixels_of(picture).copy()
    top, left = max(0, box[0]), max(0, box[1])
    bottom, right = min(picture.height, box[2]), min(picture.width, box[3])
    if top < bottom and left < right:
        inner = pixels[top:bottom, left:right]
        edge = np.ones(inner.shape[:2], bool)
        edge[1:-1, 1:-1] = False
        inner[edge] = np.where(inner[edge].mean(-1, keepdims=True) < DARK, LIGHT_RED, DARK_RED)
    return _picture(pixels)


def heated(picture: Picture, heat: Picture) -> Picture:
    """Return a picture in grey with a heat map of the same size over it: 0 is transparent, then red, then yellow."""
    grey = pixels_of(picture).astype(np.float64).mean(2, keepdims=True)
    share = pixels_of(heat)[..., :1].astype(np.float64) / 255
    hot = np.concatenate([np.full_like(share, 255), 255 * np.clip(2 * share - 1, 0, 1), np.zeros_like(share)], 2)
    return _picture((grey * (1 - 0.7 * share) + hot * 0.7 * share).astype(np.uint8))


def below(picture: Picture, other: Picture) -> Picture:
    """Return two pictures, the second below the first."""
    return _picture(_stacked([pixels_of(picture), pixels_of(other)], TOWER_GAP))


def enlarged(picture: Picture, factor: int) -> Picture:
    """Return a picture with each pixel as a square of `factor` pixels a side."""
    return _picture(pixels_of(picture).repeat(factor, 0).repeat(factor, 1))


def png(picture: Picture) -> bytes:
    """Return a picture as a PNG file."""
    from PIL import Image

    output = io.BytesIO()
    Image.fromarray(pixels_of(picture)).save(output, "PNG", optimize=True)
    return output.getvalue()


def _codes(values: Quantised) -> Bytes:
    """Return maps (N, height, width) as tiles (N, 1, height, width)."""
    return values.codes[:, None]


def _stretched(values: NDArray[np.float32]) -> Bytes:
    """Return tiles (N, C, height, width) with each one's smallest value as 0 and its largest as 255."""
    return Quantised.of(values).codes


def _tiled(tiles: Bytes, per_row: int) -> Colours:
    """Return tiles (N, 1 or 3, height, width) in rows."""
    count, _, height, width = tiles.shape
    columns = max(1, min(per_row, count))
    rows = -(-count // columns)
    pixels = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), GROUND, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = row * (height + GAP), column * (width + GAP)
        pixels[top : top + height, left : left + width] = tile.transpose(1, 2, 0)
    return pixels


def _stacked(parts: Sequence[Colours], gap: int) -> Colours:
    """Return pictures below each other."""
    width = max(part.shape[1] for part in parts)
    lines = []
    for number, part in enumerate(parts):
        if number:
            lines.append(np.full((gap, width, 3), GROUND // 3, np.uint8))
        lines.append(np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0)), constant_values=GROUND))
    return np.concatenate(lines)


def _picture(pixels: Colours) -> Picture:
    return Picture(pixels.shape[0], pixels.shape[1], 3, np.ascontiguousarray(pixels).tobytes())
