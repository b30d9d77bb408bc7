"""From 8-bit images to a network's input: resize, crop, mirror, colour noise and normalisation, a batch at a time.

All of it runs on the device, and nothing is read back from there. The few random numbers of a batch are drawn by
Python's generator, so that they are the same on every device.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from alexplore.presets.recipe import Recipe
from alexplore.runs.data.errors import DataError
from alexplore.runs.preflight import image_problems, pixel_problems
from alexplore.training.data.dataset import Dataset, pixel_statistics
from alexplore.training.data.decoders import DECODERS
from alexplore.training.kernels.table import NONE, Kernels
from alexplore.training.transfer import to_device

if TYPE_CHECKING:
    from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of ImageNet's training pixels by channel, as torchvision's published weights expect them."""


def resized_size(recipe: Recipe, network_input: tuple[int, int, int]) -> tuple[int, int]:
    """Return the height and width that images are resized to before they are cropped to the input's.

    Raises:
        DataError: the recipe's `resize` is smaller than the input.
    """
    _, height, width = network_input
    if recipe.resize is None:
        return height, width
    for problem in image_problems(recipe, network_input):
        raise DataError(problem.message)
    return recipe.resize, recipe.resize


class Preprocess:
    """A recipe's preprocessing of images, for one network and one data set."""

    def __init__(
        self,
        recipe: Recipe,
        network_input: tuple[int, int, int],
        dataset: Dataset,
        device: torch.device,
        kernels: Kernels = NONE,
    ) -> None:
        """Prepare; for colour noise, the colours of the training images are measured.

        The training split may be empty if `train` is not used.

        Raises:
            DataError: the recipe's `resize` or `normalize` can't be used with this network or data set.
        """
        self.channels, self.height, self.width = network_input
        self.resized_size = resized_size(recipe, network_input)
        self.image_size = dataset.size or self.resized_size
        self.recipe = recipe
        self.device = device
        self._decode = DECODERS[dataset.decoder]
        self._mean, self._std = _statistics(recipe, dataset)
        self._cropped = recipe.random_crop or recipe.horizontal_flip
        self._in_triton = device.type == "cuda" and "triton-2" in kernels
        self._lines: dict[int, tuple[Tensor, Tensor]] = {}
        self._components: tuple[tuple[float, ...], ...] = ()
        if recipe.color_noise and len(dataset.train):
            self._components = color_components(pixel_statistics(dataset.train)[1])

    @torch.no_grad()
    def train(self, images: Tensor, seed: int, before: int = 0) -> Tensor:
        """Return training images (N, C, H, W) in uint8 as float32 (N, C, h, w), channels last in memory.

        The same seed gives the same images. A batch may be split: `before` is the number of its images that precede
        these, which then look as they do in the whole batch.
        """
        return self.augmented(images, self.draw(len(images), seed, before))

    def draw(self, count: int, seed: int, before: int = 0) -> tuple[Tensor, ...]:
        """Return what `augmented` needs to know about each of `count` images, on the device; see `train`.

        This is, as far as the recipe asks for it, the first row, first column and mirroring (0 or 1) of its crop, int64
        (count, 3), and its colour noise, float32 (count, 1, C).
        """
        if not (self._cropped or self._components):
            return ()
        augmentations = self._draw(before + count, seed)[before:]
        drawn = []
        if self._cropped:
            crops = [(one.top, one.left, int(one.mirrored)) for one in augmentations]
            drawn.append(torch.tensor(crops, dtype=torch.int64).view(-1, 3))
        if self._components:
            strengths = torch.tensor([augmentation.strengths for augmentation in augmentations])
            drawn.append((strengths.view(-1, 1, self.channels) * torch.tensor(self._components)).sum(2).unsqueeze(1))
        return tuple(self._to_device(values) for values in drawn)

    @torch.no_grad()
    def augmented(self, images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
        """Return training images as `train` does, with what `draw` returned. Nothing is copied to the device."""
        noise = drawn[-1] if self._components else None
        if not self._cropped:
            return self._center(images, noise)
        rows, size, crops = self._resize(images), (self.height, self.width), drawn[0]
        padding = self.recipe.crop_padding if self.recipe.random_crop else 0
        if self._in_triton:
            from alexplore.training.data.preprocess_triton import crop_and_normalize

            offset, scale = self._offset(noise).view(-1, self.channels), self._constants[2]
            return crop_and_normalize(rows.contiguous(), size, crops, offset, scale, padding).permute(0, 3, 1, 2)
        rows = F.pad(rows, (0, 0, *(padding,) * 4)) if padding else rows
        return self._normalize(crop_each(rows, size, crops), noise)

    @torch.no_grad()
    def test(self, images: Tensor) -> Tensor:
        """Return images to be classified, uint8 (N, C, H, W), as float32 (N, C, h, w): their centres, if cropped."""
        return self._center(images)

    @torch.no_grad()
    def view(self, images: Tensor, largest: int | None = None) -> Tensor:
        """Return what `test` shows of images (N, C, H, W), not normalised: uint8 (N, C, h, w) on the CPU.

        With `largest` they are reduced to at most so many pixels a side, and to the size of the data set's images if
        those are enlarged for the network.
        """
        down, right = self._crop_range()
        rows = self._crop(self._resize(images), down // 2, right // 2)
        enlarged = max(before / after for before, after in zip(images.shape[2:], self.resized_size, strict=True))
        factor = 1.0 if largest is None else min(1, largest / max(self.height, self.width), enlarged)
        size = max(1, round(factor * self.height)), max(1, round(factor * self.width))
        rows = rows if factor == 1 else resize_rows(rows, size)
        return rows.to(torch.float32).round().clamp(0, 255).to("cpu", torch.uint8).permute(0, 3, 1, 2)

    @torch.no_grad()
    def ten_crops(self, images: Tensor) -> Tensor:
        """Return ten views of each image, (10, N, C, h, w): the corners and the centre, then those mirrored.

        Without `resize` in the recipe there is nothing to crop, and the first five views are equal. Source: paper,
        section 4.1.
        """
        rows = self._resize(images)
        down, right = self._crop_range()
        corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
        views = torch.stack([self._crop(rows, top, left) for top, left in corners])
        views = torch.cat([views, views.flip(3)])
        normalized = self._normalize(views.flatten(0, 1))
        return normalized.view(10, len(images), *normalized.shape[1:])

    def image(self, image: Image.Image) -> Tensor:
        """Return one image file as the data set would hold it, uint8 (1, C, H, W) on the device.

        Raises:
            OSError: the file is damaged (see `read_image`).
        """
        return self._decode(image, self.channels, self.image_size)[None].to(self.device)

    def _draw(self, count: int, seed: int) -> list[Augmentation]:
        recipe, generator = self.recipe, random.Random(seed)
        down, right = self._crop_range(recipe.crop_padding if recipe.random_crop else 0)
        return [
            Augmentation(
                top=generator.randrange(down + 1) if recipe.random_crop else down // 2,
                left=generator.randrange(right + 1) if recipe.random_crop else right // 2,
                mirrored=recipe.horizontal_flip and generator.random() < 0.5,
                strengths=[generator.gauss(0, recipe.color_noise) for _ in self._components],
            )
            for _ in range(count)
        ]

    def _crop_range(self, padding: int = 0) -> tuple[int, int]:
        """Return the largest top and left of a crop in a resized image with `padding` pixels around it."""
        height, width = self.resized_size
        return height + 2 * padding - self.height, width + 2 * padding - self.width

    def _resize(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) as rows (N, H', W', C) of `resized_size`, still between 0 and 255."""
        rows = images.permute(0, 2, 3, 1)
        return rows if images.shape[2:] == self.resized_size else resize_rows(rows, self.resized_size)

    def _center(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Resize images (N, C, H, W), crop their centre and normalise it.

        Images that are enlarged as a whole are normalised first, while they are smaller. The result is the same, since
        the weights of interpolation sum to 1.
        """
        down, right = self._crop_range()
        if (down, right) == (0, 0) and images.shape[2] < self.height and images.shape[3] < self.width:
            rows = self._normalize(images.permute(0, 2, 3, 1), noise).permute(0, 2, 3, 1)
            return resize_rows(rows, self.resized_size).permute(0, 3, 1, 2)
        return self._normalize(self._crop(self._resize(images), down // 2, right // 2), noise)

    def _crop(self, rows: Tensor, top: int, left: int) -> Tensor:
        return rows[:, top : top + self.height, left : left + self.width]

    def _normalize(self, rows: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return (x / 255 + noise - mean) / std of rows (N, h, w, C) between 0 and 255, as (N, C, h, w)."""
        # A whole line of pixels at a time: one to three channels are too few for the processor's vectors.
        count, height, width, channels = rows.shape
        lines = rows.reshape(count, height, width * channels).to(torch.float32)
        offsets, scales = self._line_constants(width)
        if noise is not None:
            offsets = self._offset(noise).view(-1, 1, channels).repeat(1, 1, width)
        torch.addcmul(offsets, lines, scales, out=lines)
        return lines.view(count, height, width, channels).permute(0, 3, 1, 2)

    def _line_constants(self, width: int) -> tuple[Tensor, Tensor]:
        """Return the offsets and scales of a line of pixels, (1, 1, width · C) and (width · C,) on the device."""
        if width not in self._lines:
            self._lines[width] = self._plain_offset.view(1, 1, -1).repeat(1, 1, width), self._constants[2].repeat(width)
        return self._lines[width]

    def _offset(self, noise: Tensor | None) -> Tensor:
        """Return (noise − mean) / std, (C,) or (N, 1, C)."""
        mean, std, _ = self._constants
        return self._plain_offset if noise is None else (noise - mean) / std

    @cached_property
    def _plain_offset(self) -> Tensor:
        """−mean / std, (C,) on the device."""
        mean, std, _ = self._constants
        return -mean / std

    @cached_property
    def _constants(self) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and standard deviation of the pixels, and the factor of 8-bit pixels, each (C,) on the device."""
        mean, std = torch.tensor(self._mean), torch.tensor(self._std)
        return self._to_device(mean), self._to_device(std), self._to_device(1 / (255 * std))

    def _to_device(self, values: Tensor) -> Tensor:
        """Copy a few values to the device without waiting for it."""
        return to_device(values, self.device)


@dataclass(frozen=True)
class Augmentation:
    """The random numbers of one image's augmentation."""

    top: int
    """First row of the crop."""

    left: int
    """First column of the crop."""

    mirrored: bool

    strengths: list[float]
    """Of each colour component (see `color_components`)."""


def crop_each(rows: Tensor, size: tuple[int, int], crops: Tensor) -> Tensor:
    """Return a crop of each image of rows (N, H, W, C), mirrored or not, as (N, *size, C).

    `crops` are int64 (N, 3): the first row, the first column, and 1 for a mirrored one.

    On the CPU images are cropped one by one: indexing all at once takes ten times as long. On a GPU they are cropped at
    once: launching a copy for each takes longer.
    """
    crop = _crop_one_by_one if rows.device.type == "cpu" else _crop_at_once
    return crop(rows, size, crops)


def _crop_one_by_one(rows: Tensor, size: tuple[int, int], crops: Tensor) -> Tensor:
    results = rows.new_empty(len(rows), *size, rows.shape[3])
    for result, row, (top, left, mirrored) in zip(results, rows, crops.tolist(), strict=True):
        part = row[top : top + size[0], left : left + size[1]]
        result.copy_(part.flip(1) if mirrored else part)
    return results


def _crop_at_once(rows: Tensor, size: tuple[int, int], crops: Tensor) -> Tensor:
    height, width = size
    top, left, mirrored = crops[:, :, None].unbind(1)
    y = top + torch.arange(height, device=rows.device)
    x = torch.arange(width, device=rows.device)
    x = left + torch.where(mirrored > 0, width - 1 - x, x)
    return rows[torch.arange(len(rows), device=rows.device)[:, None, None], y[:, :, None], x[:, None, :]]


def resize_rows(rows: Tensor, size: tuple[int, int]) -> Tensor:
    """Return rows (N, H, W, C) resized to float32 (N, *size, C) by bilinear interpolation, antialiased if reduced.

    Interpolation is linear along each axis, so this takes two matrix products. For images as small as those that stay
    on the device they take half the time of `F.interpolate`, and leave the channels last.
    """
    count, height, width, channels = rows.shape
    with torch.autocast(rows.device.type, enabled=False):
        vertical = _interpolation(height, size[0], rows.device)
        horizontal = torch.kron(
            _interpolation(width, size[1], rows.device).T.contiguous(), torch.eye(channels, device=rows.device)
        )
        lines = rows.reshape(count * height, width * channels).to(torch.float32) @ horizontal
        lines = lines.view(count, height, size[1] * channels)
        return torch.bmm(vertical.expand(count, -1, -1), lines).view(count, *size, channels)


def _interpolation(before: int, after: int, device: torch.device) -> Tensor:
    """Return the matrix (after, before) of bilinear interpolation along one axis."""
    units = torch.eye(before, device=device)[None, None]
    return F.interpolate(units, size=(before, after), mode="bilinear", antialias=True)[0, 0].T.contiguous()


def color_components(covariance: Tensor) -> tuple[tuple[float, ...], ...]:
    """Return the principal components of colours, each as long as its eigenvalue: the columns of a (C, C) matrix.

    `covariance` (C, C) is that of pixels between 0 and 1. The paper (section 4.1) adds [p1, p2, p3] [a1 l1, a2 l2, a3
    l3]ᵀ to every pixel of an image, with p and l the eigenvectors and eigenvalues of the covariance and a ~ N(0, 0.1).
    With pixels between 0 and 1 that is a slight change of colour and brightness; between 0 and 255 it would hide the
    image.
    """
    lengths, directions = torch.linalg.eigh(covariance)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    components = directions * largest.sign() * lengths.clamp(min=0)  # fixes the sign of each eigenvector
    return tuple(tuple(row) for row in components.tolist())


def _statistics(recipe: Recipe, dataset: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation, by channel, that pixels between 0 and 1 are normalised with."""
    for problem in pixel_problems(recipe, dataset.name, dataset.channels):
        raise DataError(problem.message)
    match recipe.normalize:
        case "unit":
            return (0.0,) * dataset.channels, (1.0,) * dataset.channels
        case "dataset":
            return dataset.mean, dataset.std
        case "imagenet":
            return IMAGENET_MEAN, IMAGENET_STD
        case other:
            raise ValueError(other)
