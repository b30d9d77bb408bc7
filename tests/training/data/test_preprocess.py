"""Preprocessing, compared with Pillow, NumPy and arithmetic on one image at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from alexplore.presets.recipe import Recipe
from alexplore.runs.data.errors import DataError
from alexplore.training.data.dataset import Dataset, ResidentSplit, mean_and_std, pixel_statistics, read_dataset
from alexplore.training.data.preprocess import (
    Preprocess,
    _crop_at_once,
    _crop_one_by_one,
    color_components,
    resize_rows,
)
from tests.support.examples import examples

CPU = torch.device("cpu")


def pictures(count: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def dataset_of(images: Tensor, mean: float = 0.4, std: float = 0.3) -> Dataset:
    channels = images.shape[1]
    split = ResidentSplit(images, torch.zeros(len(images), dtype=torch.int64), CPU)
    return Dataset("made", ("one",), channels, (mean,) * channels, (std,) * channels, split, split)


def preprocess(recipe: Recipe, images: Tensor, height: int, width: int) -> Preprocess:
    return Preprocess(recipe, (images.shape[1], height, width), dataset_of(images), CPU)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 3]))
@examples(60)
def test_resizing_equals_pillows_antialiased_bilinear(
    height: int, width: int, to_height: int, to_width: int, channels: int
) -> None:
    images = pictures(2, channels, height, width)
    resized = resize_rows(images.permute(0, 2, 3, 1), (to_height, to_width))
    for image, ours in zip(images, resized, strict=True):
        for plane, mine in zip(image, ours.permute(2, 0, 1), strict=True):
            picture = Image.fromarray(plane.float().numpy())  # of floats, so that nothing is rounded
            theirs = picture.resize((to_width, to_height), Image.Resampling.BILINEAR)
            np.testing.assert_allclose(mine.numpy(), np.asarray(theirs), atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_test_images_equal_pillows(channels: int) -> None:
    images = pictures(3, channels, 28, 28)
    made = preprocess(Recipe(), images, 224, 224).test(images)
    assert made.dtype == torch.float32
    assert made.is_contiguous(memory_format=torch.channels_last)
    for image, ours in zip(images, made, strict=True):
        picture = Image.fromarray(
            image.permute(1, 2, 0).squeeze(2).numpy() if channels == 1 else image.permute(1, 2, 0).numpy()
        )
        theirs = np.asarray(picture.resize((224, 224), Image.Resampling.BILINEAR)).reshape(224, 224, channels)
        difference = np.abs(ours.permute(1, 2, 0).numpy() - theirs / 255)
        assert difference.max() < 1.01 / 255  # Pillow rounds to whole levels, along each axis


@pytest.mark.parametrize(
    ("normalize", "mean", "std"),
    [
        ("unit", [0, 0, 0], [1, 1, 1]),
        ("dataset", [0.4, 0.4, 0.4], [0.3, 0.3, 0.3]),
        ("imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ],
)
@pytest.mark.parametrize("side", [6, 8, 20])
def test_pixels_are_normalised(normalize: str, mean: list[float], std: list[float], side: int) -> None:
    images = pictures(4, 3, 8, 8)
    made = preprocess(Recipe(normalize=normalize), images, side, side).test(images)
    pixels = F.interpolate(images.double() / 255, (side, side), mode="bilinear", antialias=True).numpy()
    expected = (pixels - np.array(mean).reshape(3, 1, 1)) / np.array(std).reshape(3, 1, 1)
    np.testing.assert_allclose(made.numpy(), expected, atol=1e-5)


def test_imagenet_statistics_need_three_channels() -> None:
    with pytest.raises(DataError, match='set normalize to "dataset" or "unit"'):
        preprocess(Recipe(normalize="imagenet"), pictures(1, 1, 8, 8), 8, 8)


def test_a_resize_smaller_than_the_crop_is_refused() -> None:
    with pytest.raises(DataError, match="set resize to 10 or more"):
        preprocess(Recipe(resize=9, random_crop=True), pictures(1, 3, 8, 8), 10, 8)


def test_a_single_pixel_is_enlarged_to_a_constant() -> None:
    assert torch.equal(resize_rows(torch.full((1, 1, 1, 3), 7), (4, 5)), torch.full((1, 4, 5, 3), 7.0))


def test_test_images_are_the_centre() -> None:
    images = pictures(2, 3, 12, 12)
    made = preprocess(Recipe(resize=12, random_crop=True), images, 6, 8).test(images)
    np.testing.assert_allclose(made.numpy(), images[:, :, 3:9, 2:10].numpy() / 255, atol=1e-6)


def positions(image: Tensor, crop: Tensor) -> list[tuple[int, int]]:
    """Where in `image` a crop was taken from, found by trying every place."""
    height, width = crop.shape[1:]
    return [
        (top, left)
        for top in range(image.shape[1] - height + 1)
        for left in range(image.shape[2] - width + 1)
        if torch.allclose(image[:, top : top + height, left : left + width], crop, atol=1e-6)
    ]


def test_random_crops_are_uniform_windows_of_the_resized_image() -> None:
    images = pictures(600, 1, 8, 8)
    made = preprocess(Recipe(resize=8, random_crop=True), images, 6, 6).train(images, seed=7)
    corners = [positions(image / 255, crop) for image, crop in zip(images, made, strict=True)]
    assert all(len(found) == 1 for found in corners)
    counts = {found[0]: sum(other == found for other in corners) for found in corners}
    assert set(counts) == {(top, left) for top in range(3) for left in range(3)}
    assert min(counts.values()) > 600 / 9 / 2  # each place 67 times, give or take 8


def test_crops_of_padded_images_include_black_borders() -> None:
    images = pictures(200, 3, 8, 8).clamp(min=1)
    recipe = Recipe(random_crop=True, crop_padding=2, normalize="dataset")
    made = preprocess(recipe, images, 8, 8).train(images, seed=1)
    padded = (F.pad(images.float(), (2, 2, 2, 2)) / 255 - 0.4) / 0.3
    corners = [positions(image, crop) for image, crop in zip(padded, made, strict=True)]
    assert all(len(found) == 1 for found in corners)
    assert {top for found in corners for top, _ in found} == set(range(5))
    assert {left for found in corners for _, left in found} == set(range(5))


def test_half_of_the_images_are_mirrored() -> None:
    images = pictures(400, 3, 6, 6)
    made = preprocess(Recipe(horizontal_flip=True), images, 6, 6).train(images, seed=3)
    plain = torch.isclose(made, images / 255, atol=1e-6).flatten(1).all(1)
    mirrored = torch.isclose(made, images.flip(3) / 255, atol=1e-6).flatten(1).all(1)
    assert (plain ^ mirrored).all()
    assert 150 < int(mirrored.sum()) < 250  # 200, give or take 10


@pytest.mark.parametrize("side", [6, 9])
def test_colour_noise_follows_the_paper(side: int) -> None:
    """a_i l_i p_i is added to every pixel of an image: eigenvectors from NumPy's singular value decomposition."""
    base = pictures(300, 1, 6, 6).float()
    images = torch.cat([base, 0.7 * base + 20, 0.3 * base + 0.2 * pictures(300, 1, 6, 6, 5)], 1).to(torch.uint8)
    made = preprocess(Recipe(color_noise=0.1), images, side, side).train(images, seed=5)
    plain = F.interpolate(images / 255, (side, side), mode="bilinear", antialias=True)
    shift = (made - plain).permute(0, 2, 3, 1).reshape(300, -1, 3)
    assert shift.std(1).max() < 1e-5  # one colour for a whole image
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy() / 255
    _, singular, directions = np.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    eigenvalues = singular**2 / len(pixels)
    strengths = shift[:, 0].double().numpy() @ directions.T / eigenvalues
    assert np.abs(strengths.mean(0)).max() < 0.1 * 4 / np.sqrt(300)
    np.testing.assert_allclose(strengths.std(0), 0.1, rtol=0.2)
    assert np.abs(np.corrcoef(strengths.T) - np.eye(3)).max() < 0.25


def test_colour_components_are_eigenvectors_as_long_as_their_eigenvalues() -> None:
    matrix = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    covariance = matrix @ matrix.T
    components = torch.tensor(color_components(covariance), dtype=torch.float64)
    for component in components.T:
        torch.testing.assert_close(covariance @ component, component.norm() * component)
    torch.testing.assert_close(components.norm(dim=0).sum(), covariance.trace())


def test_pixel_statistics_equal_numpys() -> None:
    images = pictures(700, 3, 5, 4)
    mean, covariance = pixel_statistics(ResidentSplit(images, torch.zeros(700, dtype=torch.int64), CPU))
    pixels = images.permute(1, 0, 2, 3).reshape(3, -1).numpy() / 255
    np.testing.assert_allclose(mean.numpy(), pixels.mean(1), rtol=1e-12)
    np.testing.assert_allclose(covariance.numpy(), np.cov(pixels, bias=True), rtol=1e-9)


FULL = Recipe(resize=16, random_crop=True, crop_padding=1, horizontal_flip=True, color_noise=0.1, normalize="imagenet")


def test_a_seed_determines_every_bit() -> None:
    images = pictures(20, 3, 10, 10)
    one = preprocess(FULL, images, 14, 14)
    assert torch.equal(one.train(images, 11), preprocess(FULL, images, 14, 14).train(images, 11))
    assert not torch.equal(one.train(images, 11), one.train(images, 12))
    torch.manual_seed(1)
    before = torch.rand(3)
    torch.manual_seed(1)
    one.train(images, 13)
    assert torch.equal(torch.rand(3), before)  # dropout's random numbers are left alone


def test_without_augmentation_training_images_equal_test_images() -> None:
    images = pictures(4, 1, 10, 10)
    one = preprocess(Recipe(normalize="dataset"), images, 14, 14)
    assert torch.equal(one.train(images, 11), one.test(images))


def test_ten_crops_are_four_corners_the_centre_and_their_mirror_images() -> None:
    images = pictures(2, 3, 10, 10)
    made = preprocess(Recipe(resize=10, random_crop=True), images, 6, 6).ten_crops(images)
    assert made.shape == (10, 2, 3, 6, 6)
    assert all(view.is_contiguous(memory_format=torch.channels_last) for view in made)
    corners = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    for view, (top, left) in zip(made[:5], corners, strict=True):
        np.testing.assert_allclose(view.numpy(), images[:, :, top : top + 6, left : left + 6].numpy() / 255, atol=1e-6)
    assert torch.equal(made[5:], made[:5].flip(4))


def test_crops_at_once_equal_crops_one_by_one() -> None:
    rows = pictures(50, 9, 11, 3).contiguous()
    generator = torch.Generator().manual_seed(0)
    crops = torch.randint(2**31, (50, 3), generator=generator) % torch.tensor([4, 5, 2])
    assert torch.equal(_crop_at_once(rows, (6, 7), crops), _crop_one_by_one(rows, (6, 7), crops))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_nothing_is_read_back_from_the_device(device: str) -> None:
    """Under FakeTensorMode there is nothing to read back, and the attempt raises."""
    images = pictures(6, 3, 10, 10)
    one = Preprocess(FULL, (3, 14, 14), dataset_of(images), torch.device(device))
    with FakeTensorMode():
        fake = torch.empty(6, 3, 10, 10, dtype=torch.uint8, device=device)
        if device != "cpu":  # whose crops are cut one by one, from places that are read on the CPU
            assert one.train(fake, 1).shape == (6, 3, 14, 14)
        assert one.test(fake).device.type == device
        assert one.ten_crops(fake).shape == (10, 6, 3, 14, 14)


def test_a_batch_may_be_empty() -> None:
    one = preprocess(FULL, pictures(6, 3, 10, 10), 14, 14)
    nothing = torch.empty(0, 3, 10, 10, dtype=torch.uint8)
    assert one.train(nothing, 1).shape == one.test(nothing).shape == (0, 3, 14, 14)


def test_autocast_does_not_round_pixels() -> None:
    images = pictures(6, 3, 10, 10)
    one = preprocess(FULL, images, 14, 14)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(one.train(images, 1), one.train(images, 1))
        inside = one.train(images, 1)
    assert torch.equal(inside, one.train(images, 1))


def test_an_image_file_is_preprocessed_like_the_data_set() -> None:
    images = pictures(1, 1, 28, 28)
    dataset = read_dataset({**dataset_of(images).to_dict(), "size": [28, 28]})
    one = Preprocess(Recipe(normalize="dataset"), (1, 56, 56), dataset, CPU)
    picture = Image.fromarray(images[0, 0].numpy())
    assert torch.equal(one.image(picture), images)
    assert torch.equal(one.test(one.image(picture.convert("RGBA"))), one.test(images))
    assert one.image(Image.new("CMYK", (300, 111))).shape == (1, 1, 28, 28)


def test_a_data_set_is_read_back_from_its_dict() -> None:
    made = dataset_of(pictures(1, 3, 8, 8)).to_dict()
    again = read_dataset(made)
    assert again.to_dict() == {**made, "train": 0, "val": 0}  # the images themselves are not kept
    assert len(again.train) == 0


def test_a_channel_without_contrast_can_be_normalised() -> None:
    images = torch.zeros(4, 3, 5, 5, dtype=torch.uint8)
    images[:, 1] = torch.arange(25, dtype=torch.uint8).view(5, 5)
    images[:, 2] = 77
    mean, std = mean_and_std(ResidentSplit(images, torch.zeros(4, dtype=torch.int64), torch.device("cpu")))
    assert (std[0], std[2]) == (1.0, 1.0)
    assert std[1] == pytest.approx(float(np.std(np.arange(25) / 255)))
    assert mean == pytest.approx((0.0, 12 / 255, 77 / 255))
    many = torch.full((64, 1, 200, 200), 77, dtype=torch.uint8)  # whose sums are rounded
    assert mean_and_std(ResidentSplit(many, torch.zeros(64, dtype=torch.int64), torch.device("cpu")))[1] == (1.0,)
