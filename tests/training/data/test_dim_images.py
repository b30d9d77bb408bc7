"""Images whose samples use only the lower bits of their format are recognised, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexplore.training.data.dim_images import dim_text

RAMP = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)


def save(path: Path, white: int, kind: type = np.uint16) -> str:
    Image.fromarray((RAMP * white).astype(kind)).save(path)
    return path.name


@pytest.mark.parametrize(("white", "bits", "factor"), [(4095, 12, 16), (1023, 10, 64), (255, 8, 257), (16383, 14, 4)])
@pytest.mark.parametrize("name", ["a.png", "a.TIF"])
def test_lower_bits_are_recognised(tmp_path: Path, name: str, white: int, bits: int, factor: int) -> None:
    text = dim_text(tmp_path, [save(tmp_path / name, white)])
    assert text.startswith(f"nearly black: the brightest sample of {name} is {white:,}, where 65,535 is white, ")
    assert f"as if {bits}-bit samples" in text
    assert f"multiply the samples by {factor} and" in text


def test_a_folder_is_dim_if_all_of_its_images_are(tmp_path: Path) -> None:
    names = [save(tmp_path / f"{number}.png", 4000 + number) for number in range(20)]
    text = dim_text(tmp_path, names)
    assert text.startswith(
        "nearly black: the brightest sample of 7 images is 4,018, where 65,535 is white, as if 12-bit"
    )
    names[3] = save(tmp_path / names[3], 60_000)
    assert dim_text(tmp_path, names) == ""


def test_other_images_are_not_dim(tmp_path: Path) -> None:
    names = [save(tmp_path / "8 bits.png", 9, np.uint8), save(tmp_path / "black.png", 0)]
    names += [save(tmp_path / "bright.png", 20_000), save(tmp_path / "float.tif", 1, np.float32)]
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    assert [dim_text(tmp_path, [name]) for name in (*names, "damaged.png", "absent.png", "a.jpg")] == [""] * 7
    assert dim_text(tmp_path, []) == ""
