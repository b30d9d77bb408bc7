"""Images of one's own: transparency, dark on light, folders."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageDraw
from torch import Tensor

from alexplore.presets.library import load_preset
from alexplore.runs.config import RunConfig
from alexplore.training.commands.load_model import _assumed_dataset
from alexplore.training.commands.predict import has_light_border, image_files, on_background
from alexplore.training.data.images import read_image
from alexplore.training.errors import UsageError

REAL = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")


def fashion_mnist() -> Tensor:
    """Return the validation images, uint8 (10000, 1, 28, 28)."""
    with gzip.open(REAL) as file:
        return torch.frombuffer(bytearray(file.read()[16:]), dtype=torch.uint8).view(-1, 1, 28, 28)


@pytest.mark.skipif(not REAL.exists(), reason="needs Debian's package dataset-fashion-mnist")
def test_every_image_of_fashion_mnist_is_light_on_dark_and_every_negative_dark_on_light() -> None:
    images = fashion_mnist()
    assert not any(has_light_border(image) for image in images)
    assert all(has_light_border(255 - image) for image in images)


def drawn(ink: int) -> Image.Image:
    """Return a square of ink on nothing."""
    image = Image.new("LA", (20, 20), (0, 0))
    ImageDraw.Draw(image).rectangle((5, 5, 14, 14), fill=(ink, 255))
    return image


@pytest.mark.parametrize(("ink", "ground"), [(0, 255), (60, 255), (200, 0), (255, 0)])
def test_ink_on_nothing_stands_out_from_its_ground(ink: int, ground: int) -> None:
    pixels = np.asarray(on_background(drawn(ink)).convert("L"))
    assert pixels[10, 10] == ink
    assert pixels[0, 0] == ground


def test_an_image_without_transparency_is_left_alone() -> None:
    image = Image.new("RGB", (4, 4), "red")
    assert on_background(image) is image


def test_a_transparent_image_is_upright(tmp_path: Path) -> None:
    image = Image.new("RGBA", (4, 2), "white")
    image.putpixel((0, 0), (0, 0, 0, 255))
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6  # to be turned by 90° clockwise
    image.save(tmp_path / "turned.png", exif=tags)
    with Image.open(tmp_path / "turned.png") as turned:
        pixels = np.asarray(on_background(turned).convert("L"))
    assert pixels.shape == (4, 2)
    assert np.argwhere(pixels == 0).tolist() == [[0, 1]]


def test_a_transparent_image_of_16_bits_keeps_its_greys(tmp_path: Path) -> None:
    values = np.array([[0, 30000], [65535, 30000]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png", transparency=0)
    with Image.open(tmp_path / "deep.png") as deep:
        assert deep.has_transparency_data
        pixels = read_image(on_background(deep), 1, (2, 2))
    assert pixels.tolist() == [[[0, round(30000 / 65535 * 255)], [255, round(30000 / 65535 * 255)]]]


def test_a_huge_transparent_image_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr("alexplore.training.data.images.MOST_PIXELS", 15)
    with pytest.raises(OSError, match="more than the 15"):
        on_background(Image.new("LA", (4, 4), (0, 0)))


def test_a_preset_of_a_published_data_set_has_its_statistics() -> None:
    """They are known: no run is needed for them."""
    preset = load_preset("fmnist-fast")
    assert preset.recipe.normalize == "dataset"
    found = _assumed_dataset(RunConfig(preset.name, preset.network, preset.recipe))
    assert found.mean == pytest.approx([0.286], abs=1e-3)
    assert found.std == pytest.approx([0.353], abs=1e-3)
    folder = replace(preset.recipe, dataset="imagefolder")
    with pytest.raises(UsageError, match="which only a run records"):
        _assumed_dataset(RunConfig(preset.name, preset.network, folder))


def test_an_image_of_nothing_is_black() -> None:
    assert np.asarray(on_background(Image.new("LA", (4, 4), (0, 0))).convert("L")).max() == 0


def test_a_folder_stands_for_its_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c").mkdir()
    for name in ("b.png", "a.JPG", "notes.txt", "._a.JPG", "c/1.webp"):
        (tmp_path / name).touch()
    expected = [tmp_path / name for name in ("a.JPG", "b.png", "c/1.webp")]
    assert list(image_files([tmp_path, Path("x.png")])) == [*expected, Path("x.png")]
    assert capsys.readouterr().err == f"{tmp_path}: left out: 1 file that is no picture (notes.txt), 1 hidden\n"


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="has no pictures in it"):
        list(image_files([tmp_path]))
