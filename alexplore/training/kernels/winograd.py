"""Winograd's convolutions (minimal filtering): 3×3 and 5×5 kernels at stride 1, with a quarter of the multiplications.

For an r×r kernel, a tile of m×m outputs takes (m + r − 1)² multiplications a channel instead of m²·r². Tile and kernel
are treated as polynomials, evaluated at m + r − 2 points and at infinity, and multiplied there. The output is
interpolated from the products:

    output = Aᵀ [(G kernel Gᵀ) ⊙ (Bᵀ tile B)] A

With the sum over channels, ⊙ is one matrix product for each point, which takes most of the time. Sources: Lavin & Gray,
"Fast Algorithms for Convolutional Neural Networks", CVPR 2016; Winograd, "Arithmetic Complexity of Computations", 1980.
In fp32 the relative error is about 5e-6, three to six times oneDNN's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]

# Small numbers and their inverses keep rounding errors small; more points would increase them.
POINTS = tuple(Fraction(*point) for point in ((0, 1), (1, 1), (-1, 1), (2, 1), (-2, 1), (1, 2), (-1, 2)))
BLOCK_VALUES = 2**24  # of the products of a block of images: 64 MiB in fp32; all kernels are read once for each block

# The time of a multiplication in the products and in the transforms, relative to oneDNN's convolution.
PRODUCT_COST, TRANSFORM_COST = 1.2, 2.6

# Tiles are faster from this number of outputs a side, and this product of input and output channels, by kernel size.
SMALLEST_MAP, FEWEST_CHANNELS = 8, {3: 128 * 128, 5: 48 * 128}


class Transforms(NamedTuple):
    """Aᵀ, G and Bᵀ, each as its Kronecker product with itself: both axes of a tile at once."""

    output: Tensor
    kernel: Tensor
    tile: Tensor


def tile_outputs(channels: int, kernels: int, kernel: Pair, size: Pair) -> int | None:
    """Return the outputs along a side of a tile, for an output of `size`; None if oneDNN is faster.

    Speedups over oneDNN, from which the thresholds come, measured on AVX2 alone (torch 2.14, 2 threads, batch 64,
    forward and backward pass together). 5×5:
    96 to 256 channels, 26×26 outputs: 2.0; 64 to 192 and 48 to 128, 27×27: 1.7; 64 to 64, 14×14: 1.0; 32 to 64, 28×28:
    1.1. 3×3: 384 to 384, 12×12: 2.3; 256 to 384, 13×13: 1.7; 192 to 192 and to 128, 13×13: 1.4; 192 to 192, 8×8: 1.5;
    128 to 128, 14×14: 1.1; 64 to 128, 28×28: 1.3; 96 to 96, 14×14: 0.9; 256 to 256, 6×6: 1.1; 128 to 128, 7×7: 1.0; 64
    to 64: 0.6 to 0.8.
    """
    side = kernel[0]
    if kernel[1] != side or side not in FEWEST_CHANNELS:
        return None
    if channels * kernels < FEWEST_CHANNELS[side] or min(size) < SMALLEST_MAP:
        return None

    def cost(outputs: int) -> float:
        points = outputs + side - 1
        tiles = -(-size[0] // outputs) * -(-size[1] // outputs)
        transforms = (points**4 + points**2 * outputs**2) * (channels + kernels) / 2
        return tiles * (PRODUCT_COST * points**2 * channels * kernels + TRANSFORM_COST * transforms)

    return min(range(2, len(POINTS) + 3 - side), key=cost)


@lru_cache
def transforms(outputs: int, kernel: int) -> Transforms:
    """Return the matrices for tiles of `outputs` and kernels of `kernel` values a side, calculated exactly."""
    points = POINTS[: outputs + kernel - 2]
    output = [[point**power for point in points] + [Fraction(power == outputs - 1)] for power in range(outputs)]
    kernels, tiles = [], []
    for point in points:
        others = [other for other in points if other != point]
        scale = Fraction(1)
        for other in others:
            scale *= point - other
        kernels.append([point**power / scale for power in range(kernel)])
        tiles.append([*_coefficients(others), Fraction(0)])
    kernels.append([Fraction(power == kernel - 1) for power in range(kernel)])
    tiles.append(_coefficients(points))
    return Transforms(*(_both_axes(matrix) for matrix in (output, kernels, tiles)))


def _coefficients(roots: list[Fraction] | tuple[Fraction, ...]) -> list[Fraction]:
    """Return the coefficients of the polynomial with these roots, the constant first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *coefficients], [*coefficients, Fraction(0)]
        coefficients = [a - root * b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def _both_axes(matrix: list[list[Fraction]]) -> Tensor:
    rows = [[float(a * b) for a, b in product(one, other)] for one, other in product(matrix, matrix)]
    return torch.tensor(rows, dtype=torch.float32)


def convolve(input: Tensor, weight: Tensor, padding: Pair, outputs: int) -> Tensor:
    """Return the convolution of (N, C, H, W) with kernels (K, C, r, r), (N, K, H', W'); all channels last, fp32."""
    kernels, channels, side, _ = weight.shape
    matrices = transforms(outputs, side)
    grid = _Grid.over(input, side, padding, outputs)
    by_point = (matrices.kernel @ weight.permute(2, 3, 1, 0).reshape(side**2, -1)).view(-1, channels, kernels)
    result = torch.empty((len(input), kernels, *grid.size), memory_format=torch.channels_last)
    rows = result.permute(0, 2, 3, 1)
    for block in grid.blocks(len(input), max(channels, kernels)):
        tiles = grid.transformed(input[block], matrices.tile)
        products = torch.empty(len(tiles), grid.points, kernels)
        torch.bmm(tiles.transpose(0, 1), by_point, out=products.transpose(0, 1))
        grid.place(_multiply_each(matrices.output, products), rows[block])
    return result


def gradients(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    padding: Pair,
    outputs: int,
    *,
    to_input: bool = True,
    to_weight: bool = True,
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of a convolution's input and weights, each None if it is not asked for; all channels last.

    They are the transposed convolution: with the gradient of the products, D = A grad Aᵀ, of each tile, that of the
    tile is B [(G kernel Gᵀ) ⊙ D] Bᵀ, and that of the kernel Gᵀ [(Bᵀ tile B) ⊙ D] G, summed over the tiles.
    """
    kernels, channels, side, _ = weight.shape
    matrices = transforms(outputs, side)
    grid = _Grid.over(input, side, padding, outputs)
    by_point = (matrices.kernel @ weight.permute(2, 3, 0, 1).reshape(side**2, -1)).view(-1, kernels, channels)
    grad_input = torch.empty_like(input, memory_format=torch.channels_last) if to_input else None
    total = input.new_zeros(grid.points, channels, kernels)
    for block in grid.blocks(len(input), max(channels, kernels)):
        of_products = _multiply_each(matrices.output.t(), grid.cut(grad_output[block])).transpose(0, 1)
        if to_weight:
            total.baddbmm_(grid.transformed(input[block], matrices.tile).permute(1, 2, 0), of_products)
        if grad_input is not None:
            of_tiles = torch.empty(of_products.shape[1], grid.points, channels)
            torch.bmm(of_products, by_point, out=of_tiles.transpose(0, 1))
            grid.add_up(_multiply_each(matrices.tile.t(), of_tiles), grad_input[block].permute(0, 2, 3, 1))
    if not to_weight:
        return grad_input, None
    grad_weight = (matrices.kernel.t() @ total.view(grid.points, -1)).view(side, side, channels, kernels)
    return grad_input, grad_weight.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


class _Grid(NamedTuple):
    """The overlapping tiles of a convolution's input; each contains the values that its outputs need."""

    points: int  # of a tile, over both axes
    outputs: int  # of a tile, along one side
    size: Pair  # of the whole output
    tiles: Pair  # down and across
    sides: tuple[int, ...]  # padding around the rows, in the order of `F.pad`

    @classmethod
    def over(cls, input: Tensor, side: int, padding: Pair, outputs: int) -> _Grid:
        height, width = input.shape[2:]
        size = height + 2 * padding[0] - side + 1, width + 2 * padding[1] - side + 1
        tiles = -(-size[0] // outputs), -(-size[1] // outputs)
        below, right = (
            count * outputs + side - 1 - have - before
            for count, have, before in zip(tiles, (height, width), padding, strict=True)
        )
        return cls((outputs + side - 1) ** 2, outputs, size, tiles, (0, 0, padding[1], right, padding[0], below))

    def blocks(self, images: int, channels: int) -> list[slice]:
        """Return blocks of images whose products have at most `BLOCK_VALUES` values."""
        step = max(1, BLOCK_VALUES // (self.points * self.tiles[0] * self.tiles[1] * channels))
        return [slice(start, start + step) for start in range(0, images, step)]

    def transformed(self, images: Tensor, matrix: Tensor) -> Tensor:
        """Return the values of the tiles of images (N, C, H, W) at every point: (N · tiles, points, C)."""
        rows = F.pad(images.permute(0, 2, 3, 1), self.sides)
        return _multiply_each(matrix, _tiles(rows, round(self.points**0.5), self.outputs, self.tiles))

    def cut(self, maps: Tensor) -> Tensor:
        """Return the tiles of outputs (N, K, H', W'), with zeros beyond the edge: (N · tiles, outputs², K)."""
        below, right = (self.outputs * count - have for count, have in zip(self.tiles, self.size, strict=True))
        rows = F.pad(maps.permute(0, 2, 3, 1), (0, 0, 0, right, 0, below))
        return _tiles(rows, self.outputs, self.outputs, self.tiles)

    def add_up(self, tiles: Tensor, rows: Tensor) -> None:
        """Write the sums of overlapping tiles (N · tiles, points, C) into rows (N, H, W, C), without the padding.

        Parts of tiles that are at most as long as the tiles are apart don't overlap: each is added at once.
        """
        images, *size, channels = rows.shape
        side, step = round(self.points**0.5), self.outputs
        tiles = tiles.view(images, *self.tiles, side, side, channels)
        whole = rows.new_zeros(images, *(step * count + side - step for count in self.tiles), channels)
        each, down, across, one = whole.stride()
        for y, x in product(range(0, side, step), range(0, side, step)):
            part = tiles[:, :, :, y : y + step, x : x + step].permute(0, 1, 3, 2, 4, 5)
            whole.as_strided(
                part.shape, (each, step * down, down, step * across, across, one), y * down + x * across
            ).add_(part)
        left, above = self.sides[2], self.sides[4]
        rows.copy_(whole[:, above : above + size[0], left : left + size[1]])

    def place(self, tiles: Tensor, rows: Tensor) -> None:
        """Write the outputs of tiles (N · tiles, outputs², K) to their places in rows (N, H', W', K).

        The last tiles may extend beyond the edge. Whole and cut tiles are copied separately, in at most four copies.
        """
        images, _, _, kernels = rows.shape
        each, down, across, one = rows.stride()
        tiles = tiles.view(images, *self.tiles, self.outputs, self.outputs, kernels)
        for (y, high), (x, wide) in product(*(self._runs(size) for size in self.size)):
            part = tiles[:, y, x, :high, :wide].permute(0, 1, 3, 2, 4, 5)
            rows.as_strided(
                part.shape,
                (each, self.outputs * down, down, self.outputs * across, across, one),
                rows.storage_offset() + self.outputs * (y.start * down + x.start * across),
            ).copy_(part)

    def _runs(self, size: int) -> list[tuple[slice, int]]:
        """Return the whole tiles along an axis and the cut one, each with the number of its outputs within the axis."""
        whole, rest = divmod(size, self.outputs)
        runs = [(slice(0, whole), self.outputs), (slice(whole, whole + 1), rest)]
        return [(tiles, outputs) for tiles, outputs in runs if tiles.stop > tiles.start and outputs]


def _tiles(rows: Tensor, side: int, step: int, count: Pair) -> Tensor:
    """Return the tiles of rows (N, H, W, C), `step` apart, as (N · tiles, side², C)."""
    images, _, _, channels = rows.shape
    each, down, across, one = rows.stride()
    return rows.as_strided(
        (images, *count, side, side, channels),
        (each, step * down, step * across, down, across, one),
        rows.storage_offset(),
    ).reshape(-1, side * side, channels)


def _multiply_each(matrix: Tensor, values: Tensor) -> Tensor:
    """Return the products of a matrix (P, Q) with each of T matrices (T, Q, C), as (T, P, C)."""
    return torch.bmm(matrix.expand(len(values), -1, -1), values)
