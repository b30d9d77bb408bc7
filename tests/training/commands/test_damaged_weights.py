"""Weight files, checkpoints, descriptions of data sets and pictures that can't be used: refused with the reason."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from alexplore.core.errors import FAILED, AlexploreError
from alexplore.network.graph import Network
from alexplore.runs.config import RunConfig
from alexplore.runs.data import idx_files
from alexplore.runs.data.image_layout import LeftOut
from alexplore.runs.directory import RunDirectory
from alexplore.training import checkpoint
from alexplore.training.commands import predict
from alexplore.training.commands.load_model import load_model
from alexplore.training.data.folder_listing import list_images
from alexplore.training.data.images import MOST_PIXELS, open_image, read_image, why_unreadable
from alexplore.training.errors import CheckpointError
from alexplore.training.model.build import build
from tests.faults.damage import VALUES, flipped, replaced
from tests.support.hostile import HOSTILE, check_inert
from tests.support.runs import finished_run

DATASET = {
    "name": "synthetic", "classes": [f"class {index}" for index in range(10)], "channels": 1, "mean": [0.5],
    "std": [0.25], "synthetic": True, "size": [28, 28],
}  # fmt: skip


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    """A run with a checkpoint, as a worker leaves it."""
    made = finished_run(config, tmp_path / "runs", "run", 0.5)
    made.dataset_file.write_text(json.dumps(DATASET))
    checkpoint.save(made.checkpoints_folder, dict(build(config.network).state_dict()), {"step": 1}, best=True, epoch=1)
    return made


NO_WEIGHTS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "float8": (lambda weight: weight.to(torch.float8_e4m3fn), "contains float8_e4m3fn numbers; save it in fp32"),
    "complex": (lambda weight: weight.to(torch.complex64), "contains complex64 numbers"),
    "NaN": (lambda weight: weight * torch.nan, "contains numbers that are not finite"),
    "sparse": (lambda weight: weight.to_sparse(), "is sparse; save it as a plain tensor"),
    "meta": (lambda weight: weight.to("meta"), "has a shape, but no values"),
    "quantized": (lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8), "is quantized"),
}
SAFETENSORS = ("float8", "complex", "NaN")  # what that format can hold of them


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(
    ("name", "ending"), [*((name, "pth") for name in NO_WEIGHTS), *((name, "safetensors") for name in SAFETENSORS)]
)
def test_tensors_that_are_no_weights(tiny: Network, tiny_preset: Path, tmp_path: Path, name: str, ending: str) -> None:
    change, words = NO_WEIGHTS[name]
    weights = dict(build(tiny).state_dict())
    weights["fc2.weight"] = change(weights["fc2.weight"])
    path = tmp_path / f"weights.{ending}"
    if ending == "pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    with pytest.raises(CheckpointError, match=rf"weights\.\w+: fc2\.weight {words}"):
        load_model(tiny_preset, path)


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_files_that_are_no_weights(tiny_preset: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"weights{ending}"
    whole = tmp_path / "whole"
    (save_file if ending == ".safetensors" else torch.save)({"a": torch.zeros(3)}, whole)
    content = whole.read_bytes()
    for damaged in (b"", b"x", content[:20], content[: len(content) // 2], b"\xff" * 100,
                    *flipped(content, 20, random.Random(11))):  # fmt: skip
        path.write_bytes(damaged)
        with pytest.raises(AlexploreError, match="weights"):
            load_model(tiny_preset, path)
    for _ in replaced(path):
        with pytest.raises(AlexploreError, match="weights"):
            load_model(tiny_preset, path)


CHECKPOINT_FILES = pytest.mark.parametrize("name", ["model.safetensors", "manifest.json"])


@CHECKPOINT_FILES
def test_damaged_checkpoints(run: RunDirectory, name: str) -> None:
    shutil.rmtree(run.checkpoints_folder / "last")
    path = run.checkpoints_folder / "best" / name
    for content in (b"", b"{", b"[]", b"\x00" * 50):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=name):
            load_model(run.path, None)
    for kind in replaced(path):
        with pytest.raises(CheckpointError, match=name):
            load_model(run.path, None)
        assert kind


@CHECKPOINT_FILES
def test_another_checkpoint_is_taken_for_a_damaged_best(
    run: RunDirectory, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = run.checkpoints_folder / "best" / name
    path.unlink()  # the files of `last` are the same
    path.write_bytes(b"{")
    loaded = load_model(run.path, None)
    assert loaded.weights == run.checkpoints_folder / "last"
    warning = capfd.readouterr().err
    assert str(path) in warning and "trying the checkpoint last" in warning


def test_a_checkpoint_that_is_a_link_is_not_read(run: RunDirectory, tmp_path: Path) -> None:
    (run.checkpoints_folder / "last").rename(tmp_path / "elsewhere")
    (run.checkpoints_folder / "last").symlink_to(tmp_path / "elsewhere")
    warnings: list[str] = []
    loaded = checkpoint.load(run.checkpoints_folder, warnings.append)
    assert loaded is not None and loaded.folder.name == "best"
    assert "last: is a link, which is not followed" in warnings[0]


@pytest.mark.parametrize("key", DATASET)
def test_damaged_descriptions_of_data_sets(run: RunDirectory, key: str) -> None:
    before = load_model(run.path, None).dataset
    for value in VALUES:
        text = json.dumps({**DATASET, key: "mark"}).replace('"mark"', value)
        run.dataset_file.write_text(text)
        try:
            found = load_model(run.path, None).dataset
        except AlexploreError as error:
            assert str(run.dataset_file) in str(error)
            assert error.exit_code == FAILED
        else:
            assert (found.classes, found.channels) == (before.classes, before.channels)


def test_class_names_and_paths_are_printed_inert(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run.dataset_file.write_text(json.dumps({**DATASET, "classes": [f"{index}{HOSTILE}" for index in range(10)]}))
    picture = tmp_path / "\x1b[2Jcat.png"
    Image.new("L", (28, 28)).save(picture)
    broken = tmp_path / "\x1b[2Jbroken.png"
    broken.write_bytes(b"no picture")
    for option in ([], ["--show"]):
        monkeypatch.setattr(sys, "argv", ["predict", *option, "--", str(run.path), str(picture), str(broken)])
        assert predict.predict() == 1
        printed = capsys.readouterr()
        check_inert(printed.out)
        check_inert(printed.err)
        assert "cat.png" in printed.out and "broken.png" in printed.err


def png(width: int, height: int) -> bytes:
    """Return a PNG of zeros that takes some kB, however large it is."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = bytes(1 + width // 8)
    rows = b"".join(packer.compress(row * 1000) for _ in range(height // 1000)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_000, 20_000])
def test_a_picture_that_expands_to_more_than_the_limit_is_refused(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side // 8 * 8, side))
    assert path.stat().st_size < 200_000
    with pytest.raises((OSError, Image.DecompressionBombError)) as error, open_image(path) as image:
        read_image(image, 3, (28, 28))
    assert f"more than the {MOST_PIXELS:,}" in why_unreadable(error.value)


def test_pictures_that_are_no_files_or_start_a_program_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "cat.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(OSError, match="cannot identify"), open_image(path):
        pass
    for _ in replaced(path):
        with pytest.raises(OSError), open_image(path):
            pass


def test_what_systems_write_beside_pictures_is_no_picture(tmp_path: Path) -> None:
    folder = tmp_path / "cat"
    folder.mkdir()
    for name in ("a.jpg", "._a.jpg", ".DS_Store", "Thumbs.db"):
        (folder / name).write_bytes(b"")
    (folder / "loop").symlink_to(folder)
    left_out = LeftOut(tmp_path)
    assert list_images(tmp_path, ["cat"], left_out).paths == ("cat/a.jpg",)
    assert left_out.text == (
        "left out: 1 file that is no picture (cat/Thumbs.db), 2 hidden, 1 link that leads nowhere or back"
    )


def test_an_archive_is_not_expanded_beyond_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = idx_files.IDX_DATASETS["mnist"]  # of which the first file has 47,040,016 bytes
    read: list[int] = []

    class Counted(gzip.GzipFile):
        def read(self, size: int | None = -1) -> bytes:
            read.append(-1 if size is None else size)
            return super().read(size)

    monkeypatch.setattr(gzip, "GzipFile", Counted)
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(b"0" * 50_000_000, 1))
    read.clear()
    with pytest.raises(AlexploreError, match="damaged"):
        list(idx_files.read_files(data, {data.files[0]: path}))
    assert read == [47_040_017]
