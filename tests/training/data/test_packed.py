"""Packed image folders: the pixels and labels of the files, resumed after a kill, checked, refused when damaged."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from alexplore.core.errors import AlexploreError
from alexplore.network.graph import read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, RunConfig
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import LeftOut, find_layout
from alexplore.runs.data.packed_images import PackedError, read_packed
from alexplore.training.data import packing
from alexplore.training.data.catalog import open_dataset
from alexplore.training.data.dataset import Dataset
from alexplore.training.data.folder_listing import list_images
from alexplore.training.data.images import open_image, read_image
from alexplore.training.data.packing import check, pack
from tests.faults.damage import replaced

AGAIN = "packed before from other files, with another --side or decoder, or by an earlier version; packing it again"
CPU = torch.device("cpu")
SIDE = 12
NETWORK = read_network(
    {
        "input": [3, 8, 8],
        "layers": [{"name": "flatten", "type": "flatten"}, {"name": "fc", "type": "linear", "out_features": 2}],
    }
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make shards of four images, and decode in this process."""
    monkeypatch.setattr(packing, "SHARD_IMAGES", 4)
    monkeypatch.setattr(packing, "BATCH", 3)
    monkeypatch.setattr("alexplore.training.data.folder_split.count_decoders", lambda: 0)
    monkeypatch.setattr("alexplore.training.data.packing.choose_decoder", lambda: ("pillow", None))
    monkeypatch.setattr("alexplore.training.data.image_folder.choose_decoder", lambda _: ("pillow", None))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return an image folder: 6 + 5 images to train on, one of them damaged, 2 + 2 to validate on."""
    generator = torch.Generator().manual_seed(0)
    folder = tmp_path / "pictures"
    for part, counts in (("train", (6, 5)), ("val", (2, 2))):
        for name, count in zip(("cat", "dog"), counts, strict=True):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                height, width = torch.randint(13, 40, (2,), generator=generator).tolist()
                pixels = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
                Image.fromarray(pixels.numpy()).save(folder / part / name / f"{number}.png")
    (folder / "train" / "cat" / "2.png").write_bytes(b"no picture")
    return folder


def opened(folder: Path, **recipe: object) -> Dataset:
    chosen = replace(Recipe(dataset="imagefolder", resize=SIDE), **recipe)  # type: ignore[arg-type]
    config = RunConfig("p", NETWORK, chosen, data=DataSource(folder=str(folder)))
    return open_dataset(config, CPU, lambda _: None)


def test_it_has_the_pixels_and_labels_of_the_folder(pictures: Path, tmp_path: Path) -> None:
    said: list[str] = []
    parts = pack(pictures, tmp_path / "packed", SIDE, said.append)
    assert [part.images for part in parts] == [10, 4]
    assert [shard.images for shard in parts[0].shards] == [3, 4, 3]
    assert dict(parts[0].damaged) == {"cat/2.png": "not an image that Pillow knows"}
    assert "cat/2.png is damaged and is left out: not an image that Pillow knows" in said
    dataset = opened(tmp_path / "packed")
    assert dataset.classes == find_layout(tmp_path / "packed").classes == ("cat", "dog")
    assert (dataset.size, len(dataset.train), len(dataset.val)) == ((SIDE, SIDE), 10, 4)
    order = torch.tensor([9, 0, 4, 3, 7, 2])
    batches = list(dataset.train.batches(order, 2, skip=1))
    assert [labels.tolist() for _, labels in batches] == [[0, 0], [1, 0]]
    images = torch.cat([images for images, _ in batches])
    assert images.is_contiguous(memory_format=torch.channels_last)
    for image, index in zip(images, order[2:].tolist(), strict=True):
        name = str(dataset.train.path(index)).removeprefix(str(tmp_path / "packed" / "train") + os.sep)
        with open_image(pictures / "train" / name) as file:
            assert torch.equal(image, read_image(file, 3, (SIDE, SIDE)))
    for part in parts:
        check(part, said.append)


def test_grey_networks_and_limits_and_shares(pictures: Path, tmp_path: Path) -> None:
    shutil.rmtree(pictures / "val")
    pack(pictures / "train", tmp_path / "flat", SIDE, lambda _: None)
    dataset = opened(tmp_path / "flat")
    assert (len(dataset.train), len(dataset.val)) == (8, 2)
    assert set(dataset.held_out) == {dataset.val.path(i)[len(str(tmp_path / "flat")) + 1 :] for i in (0, 1)}  # type: ignore[index]
    grey = NETWORK.with_input(1, 8, 8)
    recipe = Recipe(dataset="imagefolder", resize=SIDE)
    config = RunConfig("p", grey, recipe, data=DataSource(folder=str(tmp_path / "flat"), limit_train=4))
    train = open_dataset(config, CPU, lambda _: None).train
    assert len(train) == 4
    ((images, _),) = train.batches(torch.arange(4), 4)
    with open_image(Path(str(train.path(1)).replace("flat", "pictures/train"))) as file:
        colour = read_image(file, 3, (SIDE, SIDE)).permute(1, 2, 0).numpy()
    expected = torch.from_numpy(__import__("numpy").array(Image.fromarray(colour).convert("L")))
    assert (images[1, 0].int() - expected.int()).abs().max() <= 1


def test_packing_goes_on_after_a_kill(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    pack(pictures, whole, SIDE, lambda _: None)
    written: list[str] = []
    plain = packing._write_shard

    def killed(split: object, indices: torch.Tensor, file: Path) -> object:
        written.append(file.name)
        if len(written) == 2:
            file.with_suffix(".part").write_bytes(b"half")
            raise KeyboardInterrupt
        return plain(split, indices, file)  # type: ignore[arg-type]

    monkeypatch.setattr(packing, "_write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        pack(pictures, parts, SIDE, lambda _: None)
    assert read_packed(parts / "train") is None
    with (parts / "train" / "progress.jsonl").open("a") as file:
        file.write('{"cou')  # a line that was cut
    said: list[str] = []
    pack(pictures, parts, SIDE, said.append)
    assert f"{parts / 'train'}: 4 of 11 images were packed before" in said
    assert written.count("shard-00000.u8") == 2  # one of each part
    names = sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(parts)) for path in parts.rglob("*") if path.is_file())
    assert all((whole / name).read_bytes() == (parts / name).read_bytes() for name in names)
    written.clear()
    pack(pictures, parts, SIDE, said.append)
    assert not written
    assert said[-1] == f"{parts / 'val'}: packed already, 4 images"
    (pictures / "val" / "cat" / "1.png").unlink()
    pack(pictures, parts, SIDE, said.append)
    assert f"{parts / 'val'}: {AGAIN}" in said
    assert opened(parts).val.labels.tolist() == [0, 1, 1]


def repaint(picture: Path, colour: int) -> None:
    """Replace a picture by one of another colour, with the same size in bytes."""
    before = picture.stat()
    Image.new("RGB", (20, 20), (colour,) * 3).save(picture, "BMP")
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns + 2 * 10**9))


def test_pictures_replaced_under_their_names_are_packed_again(pictures: Path, tmp_path: Path) -> None:
    picture, target = pictures / "train" / "cat" / "0.png", tmp_path / "packed"
    for colour in (10, 200):
        repaint(picture, colour)
        said: list[str] = []
        train, _ = pack(pictures, target, SIDE, said.append)
        assert set(train.shard_file(0).read_bytes()[: train.image_bytes]) == {colour}
    assert f"{target / 'train'}: {AGAIN}" in said
    assert said[-1] == f"{target / 'val'}: packed already, 4 images"


def test_packing_that_goes_on_has_no_old_pixels(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, target, plain = pictures / "train" / "cat" / "0.png", tmp_path / "packed", packing._write_shard
    repaint(picture, 10)

    def killed(split: object, indices: torch.Tensor, file: Path) -> object:
        if file.name == "shard-00001.u8":
            raise KeyboardInterrupt
        return plain(split, indices, file)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(packing, "_write_shard", killed)
        pack(pictures, target, SIDE, lambda _: None)
    assert (target / "train" / "shard-00000.u8").exists()
    repaint(picture, 200)
    train, _ = pack(pictures, target, SIDE, lambda _: None)
    assert set(train.shard_file(0).read_bytes()[: train.image_bytes]) == {200}


def test_a_folder_that_an_earlier_version_packed_is_read(pictures: Path, tmp_path: Path) -> None:
    """Its progress.jsonl identifies the paths alone, so that packing can't tell whether it is the same."""
    target = tmp_path / "packed"
    train, _ = pack(pictures, target, SIDE, lambda _: None)
    progress = target / "train" / "progress.jsonl"
    listed = list_images(pictures / "train", ("cat", "dog"), LeftOut(pictures)).paths
    identity = hashlib.sha256("\n".join((str(SIDE), "pillow", *listed)).encode()).hexdigest()
    progress.write_text(json.dumps({"images": identity}) + "\n" + progress.read_text().partition("\n")[2])
    assert len(opened(target).train) == 10
    check(train, lambda _: None)
    said: list[str] = []
    assert pack(pictures, target, SIDE, said.append)[0] == train
    assert f"{target / 'train'}: {AGAIN}" in said


def test_damage_is_named(pictures: Path, tmp_path: Path) -> None:
    train, _ = pack(pictures, tmp_path / "packed", SIDE, lambda _: None)
    shard = train.shard_file(1)
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert len(opened(tmp_path / "packed").train) == 10  # only a check reads everything
    with pytest.raises(PackedError, match=r"shard-00001.u8 is damaged: its checksum is wrong"):
        check(train, lambda _: None)
    shard.write_bytes(content[:-1])
    with pytest.raises(PackedError, match=r"shard-00001.u8 is damaged: it has 1,727 bytes instead of 1,728; pack the"):
        opened(tmp_path / "packed")
    shard.write_bytes(content)
    index = json.loads((train.folder / "packed.json").read_text())
    for change in ({"format": 9}, {"classes": {"cat": 5, "dog": 6}}, {"classes": [1]}, {"side": "x"}):
        (train.folder / "packed.json").write_text(json.dumps({**index, **change}))
        with pytest.raises(AlexploreError, match=r"packed.json.*alexplore data pack"):
            opened(tmp_path / "packed")
    (train.folder / "packed.json").write_text(json.dumps(index))
    (train.folder / "paths.txt").write_text("cat/0.png\n")
    with pytest.raises(PackedError, match=r"paths.txt is damaged: its checksum is wrong"):
        opened(tmp_path / "packed")


@pytest.mark.parametrize("name", ["packed.json", "paths.txt", "shard-00000.u8"])
def test_what_is_no_file_is_named_and_not_opened(name: str, pictures: Path, tmp_path: Path) -> None:
    target = tmp_path / "packed"
    pack(pictures, target, SIDE, lambda _: None)
    for kind in replaced(target / "train" / name):
        with pytest.raises(AlexploreError, match=name):
            opened(target)
        assert kind


def test_what_cannot_be_packed_is_refused(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"is inside .*, of which it would become a class; choose another --output"):
        pack(pictures, pictures / "packed", SIDE, lambda _: None)
    pack(pictures, tmp_path / "packed", SIDE, lambda _: None)
    with pytest.raises(DataError, match="is packed already"):
        pack(tmp_path / "packed", tmp_path / "again", SIDE, lambda _: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100})())
    with pytest.raises(DataError, match=r"15 images of 12×12 pixels take .* are free: choose a smaller --side"):
        pack(pictures, tmp_path / "full", SIDE, lambda _: None)


@pytest.mark.parametrize("place", ["", "train", "val"])
@pytest.mark.parametrize("names", [("shard-00000.tar", "shard-00001.tar"), ("shard-train-0001.tar",), ("cat/0.png",)])
def test_a_folder_with_other_files_is_left_alone(
    names: tuple[str, ...], place: str, pictures: Path, tmp_path: Path
) -> None:
    """`shard-00000.tar` is what WebDataset calls its shards."""
    target = tmp_path / "other"
    for name in names:
        (target / place / name).parent.mkdir(parents=True, exist_ok=True)
        (target / place / name).write_text("mine")
    for source in (pictures, pictures / "train"):
        with pytest.raises(DataError) as caught:
            pack(source, target, SIDE, lambda _: None)
        assert str(caught.value).startswith(str(target)) and "choose another --output" in str(caught.value)
    left = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert left == sorted(os.path.join(place, name) for name in names)  # noqa: PTH118 (texts)


def test_only_its_own_shards_are_removed(pictures: Path, tmp_path: Path) -> None:
    """In a folder that a packing has begun, files of other names stay, and hidden ones may be there before."""
    source, target = pictures / "train", tmp_path / "packed"
    target.mkdir()
    (target / ".DS_Store").write_text("")
    pack(source, target, SIDE, lambda _: None)
    others = ["shard-00000.tar", "shard-train-0001.tar", "shard-7.u8", "README"]
    for name in others:
        (target / name).write_text("mine")
    shutil.rmtree(source / "dog")
    shutil.copytree(source / "cat", source / "cow")
    for name in ("cat", "cow"):
        for number in (3, 4, 5):
            (source / name / f"{number}.png").unlink()
    (packed,) = pack(source, target, SIDE, lambda _: None)
    assert len(packed.shards) == 2
    assert sorted(path.name for path in target.glob("shard-*.u8")) == ["shard-00000.u8", "shard-00001.u8", "shard-7.u8"]
    assert [(target / name).read_text() for name in others] == ["mine"] * 4


def test_a_path_that_is_not_utf8_can_be_used(pictures: Path, tmp_path: Path) -> None:
    plain, other = tmp_path / "packed", tmp_path / os.fsdecode(b"caf\xe9")
    try:
        other.mkdir()
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    for target in (plain, other):
        pack(pictures, target, SIDE, lambda _: None)
    batches = (next(opened(target).train.batches(torch.arange(10), 10)) for target in (plain, other))
    assert all(torch.equal(one, two) for one, two in zip(*batches, strict=True))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_shards_keep_no_file_open(pictures: Path, tmp_path: Path) -> None:
    """ImageNet has more shards than a process may have files open by default."""
    pack(pictures, tmp_path / "packed", SIDE, lambda _: None)
    train = opened(tmp_path / "packed").train
    batches = list(train.batches(torch.arange(10), 10))
    kept = [os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()]
    assert len(batches) == 1 and not [file for file in kept if "shard-" in file]
    (mapped,) = {
        line.split()[1] for line in Path("/proc/self/maps").read_text().splitlines() if "shard-00000.u8" in line
    }
    assert mapped == "rw-p"  # what is written to it would not reach the file


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_packed_to(
    number: int, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    assert [part.images for part in pack(pictures, tmp_path / "packed", SIDE, lambda _: None)] == [10, 4]


def test_a_second_packing_into_a_folder_is_refused(pictures: Path, tmp_path: Path) -> None:
    target = tmp_path / "packed"
    pack(pictures, target, SIDE, lambda _: None)
    with (target / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DataError, match=r"another process is packing into .*: wait for it, or choose another"):
            pack(pictures, target, SIDE, lambda _: None)


def test_names_with_separators_keep_their_images(pictures: Path, tmp_path: Path) -> None:
    """Only a line feed ends a path, not what else `str.splitlines` takes for the end of a line."""
    source = pictures / "train"
    names = [f"{number}{mark}a.png" for number, mark in enumerate("\u2028\u2029\x85\x0b\x0c\r\x1c\x1d\x1e")]
    for name in names:
        shutil.copy(source / "cat" / "0.png", source / "cat" / name)
    (packed,) = pack(source, tmp_path / "packed", SIDE, lambda _: None)
    listed = list_images(source, ("cat", "dog"), LeftOut(source)).paths
    assert packed.paths() == [path for path in listed if path != "cat/2.png"]
    check(packed, lambda _: None)


def test_names_with_line_ends_are_refused(pictures: Path, tmp_path: Path) -> None:
    source, target = pictures / "train", tmp_path / "packed"
    (source / "cat" / "5.png").rename(source / "cat" / "5\n.png")
    with pytest.raises(DataError, match=r"cat/5\\n\.png': there is a line end in this name \(1 in all\).*: rename it"):
        pack(source, target, SIDE, lambda _: None)
    assert not target.exists()


def test_another_number_of_paths_is_named(pictures: Path, tmp_path: Path) -> None:
    """Earlier versions packed names with line ends."""
    (packed,) = pack(pictures / "train", tmp_path / "packed", SIDE, lambda _: None)
    content = (packed.folder / "paths.txt").read_bytes().replace(b"0.png", b"\n.png", 1)
    (packed.folder / "paths.txt").write_bytes(content)
    damaged = replace(packed, paths_sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(PackedError, match=r"paths\.txt has 11 paths for 10 images; pack the image folder again"):
        damaged.paths()
