"""From 8-bit images to what a network reads: resized, cropped, mirrored, recoloured, normalised, a batch at a time.

Everything runs on the device, and nothing is read back from it. The few random numbers of a batch are drawn by Python,
so that they are the same whatever the device.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from alexplore.presets.recipe import Recipe
from alexplore.training.data.dataset import DataError, Dataset, pixel_statistics
from alexplore.training.data.images import read_image

if TYPE_CHECKING:
    from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def stage_size(recipe: Recipe, network_input: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width that images are brought to before they are cropped: `resize`, or the input's without one.

    Raises:
        DataError: they would be smaller than the input that is cropped from them.
    """
    _, height, width = network_input
    if recipe.resize is None:
        return height, width
    if recipe.resize < max(height, width):
        raise DataError(
            f"resize = {recipe.resize} is less than the network's input of {height}×{width}, which is cropped from "
            f"it: set resize to {max(height, width)} or more, or leave it out"
        )
    return recipe.resize, recipe.resize


class Preprocess:
    """A recipe's treatment of images, for one network and one data set."""

    def __init__(
        self, recipe: Recipe, network_input: tuple[int, int, int], dataset: Dataset, device: torch.device
    ) -> None:
        """Settle what will be done; with colour noise, read the training images' colours once.

        An empty training split will do where only `test` and `ten_crops` are used.

        Raises:
            DataError: the recipe's `resize` or `normalize` can't be used with this network or data set.
        """
        self.channels, self.height, self.width = network_input
        self.stage = stage_size(recipe, network_input)
        self.image_size = dataset.size or self.stage
        self.recipe = recipe
        self.device = device
        self._mean, self._std = _statistics(recipe, dataset)
        self._components: tuple[tuple[float, ...], ...] = ()
        if recipe.color_noise and len(dataset.train):
            self._components = color_components(pixel_statistics(dataset.train)[1])

    @torch.no_grad()
    def train(self, images: Tensor, seed: int, before: int = 0) -> Tensor:
        """Training images: uint8 (N, C, H, W) to float32 (N, C, h, w), channels last in memory.

        Equal seeds give equal images; nothing else is random. A batch's images may come in parts: `before` is how many
        came before these, which then look as they do in the whole batch.
        """
        recipe = self.recipe
        draws = self._draw(before + len(images), seed)[before:]
        noise = None
        if self._components:
            strengths = torch.tensor([draw.strengths for draw in draws]).view(-1, 1, self.channels)
            noise = (strengths * torch.tensor(self._components)).sum(2)
        if not (recipe.random_crop or recipe.horizontal_flip):
            return self._centred(images, noise)
        rows = self._staged(images)
        if recipe.random_crop and recipe.crop_padding:
            rows = F.pad(rows, (0, 0, *(recipe.crop_padding,) * 4))
        return self._normalised(crop_each(rows, (self.height, self.width), draws), noise)

    @torch.no_grad()
    def test(self, images: Tensor) -> Tensor:
        """Images to be classified: uint8 (N, C, H, W) to float32 (N, C, h, w), the centre where crops are taken."""
        return self._centred(images)

    @torch.no_grad()
    def ten_crops(self, images: Tensor) -> Tensor:
        """The paper's ten views of each image, (10, N, C, h, w): four corners and the centre, then those mirrored.

        Without `resize` there is nothing to crop, and the five views are one.
        """
        rows = self._staged(images)
        down, right = self._room(0)
        corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
        views = torch.stack([self._crop(rows, top, left) for top, left in corners])
        views = torch.cat([views, views.flip(3)])
        made = self._normalised(views.flatten(0, 1))
        return made.view(10, len(images), *made.shape[1:])

    def image(self, image: Image.Image) -> Tensor:
        """One picture of any size and mode as the data set would hold it, uint8 (1, C, H, W) on the device.

        `test` and `ten_crops` take it from there.

        Raises:
            OSError: the picture is damaged.
        """
        return read_image(image, self.channels, self.image_size)[None].to(self.device)

    def _draw(self, count: int, seed: int) -> list[Draw]:
        recipe, chance = self.recipe, random.Random(seed)
        down, right = self._room(2 * recipe.crop_padding if recipe.random_crop else 0)
        return [
            Draw(
                top=chance.randrange(down + 1) if recipe.random_crop else down // 2,
                left=chance.randrange(right + 1) if recipe.random_crop else right // 2,
                mirrored=recipe.horizontal_flip and chance.random() < 0.5,
                strengths=[chance.gauss(0, recipe.color_noise) for _ in self._components],
            )
            for _ in range(count)
        ]

    def _room(self, around: int) -> tuple[int, int]:
        """By how many pixels, down and across, a crop can be moved in an image of the stage's size and a border."""
        return self.stage[0] + around - self.height, self.stage[1] + around - self.width

    def _staged(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) as rows (N, H', W', C) of the stage's size, still between 0 and 255."""
        rows = images.permute(0, 2, 3, 1)
        return rows if images.shape[2:] == self.stage else resize_rows(rows, self.stage)

    def _centred(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W) brought to the stage's size, their centre, normalised.

        Where they are enlarged as a whole they are normalised before, while there is less of them: interpolation's
        weights sum to 1, so the order makes no difference.
        """
        down, right = self._room(0)
        if (down, right) == (0, 0) and images.shape[2] < self.height and images.shape[3] < self.width:
            rows = self._normalised(images.permute(0, 2, 3, 1), noise).permute(0, 2, 3, 1)
            return resize_rows(rows, self.stage).permute(0, 3, 1, 2)
        return self._normalised(self._crop(self._staged(images), down // 2, right // 2), noise)

    def _crop(self, rows: Tensor, top: int, left: int) -> Tensor:
        return rows[:, top : top + self.height, left : left + self.width]

    def _normalised(self, rows: Tensor, noise: Tensor | None = None) -> Tensor:
        """Rows (N, h, w, C) between 0 and 255 to (x / 255 + noise - mean) / std, as (N, C, h, w)."""
        mean, std = torch.tensor(self._mean), torch.tensor(self._std)
        offset = (-mean if noise is None else noise - mean) / std
        scale = 1 / (255 * std)
        # A whole line of pixels at a time: one to three channels are too few for the processor's vectors.
        count, height, width, channels = rows.shape
        lines = rows.reshape(count, height, width * channels).to(torch.float32)
        offsets = self._moved(offset.view(-1, 1, channels)).repeat(1, 1, width)
        torch.addcmul(offsets, lines, self._moved(scale).repeat(width), out=lines)
        return lines.view(count, height, width, channels).permute(0, 3, 1, 2)

    def _moved(self, values: Tensor) -> Tensor:
        """Small values to the device, without waiting for it."""
        return values.to(self.device, non_blocking=True)


@dataclass(frozen=True)
class Draw:
    """What chance decided for one image: a crop's corner, mirroring, how much of each colour component."""

    top: int
    left: int
    mirrored: bool
    strengths: list[float]


def crop_each(rows: Tensor, size: tuple[int, int], draws: Sequence[Draw]) -> Tensor:
    """A crop of every image of rows (N, H, W, C), mirrored or not, as (N, *size, C).

    Image by image on the CPU, where indexing takes ten times as long; all at once elsewhere, where starting a copy
    for every image would.
    """
    return _crop_in_turn(rows, size, draws) if rows.device.type == "cpu" else _crop_at_once(rows, size, draws)


def _crop_in_turn(rows: Tensor, size: tuple[int, int], draws: Sequence[Draw]) -> Tensor:
    crops = rows.new_empty(len(rows), *size, rows.shape[3])
    for crop, row, draw in zip(crops, rows, draws, strict=True):
        part = row[draw.top : draw.top + size[0], draw.left : draw.left + size[1]]
        crop.copy_(part.flip(1) if draw.mirrored else part)
    return crops


def _crop_at_once(rows: Tensor, size: tuple[int, int], draws: Sequence[Draw]) -> Tensor:
    def moved(values: list[int]) -> Tensor:
        return torch.tensor(values).to(rows.device, non_blocking=True)[:, None]

    height, width = size
    down = moved([draw.top for draw in draws]) + torch.arange(height, device=rows.device)
    across = torch.arange(width, device=rows.device)
    across = torch.where(moved([draw.mirrored for draw in draws]) > 0, width - 1 - across, across)
    across = across + moved([draw.left for draw in draws])
    return rows[torch.arange(len(rows), device=rows.device)[:, None, None], down[:, :, None], across[:, None, :]]


def resize_rows(rows: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear interpolation of rows (N, H, W, C) to float32 (N, *size, C), smoothed where it makes smaller.

    Two matrix products: interpolation is linear along each axis. For images as small as those that stay on the device
    this takes half the time of `F.interpolate`, and gives the channels in the order that is wanted.
    """
    count, height, width, channels = rows.shape
    with torch.autocast(rows.device.type, enabled=False):
        down = _interpolation(height, size[0], rows.device)
        across = torch.kron(
            _interpolation(width, size[1], rows.device).T.contiguous(), torch.eye(channels, device=rows.device)
        )
        lines = rows.reshape(count * height, width * channels).to(torch.float32) @ across
        lines = lines.view(count, height, size[1] * channels)
        return torch.bmm(down.expand(count, -1, -1), lines).view(count, *size, channels)


def _interpolation(before: int, after: int, device: torch.device) -> Tensor:
    """The matrix (after, before) of bilinear interpolation along one axis: what it makes of each unit vector."""
    units = torch.eye(before, device=device)[None, None]
    return F.interpolate(units, size=(before, after), mode="bilinear", antialias=True)[0, 0].T.contiguous()


def color_components(covariance: Tensor) -> tuple[tuple[float, ...], ...]:
    """Principal components of the colours, each as long as its eigenvalue, as the columns of a (C, C) matrix.

    The paper (section 4.1) adds [p1, p2, p3] [a1 l1, a2 l2, a3 l3]ᵀ to every pixel of an image, with p and l the
    eigenvectors and eigenvalues of the pixels' covariance and a ~ N(0, 0.1). With pixels between 0 and 1, as here, that
    is a slight change of colour and brightness; with pixels between 0 and 255 it would blot the image out.
    """
    lengths, directions = torch.linalg.eigh(covariance)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    components = directions * largest.sign() * lengths.clamp(min=0)  # an eigenvector's sign is anybody's choice
    return tuple(tuple(row) for row in components.tolist())


def _statistics(recipe: Recipe, dataset: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and standard deviation, by channel, that pixels between 0 and 1 are standardised with."""
    match recipe.normalize:
        case "imagenet" if dataset.channels == len(IMAGENET_MEAN):
            return IMAGENET_MEAN, IMAGENET_STD
        case "imagenet":
            raise DataError(
                f'normalize = "imagenet" is for images of 3 channels, and those of {dataset.name} have '
                f'{dataset.channels}: set normalize to "dataset" or "unit"'
            )
        case "dataset":
            return dataset.mean, dataset.std
        case _:
            return (0.0,) * dataset.channels, (1.0,) * dataset.channels
