"""The decoders of image files, compared with Pillow, and what a run keeps of them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from alexplore.runs.data.trained_on import parse_trained_on
from alexplore.training.data.dataset import read_dataset
from alexplore.training.data.decoded_images import has_room
from alexplore.training.data.decoders import DECODERS, PILLOW, TORCHCODEC, choose_decoder
from alexplore.training.data.folder_listing import Listing
from alexplore.training.data.folder_split import FolderSplit
from alexplore.training.data.images import open_image, why_unreadable

CPU = torch.device("cpu")
SIZE = (56, 56)
ROTATED = Image.Exif()
ROTATED[0x0112] = 8


def picture(width: int = 100, height: int = 84, seed: int = 0) -> Image.Image:
    """Return smooth colours; at this size, the centre that is kept begins and ends at whole pixels."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def read(path: Path, decoder: str, channels: int = 3, size: tuple[int, int] = SIZE) -> Tensor:
    with open_image(path) as image:
        return DECODERS[decoder](image, channels, size)


USUAL: dict[str, Callable[[Path], None]] = {
    "colour": lambda path: picture().save(path, "JPEG"),
    "grey": lambda path: picture().convert("L").save(path, "JPEG"),
    "progressive": lambda path: picture().save(path, "JPEG", progressive=True),
    "without subsampling": lambda path: picture().save(path, "JPEG", subsampling=0, quality=95),
    "stored as RGB": lambda path: picture().save(path, "JPEG", keep_rgb=True),
}
OTHERS: dict[str, Callable[[Path], None]] = {
    "rotated": lambda path: picture().save(path, "JPEG", exif=ROTATED),
    "cmyk": lambda path: picture().convert("CMYK").save(path, "JPEG"),
    "large": lambda path: picture(150, 126).save(path, "JPEG"),
    "png": lambda path: picture().save(path, "PNG"),
    "alpha": lambda path: picture().convert("RGBA").rotate(30).save(path, "PNG"),
    "palette": lambda path: picture().convert("P").save(path, "GIF"),
    "sixteen bits": lambda path: Image.fromarray(np.asarray(picture().convert("L")).astype(np.uint16) * 257).save(
        path, "TIFF"
    ),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [*USUAL, *OTHERS])
def test_an_image_means_the_same_with_each_decoder(tmp_path: Path, kind: str, channels: int) -> None:
    path = tmp_path / "image"
    {**USUAL, **OTHERS}[kind](path)
    fast, pillow = (read(path, decoder, channels) for decoder in (TORCHCODEC, PILLOW))
    assert fast.shape == (channels, *SIZE)
    assert fast.dtype == torch.uint8
    difference = (fast.int() - pillow.int()).abs()
    assert difference[:, 1:-1, 1:-1].max() <= 4  # both resize by antialiased triangles, in integers
    assert difference.float().mean() < 0.6  # at the edges, Pillow also reads pixels beside the centre


@pytest.mark.parametrize("kind", [*USUAL, *OTHERS])
def test_torchcodec_decodes_usual_jpegs_alone(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchcodec.decoders

    decoded: list[str] = []
    original = torchcodec.decoders.decode_jpeg

    def decode(content: bytes, *, mode: str) -> Tensor:
        decoded.append(mode)
        pixels: Tensor = original(content, mode=mode)
        return pixels

    monkeypatch.setattr(torchcodec.decoders, "decode_jpeg", decode)
    path = tmp_path / "image"
    {**USUAL, **OTHERS}[kind](path)
    read(path, TORCHCODEC)
    assert decoded == (["RGB"] if kind in USUAL else [])


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (61, 7), (57, 56), (113, 223)])
@pytest.mark.parametrize("size", [(56, 56), (30, 45)])
def test_other_proportions_are_within_a_pixel_of_pillows(
    tmp_path: Path, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    path = tmp_path / "image"
    ramp = 40 + np.add.outer(np.arange(shape[1]), np.arange(shape[0]))[..., None].repeat(3, 2) // 2
    Image.fromarray(ramp.astype(np.uint8)).save(path, "JPEG", quality=100, subsampling=0)
    fast = read(path, TORCHCODEC, size=size).int()
    with Image.open(path) as image:
        image.load()
        expected = np.asarray(ImageOps.fit(image, size[::-1], Image.Resampling.BILINEAR)).astype(int)
    assert fast.shape == (3, *size)
    assert (fast.permute(1, 2, 0) - torch.from_numpy(expected)).abs().max() <= 3  # a pixel further is a level or two


def test_damaged_images_are_refused_for_pillows_reasons(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "image"
    picture().save(path, "JPEG")
    content = path.read_bytes()
    draw = np.random.default_rng(1)
    outcomes = set()
    for number in range(60):
        changed = bytearray(content)
        if number % 2:
            del changed[int(draw.integers(len(content))) :]
        else:
            changed[int(draw.integers(len(content)))] ^= 1 << int(draw.integers(8))
        path.write_bytes(changed)
        reasons = []
        for decoder in (TORCHCODEC, PILLOW):
            try:
                read(path, decoder)
                reasons.append("")
            except Exception as error:
                reasons.append(why_unreadable(error))
        assert reasons[0] == reasons[1]
        outcomes.add(reasons[0].partition(" (")[0])
    assert {"", "image file is truncated"} <= outcomes
    assert capfd.readouterr().err == ""  # libjpeg's warnings


def test_what_a_run_recorded_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_decoder() == (TORCHCODEC, None)
    assert choose_decoder(PILLOW) == (PILLOW, None)
    decoder, warning = choose_decoder("nvjpeg")
    assert decoder == PILLOW
    assert warning is not None
    assert "decoded with nvjpeg, which can't be used here (allowed: torchcodec, pillow)" in warning
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    assert choose_decoder() == (PILLOW, None)
    decoder, warning = choose_decoder(TORCHCODEC)
    assert decoder == PILLOW
    assert warning is not None
    assert "pip install 'torchcodec>=0.16'" in warning


def test_a_data_set_that_records_no_decoder_was_read_by_pillow() -> None:
    recorded: dict[str, Any] = {
        "name": "imagefolder", "classes": ["cat", "dog"], "channels": 1, "mean": [0.5], "std": [0.5],
        "synthetic": False, "size": [8, 8],
    }  # fmt: skip
    assert read_dataset(recorded).decoder == PILLOW
    earlier, now = parse_trained_on(recorded), parse_trained_on({**recorded, "decoder": TORCHCODEC})
    assert earlier is not None
    assert earlier.decoder == PILLOW
    assert now is not None
    assert now.decoder == TORCHCODEC
    written = json.loads(json.dumps(read_dataset({**recorded, "decoder": TORCHCODEC}).to_dict()))
    assert read_dataset(written).decoder == TORCHCODEC


def folder_split(folder: Path, messages: list[str], *, keep: bool) -> FolderSplit:
    """Return a split of six images, of which the third is damaged."""
    (folder / "cat").mkdir(exist_ok=True)
    for number in range(6):
        picture(seed=number).save(folder / "cat" / f"{number}.jpg")
    (folder / "cat" / "2.jpg").write_text("none")
    listing = Listing(folder, tuple(f"cat/{number}.jpg" for number in range(6)), torch.arange(6))
    return FolderSplit(listing, 3, SIZE, CPU, messages.append, 0, decoder=TORCHCODEC, keep=keep)


def read_epoch(split: FolderSplit, order: list[int], skip: int = 0) -> list[tuple[Tensor, list[int]]]:
    return [(images, labels.tolist()) for images, labels in split.batches(torch.tensor(order), 4, skip)]


def test_images_are_decoded_once(tmp_path: Path) -> None:
    messages: list[str] = []
    kept = folder_split(tmp_path, messages, keep=True)
    other = folder_split(tmp_path, [], keep=False)
    orders = [[0, 1, 2, 3, 4, 5], [5, 2, 3, 0, 4, 1], [3, 3, 2, 1]]
    expected = [read_epoch(other, order) for order in orders]
    resumed = read_epoch(kept, orders[0], skip=1)  # an epoch that is resumed leaves some to the next
    assert [labels for _, labels in resumed] == [[4, 5]]
    first = read_epoch(kept, orders[0])
    shutil.rmtree(tmp_path / "cat")
    for epoch, again in zip([first, *(read_epoch(kept, order) for order in orders[1:])], expected, strict=True):
        assert [labels for _, labels in epoch] == [labels for _, labels in again]
        for (images, _), (same, _) in zip(epoch, again, strict=True):
            assert torch.equal(images, same)
            assert images.is_contiguous(memory_format=torch.channels_last)
    assert len(messages) == 1


def test_images_without_room_are_decoded_in_every_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 4 * 6 * 3 * 56 * 56
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    assert has_room(free // 4)
    assert not has_room(free // 4 + 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert not has_room(free // 4)
    split = folder_split(tmp_path, [], keep=True)
    assert [labels for _, labels in read_epoch(split, [1, 0])] == [[1, 0]]
    (tmp_path / "cat" / "0.jpg").unlink()
    assert [labels for _, labels in read_epoch(split, [1, 0])] == [[1]]
