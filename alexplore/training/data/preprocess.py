"""From 8-bit images to what a network reads: resized, cropped, mirrored, recoloured, normalised, a batch at a time.

Everything runs on the device, and nothing is read back from it. The few random numbers of a batch are drawn on the
CPU, so that they are the same whatever the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from alexplore.network.recipe import Recipe
from alexplore.training.data.dataset import DataError, Dataset, pixel_statistics
from alexplore.training.data.images import read_image

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
    room = recipe.resize + (2 * recipe.crop_padding if recipe.random_crop else 0)
    if min(recipe.resize, room) < max(height, width):
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
    def train(self, images: Tensor, seed: int) -> Tensor:
        """Training images: uint8 (N, C, H, W) to float32 (N, C, h, w), channels last in memory.

        Equal seeds give equal images; nothing else is random.
        """
        draws = self._draw(len(images), seed)
        rows = self._staged(images)
        if self.recipe.random_crop and self.recipe.crop_padding:
            around = self.recipe.crop_padding
            rows = F.pad(rows, (0, 0, around, around, around, around))
        return self._normalised(self._cropped(rows, draws), draws.noise)

    @torch.no_grad()
    def test(self, images: Tensor) -> Tensor:
        """Images to be classified: uint8 (N, C, H, W) to float32 (N, C, h, w), the centre where crops are taken."""
        rows = self._staged(images)
        return self._normalised(
            self._corner(rows, (rows.shape[1] - self.height) // 2, (rows.shape[2] - self.width) // 2)
        )

    @torch.no_grad()
    def ten_crops(self, images: Tensor) -> Tensor:
        """The paper's ten views of each image, (10, N, C, h, w): four corners and the centre, then those mirrored.

        Without `resize` there is nothing to crop, and the five views are one.
        """
        rows = self._staged(images)
        down, right = rows.shape[1] - self.height, rows.shape[2] - self.width
        corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
        views = torch.stack([self._corner(rows, top, left) for top, left in corners])
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

    def _draw(self, count: int, seed: int) -> _Draws:
        recipe = self.recipe
        generator = torch.Generator().manual_seed(seed)
        down, right = self.stage[0] - self.height, self.stage[1] - self.width
        if recipe.random_crop:
            around = 2 * recipe.crop_padding
            top = torch.randint(down + around + 1, (count,), generator=generator)
            left = torch.randint(right + around + 1, (count,), generator=generator)
        else:
            top, left = torch.full((count,), down // 2), torch.full((count,), right // 2)
        mirrored = torch.zeros(count, dtype=torch.bool)
        if recipe.horizontal_flip:
            mirrored = torch.rand(count, generator=generator) < 0.5
        noise = torch.zeros(1, self.channels)
        if self._components:
            strengths = recipe.color_noise * torch.randn(count, self.channels, generator=generator)
            noise = (strengths[:, None, :] * torch.tensor(self._components)).sum(2)
        return _Draws(top, left, mirrored, noise)

    def _staged(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) as rows (N, H', W', C) of the stage's size, still between 0 and 255."""
        rows = images.permute(0, 2, 3, 1)
        return rows if images.shape[2:] == self.stage else resize_rows(rows, self.stage)

    def _corner(self, rows: Tensor, top: int, left: int) -> Tensor:
        return rows[:, top : top + self.height, left : left + self.width]

    def _cropped(self, rows: Tensor, draws: _Draws) -> Tensor:
        if not (self.recipe.random_crop or self.recipe.horizontal_flip):
            return self._corner(rows, (rows.shape[1] - self.height) // 2, (rows.shape[2] - self.width) // 2)
        top, left, mirrored = (self._moved(t) for t in (draws.top, draws.left, draws.mirrored))
        across = torch.arange(self.width, device=rows.device)
        across = torch.where(mirrored[:, None], self.width - 1 - across, across)
        which = torch.arange(len(rows), device=rows.device)[:, None, None]
        down = torch.arange(self.height, device=rows.device)
        return rows[which, (top[:, None] + down)[:, :, None], (left[:, None] + across)[:, None, :]]

    def _normalised(self, rows: Tensor, noise: Tensor | None = None) -> Tensor:
        """Rows (N, h, w, C) between 0 and 255 to (x / 255 + noise - mean) / std, as (N, C, h, w)."""
        mean, std = torch.tensor(self._mean), torch.tensor(self._std)
        offset = ((0 if noise is None else noise) - mean) / std
        scale = 1 / (255 * std)
        # A whole row of pixels at a time: three channels alone are too few for the processor's vectors.
        count, height, width, channels = rows.shape
        lines = rows.reshape(count, height, width * channels).to(torch.float32)
        lines.mul_(self._moved(scale.repeat(width))).add_(self._moved(offset.view(-1, 1, channels).repeat(1, 1, width)))
        return lines.view(count, height, width, channels).permute(0, 3, 1, 2)

    def _moved(self, values: Tensor) -> Tensor:
        """Small values to the device, without waiting for it."""
        return values.to(self.device, non_blocking=True)


@dataclass(frozen=True)
class _Draws:
    """What chance decided for a batch, on the CPU: crops (N,), mirroring (N,), colour (N or 1, C)."""

    top: Tensor
    left: Tensor
    mirrored: Tensor
    noise: Tensor


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
        return (down @ lines.view(count, height, size[1] * channels)).view(count, *size, channels)


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
    signs = torch.sign(
        directions.gather(0, directions.abs().argmax(0, keepdim=True))
    )  # eigenvectors have none of their own
    return tuple(tuple(row) for row in (directions * signs * lengths.clamp(min=0)).tolist())


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
