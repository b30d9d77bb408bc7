"""Image folders: listing, errors and decoding."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import struct
import time
from multiprocessing import Process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import LeftOut
from alexplore.training.data import folder_split
from alexplore.training.data.dataset import pixel_statistics
from alexplore.training.data.folder_listing import draw_held_out, list_images
from alexplore.training.data.folder_split import FolderSplit
from alexplore.training.data.images import open_image, read_image

CPU = torch.device("cpu")


def picture(
    path: Path, color: tuple[int, ...] = (200, 100, 50), mode: str = "RGB", size: tuple[int, int] = (40, 30)
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color if len(color) > 1 else color[0]).save(path)
    return path


def made(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 3) -> Path:
    for part in ("train", "val"):
        for label, name in enumerate(classes):
            for i in range(count):
                picture(folder / part / name / f"{i}.jpg", (60 * label, 20 * i, 100))
    return folder


def ignore(_: str) -> None:
    pass


CLASSES = ["cat", "dog"]


def split_of(folder: Path, *, workers: int = 0, channels: int = 3, size: tuple[int, int] = (24, 24)) -> FolderSplit:
    return FolderSplit(list_images(folder, CLASSES, LeftOut(folder)), channels, size, CPU, ignore, workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_images_are_read_in_the_requested_order(tmp_path: Path, workers: int) -> None:
    split = split_of(made(tmp_path) / "train", workers=workers)
    assert split.labels.tolist() == [0, 0, 0, 1, 1, 1]
    order = torch.tensor([5, 0, 3, 2, 4])
    batches = list(split.batches(order, 2))
    assert [labels.tolist() for _, labels in batches] == [[1, 0], [1, 0], [1]]
    images = torch.cat([images for images, _ in batches])
    assert images.dtype == torch.uint8
    assert images.shape == (5, 3, 24, 24)
    # Each file has one colour: green tells its number, red its class.
    green, red = images[:, 1].float().mean((1, 2)), images[:, 0].float().mean((1, 2))
    torch.testing.assert_close(green, torch.tensor([40.0, 0, 0, 40, 20]), atol=3, rtol=0)
    torch.testing.assert_close(red, torch.tensor([60.0, 0, 60, 0, 60]), atol=3, rtol=0)
    for skipped, whole in zip(split.batches(order, 2, skip=1), batches[1:], strict=True):
        assert torch.equal(skipped[0], whole[0])
        assert torch.equal(skipped[1], whole[1])


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_images_are_reported_once_and_left_out(tmp_path: Path, workers: int) -> None:
    folder = made(tmp_path) / "train"
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8))
    cut, text = folder / "cat" / "1.jpg", folder / "dog" / "0.jpg"
    noise.save(cut)
    cut.write_bytes(cut.read_bytes()[:1000])
    text.write_text("<html>not found</html>")
    messages: list[str] = []
    split = FolderSplit(list_images(folder, CLASSES, LeftOut(folder)), 3, (24, 24), CPU, messages.append, workers)
    for _ in range(2):
        labels = [labels.tolist() for _, labels in split.batches(torch.arange(6), 2)]
        assert labels == [[0], [0], [1, 1]]
    assert split.damaged.keys() == {str(cut), str(text)}
    assert len(messages) == 2  # once, not every epoch
    assert str(cut) in messages[0]
    assert "truncated" in messages[0]
    assert messages[1] == f"{text} is damaged and is left out: not an image that Pillow knows"
    images, none = next(split.batches(torch.tensor([1]), 4))
    assert images.shape == (0, 3, 24, 24)
    assert none.tolist() == []


def test_statistics_of_unreadable_images_are_an_error(tmp_path: Path) -> None:
    folder = made(tmp_path) / "train"
    for path in folder.rglob("*.jpg"):
        path.write_text("no")
    with pytest.raises(DataError, match="none of 6 training images could be read"):
        pixel_statistics(split_of(folder))


def test_other_files_are_reported_and_left_out(tmp_path: Path) -> None:
    folder = made(tmp_path) / "train"
    (folder / "README.txt").write_text("")
    (folder / "cat" / "labels.csv").write_text("")
    left_out = LeftOut(folder)
    assert len(list_images(folder, CLASSES, left_out).paths) == 6
    assert left_out.text == "left out: 2 files that are no picture (README.txt, cat/labels.csv)"


def test_a_class_without_images_is_an_error(tmp_path: Path) -> None:
    folder = made(tmp_path) / "train"
    (folder / "eel").mkdir()
    with pytest.raises(DataError, match="class eel has no images: add some, or remove the folder"):
        list_images(folder, [*CLASSES, "eel"], LeftOut(folder))


def test_images_in_subfolders_belong_to_the_class(tmp_path: Path) -> None:
    folder = made(tmp_path) / "train"
    picture(folder / "dog" / "more" / "9.PNG")
    listing = list_images(folder, CLASSES, LeftOut(folder))
    assert listing.paths[-1] == "dog/more/9.PNG"
    assert listing.labels[-1] == 1


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("RGB", (200, 100, 50), (200, 100, 50)),
        ("L", (70,), (70, 70, 70)),
        ("1", (1,), (255, 255, 255)),
        ("RGBA", (200, 100, 50, 255), (200, 100, 50)),
        ("RGBA", (200, 100, 50, 0), (0, 0, 0)),
        ("LA", (200, 128), (100, 100, 100)),
        ("P", (0,), (0, 0, 0)),
        ("CMYK", (0, 128, 255, 0), (255, 127, 0)),
        ("I;16", (0x8000,), (128, 128, 128)),
        ("I", (0x4000,), (64, 64, 64)),
        ("YCbCr", (100, 128, 128), (100, 100, 100)),
    ],
)
def test_images_of_every_mode_are_read(mode: str, color: tuple[int, ...], expected: tuple[int, ...]) -> None:
    image = Image.new(mode, (50, 20), color if len(color) > 1 else color[0])
    pixels = read_image(image, 3, (8, 6))
    assert pixels.shape == (3, 8, 6)
    assert pixels.dtype == torch.uint8
    torch.testing.assert_close(pixels[:, 4, 3], torch.tensor(expected, dtype=torch.uint8), atol=1, rtol=0)
    grey = read_image(image, 1, (8, 6))
    luma = 0.299 * expected[0] + 0.587 * expected[1] + 0.114 * expected[2]  # ITU-R 601
    assert abs(int(grey[0, 4, 3]) - luma) <= 1


def saved(path: Path, values: np.ndarray, **options: Any) -> torch.Tensor:
    """Save values as a picture of 8×8 pixels of one grey each, and return the grey values of its first row as read."""
    Image.fromarray(np.repeat(values[None], len(values), 0)).save(path, **options)
    with open_image(path) as image:
        return read_image(image, 1, (len(values), len(values)))[0, 0]


TAG_PHOTOMETRIC, TAG_MIN, TAG_MAX = 262, 340, 341


def test_the_depth_is_that_of_the_format_and_not_of_the_brightest_pixel(tmp_path: Path) -> None:
    """A dark picture of 16 bits stays dark: 255 of 65,535 is black, as 1 of 255 is."""
    steps = np.linspace(0, 65535, 8)
    expected = torch.tensor([round(value / 65535 * 255) for value in steps], dtype=torch.uint8)
    for name in ("a.png", "a.tif"):
        assert torch.equal(saved(tmp_path / name, steps.astype(np.uint16)), expected)
        assert saved(tmp_path / f"dark {name}", np.arange(8, dtype=np.uint16) * 36).tolist() == [0] * 4 + [1] * 4
    (tmp_path / "a.pgm").write_bytes(b"P5 2 2 4095\n" + np.array([0, 4095, 0, 2048], ">u2").tobytes())
    with open_image(tmp_path / "a.pgm") as image:
        assert read_image(image, 1, (2, 2))[0].tolist() == [[0, 255], [0, 128]]


def test_tiffs_of_other_depths_are_read_as_they_say(tmp_path: Path) -> None:
    signed = saved(tmp_path / "signed.tif", np.array([-5, 0, 2**30, 2**31 - 1], np.int32))
    assert signed.tolist() == [0, 0, 128, 255]
    stated = saved(tmp_path / "stated.tif", np.array([0, 100, 200, 300], np.uint16), tiffinfo={TAG_MAX: 200})
    assert stated.tolist() == [0, 128, 255, 255]
    # 4 × 4 pixels, whose rows are 000, FFF, 800, 000. Entries: tag, type (3 has 16 bits, 4 has 32), count, value.
    tags = [(256, 3, 4), (257, 3, 4), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 3, 4), (279, 4, 24)]
    table = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags
    )
    pixels = bytes.fromhex("000FFF800000") * 4
    (tmp_path / "twelve.tif").write_bytes(b"II*\0" + struct.pack("<I", 32) + pixels + table + b"\0\0\0\0")
    with open_image(tmp_path / "twelve.tif") as image:
        assert read_image(image, 1, (4, 4))[0].tolist() == [[0, 255, 128, 0]] * 4


def test_floats_are_from_0_to_1_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    ramp = np.array([0, 0.25, 0.5, 1.02], np.float32)
    assert saved(tmp_path / "a.tif", ramp).tolist() == [0, 64, 128, 255]
    stated = saved(tmp_path / "stated.tif", ramp * 300, tiffinfo={TAG_MIN: 0.0, TAG_MAX: 300.0})
    assert stated.tolist() == [0, 64, 128, 255]
    for values in (ramp * 255, np.array([0, np.nan], np.float32)):
        with pytest.raises(OSError, match=r"its pixels are floats from .* and 0 to 1 stand for black to white"):
            saved(tmp_path / "b.tif", values)


def test_a_grey_that_is_transparent_is_black(tmp_path: Path) -> None:
    values = np.array([0, 30000, 65535], np.uint16)
    assert saved(tmp_path / "a.png", values, transparency=65535).tolist() == [0, 117, 0]
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([9, 9, 9, 200, 100, 50])
    assert read_image(palette, 3, (2, 2))[:, 0, 0].tolist() == [200, 100, 50]
    palette.save(tmp_path / "a.gif", transparency=1)
    with open_image(tmp_path / "a.gif") as image:
        assert read_image(image, 3, (2, 2)).max() == 0


def test_other_colour_spaces_keep_their_colours() -> None:
    for mode in ("LAB", "HSV", "RGBX", "PA", "RGBa"):
        image = Image.new("RGB", (4, 4), (120, 120, 120))
        made = Image.new("LAB", (4, 4), (128, 128, 128)) if mode == "LAB" else _through(image, mode)
        for channels in (1, 3):
            pixels = read_image(made, channels, (2, 2))
            assert (pixels.float() - 120).abs().max() < 4, mode


def _through(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image by the way that Pillow allows."""
    via = {"PA": "P", "RGBa": "RGBA"}.get(mode)
    return (image.convert(via) if via else image).convert(mode)


def test_the_shorter_side_is_resized_and_the_centre_taken() -> None:
    """Three bands side by side, of which a square in the middle leaves the second."""
    image = Image.new("RGB", (300, 100))
    for band, color in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        image.paste(color, (100 * band, 0, 100 * (band + 1), 100))
    pixels = read_image(image, 3, (50, 50))
    assert torch.equal(pixels[:, 25, 3:-3].float().mean(1), torch.tensor([0.0, 255, 0]))
    upright = read_image(image.rotate(90, expand=True), 3, (50, 50))
    assert torch.equal(upright[:, 3:-3, 25].float().mean(1), torch.tensor([0.0, 255, 0]))


def test_images_are_rotated_as_exif_says(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 64), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 64, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    image.save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as opened:
        pixels = read_image(opened, 1, (64, 64))[0].float()
    assert pixels[:, 40:].mean() > 250
    assert pixels[:, :24].mean() < 5


def test_statistics_are_of_evenly_spaced_images(tmp_path: Path) -> None:
    split = split_of(made(tmp_path) / "train")
    mean, covariance = pixel_statistics(split)
    images = torch.cat([images for images, _ in split.batches(torch.arange(6), 6)])
    pixels = images.permute(1, 0, 2, 3).reshape(3, -1).numpy() / 255
    np.testing.assert_allclose(mean.numpy(), pixels.mean(1))
    np.testing.assert_allclose(covariance.numpy(), np.cov(pixels, bias=True), atol=1e-12)


@pytest.mark.usefixtures("heavy")
def test_full_shared_memory_is_reported_and_decoding_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path) / "train"
    messages: list[str] = []
    split = FolderSplit(list_images(folder, CLASSES, LeftOut(folder)), 3, (24, 24), CPU, messages.append, 2)

    batches = 0  # of the process that decodes them

    def full(self: torch.Tensor) -> torch.Tensor:
        nonlocal batches
        batches += 1
        if batches > 1:
            raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device")
        return self

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    labels = [labels.tolist() for _, labels in split.batches(torch.arange(6), 1)]
    assert labels == [[0], [0], [0], [1], [1], [1]]
    (message,) = messages
    assert message.startswith("/dev/shm is full")
    assert "--shm-size" in message


@pytest.mark.usefixtures("heavy")
def test_a_decoder_that_is_killed_ends_the_training_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = split_of(made(tmp_path) / "train", workers=1)
    monkeypatch.setattr(type(split._decoder), "__getitem__", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(DataError, match=r"a process that decodes images was killed by a signal \(Killed\)"):
        list(split.batches(torch.arange(6), 2))


@pytest.mark.usefixtures("heavy")
def test_a_decoder_of_which_only_the_broken_connection_is_noticed_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = split_of(made(tmp_path) / "train", workers=1)

    class Broken:
        def __init__(self) -> None:
            self._workers = [Process(target=signal.raise_signal, args=(signal.SIGTERM,))]
            self._workers[0].start()
            self._workers[0].join()

        def __next__(self) -> None:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(torch.utils.data.DataLoader, "__iter__", lambda _: Broken())
    with pytest.raises(DataError, match=r"a process that decodes images was killed by a signal \(Terminated\)"):
        list(split.batches(torch.arange(6), 2))


@pytest.mark.usefixtures("heavy")
def test_a_decoder_that_is_killed_between_two_batches_raises_nothing_elsewhere(tmp_path: Path) -> None:
    others = set(multiprocessing.active_children())  # of earlier tests, which may still be ending
    split = split_of(made(tmp_path) / "train", workers=1)
    batches = split.batches(torch.arange(6).repeat(200), 2)
    next(batches)
    (decoder,) = set(multiprocessing.active_children()) - others
    decoder.kill()
    wait([decoder.sentinel])
    for _ in range(100):  # a handler would raise its error here
        time.sleep(0.001)
    with pytest.raises(DataError, match=r"a process that decodes images was killed by a signal \(Killed\)"):
        list(batches)


@pytest.mark.usefixtures("heavy")
def test_images_that_never_come_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = split_of(made(tmp_path) / "train", workers=1)
    monkeypatch.setattr(folder_split, "BATCH_SECONDS", 0.3)
    monkeypatch.setattr(folder_split, "IMAGE_SECONDS", 0.1)
    monkeypatch.setattr(type(split._decoder), "__getitem__", lambda *_: time.sleep(60))
    with pytest.raises(DataError, match="no batch of images in 0 s: the disk or the network"):
        list(split.batches(torch.arange(6), 2))


@pytest.mark.parametrize("lost", ["train", "train/dog", "the images"])
def test_a_folder_that_goes_away_ends_the_training(tmp_path: Path, lost: str) -> None:
    folder = made(tmp_path) / "train"
    split = split_of(folder)
    batches = split.batches(torch.arange(6), 2)
    next(batches)
    if lost == "the images":
        for path in folder.rglob("*.jpg"):
            path.unlink()
    else:
        (tmp_path / lost).rename(tmp_path / "away")
    with pytest.raises(DataError, match="its images are gone; the training needs them"):
        list(batches)


def test_one_image_that_goes_away_is_left_out(tmp_path: Path) -> None:
    folder = made(tmp_path) / "train"
    split = split_of(folder)
    (folder / "cat" / "1.jpg").unlink()
    assert [labels.tolist() for _, labels in split.batches(torch.arange(6), 2)] == [[0], [0, 1], [1, 1]]
    assert list(split.damaged.values()) == ["No such file or directory"]


def test_a_share_of_each_class_is_held_out_by_the_seed(tmp_path: Path) -> None:
    for name, count in (("cat", 20), ("dog", 3), ("eel", 1)):
        for i in range(count):
            picture(tmp_path / name / f"{i}.png")
    listing = list_images(tmp_path, ["cat", "dog", "eel"], LeftOut(tmp_path))
    drawn = draw_held_out(listing, 0.25, seed=1)
    train, val = listing.partition(drawn)
    assert torch.bincount(val.labels).tolist() == [5, 1]
    assert torch.bincount(train.labels).tolist() == [15, 2, 1]
    assert sorted((*train.paths, *val.paths)) == sorted(listing.paths)
    assert set(val.paths) == drawn
    backwards = list_images(tmp_path, ["eel", "dog", "cat"], LeftOut(tmp_path))
    assert draw_held_out(backwards, 0.25, seed=1) == drawn
    assert draw_held_out(listing, 0.25, seed=2) != drawn
    assert len(draw_held_out(listing, 0.99, seed=1)) == 19 + 2
