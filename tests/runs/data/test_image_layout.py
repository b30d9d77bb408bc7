"""How image folders are laid out, and what in them is no picture."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import (
    SUFFIXES,
    LeftOut,
    check_pictures,
    count_others,
    find_layout,
    find_pictures,
    find_test_images,
)


def made(folder: Path, *paths: str) -> Path:
    """Make a picture, without contents, at each path."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"")
    return folder


@pytest.mark.parametrize("val", ["val", "valid", "validation", "test", "Test", "testing"])
@pytest.mark.parametrize("train", ["train", "Train", "training"])
def test_the_usual_names_of_the_parts_are_known(tmp_path: Path, train: str, val: str) -> None:
    made(tmp_path, f"{train}/cat/1.jpg", f"{train}/dog/1.jpg", f"{val}/cat/2.jpg", f"{val}/dog/2.jpg")
    layout = find_layout(tmp_path)
    assert (layout.train, layout.val) == (tmp_path / train, tmp_path / val)
    assert layout.classes == ("cat", "dog")
    assert layout.text == f"{train}/ and {val}/ with 2 classes"
    assert find_test_images(tmp_path) == (tmp_path / val, ("cat", "dog"))


def test_val_comes_before_test(tmp_path: Path) -> None:
    made(tmp_path, "train/cat/1.jpg", "test/cat/2.jpg", "valid/cat/3.jpg")
    assert find_layout(tmp_path).val == tmp_path / "valid"


def test_one_folder_a_class_has_no_parts(tmp_path: Path) -> None:
    made(tmp_path, "cat/1.jpg", "dog/1.jpg", ".cache/x.jpg", "lost+found/1.jpg", "@eaDir/1.jpg")
    (tmp_path / "back").symlink_to(tmp_path)
    layout = find_layout(tmp_path)
    assert (layout.train, layout.val, layout.classes) == (tmp_path, None, ("cat", "dog"))
    assert layout.text == "2 classes, a share held out"
    assert find_test_images(tmp_path) == (tmp_path, ("cat", "dog"))


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    made(tmp_path, "bus/1.jpg", "train/1.jpg", "test/1.jpg")
    assert find_layout(made(tmp_path / "a", "bus/1.jpg", "train/1.jpg")).classes == ("bus", "train")


def test_a_share_of_train_is_held_out_if_it_is_alone(tmp_path: Path) -> None:
    made(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg")
    layout = find_layout(tmp_path)
    assert (layout.train, layout.val, layout.classes) == (tmp_path / "train", None, ("cat", "dog"))
    assert find_test_images(tmp_path) == (tmp_path / "train", ("cat", "dog"))


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["1.jpg"], "no folder {0}/train and no folder {0}/val, and no folders in it: an image folder has"),
        (["cat/1.jpg"], "and only the folder cat in it: an image folder has"),
        (["pets/cat/1.jpg", "pets/dog/1.jpg"], "--data {0}/pets may be meant"),
        (["1.jpg", "2.png", "a.csv"], "; its 2 pictures are in no class: put each into the folder of its class"),
        (["images/1.jpg", "labels.csv"], "; labels.csv is not read: put each picture into the folder of its class"),
        (["photos.ZIP"], "; photos.ZIP has to be unpacked"),
        (["cat/1.jpg", "__MACOSX/._1.jpg"], "; a network tells at least two classes apart"),
        (["pets/cat/1.jpg", "pets/dog/1.jpg", "__MACOSX/pets/._1.jpg"], "--data {0}/pets may be meant"),
        (["train/1.jpg", "val/1.jpg"], "{0}/train has no folders in it"),
        (["val/cat/1.jpg"], "no folder {0}/train, only val"),
        (["train/cat/1.jpg", "test/dog/1.jpg"], "train and test have different classes: only train has cat; only"),
    ],
)
def test_other_layouts_are_refused_with_what_is_expected(tmp_path: Path, paths: list[str], words: str) -> None:
    made(tmp_path, *paths)
    with pytest.raises(DataError) as caught:
        find_layout(tmp_path)
    assert words.format(tmp_path) in str(caught.value)


def test_classes_without_pictures_are_found(tmp_path: Path) -> None:
    made(tmp_path, "cat/old/1.jpg", "dog/notes.txt", "eel/.hidden.jpg", "fox/__MACOSX/1.jpg", "gnu/1.JPG")
    (tmp_path / "dog" / "loop").symlink_to(tmp_path / "dog")
    (tmp_path / "eel" / "gone.jpg").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"classes dog, eel, fox have no images: add some, or remove the folders \("):
        check_pictures(find_layout(tmp_path))
    made(tmp_path, "dog/1.jpg", "eel/a/b/1.webp", "fox/1.tif")
    check_pictures(find_layout(tmp_path))


@pytest.mark.parametrize("names", [("test",), ("val", "test")])
def test_images_to_evaluate_on_need_no_train(tmp_path: Path, names: tuple[str, ...]) -> None:
    made(tmp_path, *(f"{name}/{of}/1.jpg" for name in names for of in ("cat", "dog")))
    assert find_test_images(tmp_path) == (tmp_path / names[0], ("cat", "dog"))


def test_what_is_no_picture_is_counted_once_at_any_depth(tmp_path: Path) -> None:
    cat = tmp_path / "cat"
    made(
        tmp_path, "cat/1.jpg", "cat/old/2.PNG", "cat/.hidden/3.jpg", "cat/old/._2.PNG", "cat/old/notes.txt", "list.csv"
    )
    (cat / "old" / "loop").symlink_to(tmp_path)
    (cat / "self").symlink_to("self")
    (cat / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(cat / "pipe.jpg")
    left_out = LeftOut(tmp_path)
    count_others(tmp_path, ("cat",), left_out)
    assert list(find_pictures(cat, left_out, frozenset({tmp_path.resolve()}))) == ["1.jpg", "old/2.PNG"]
    assert left_out.text == (
        "left out: 3 files that are no picture (cat/old/notes.txt, cat/pipe.jpg, list.csv), 2 hidden, "
        "3 links that lead nowhere or back"
    )
    assert LeftOut(tmp_path).text == ""


def test_a_folder_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent can't be read: No such file"):
        find_layout(tmp_path / "absent")


def test_every_suffix_of_the_decoded_formats_is_a_picture() -> None:
    """Pillow's table says which; a build without a codec lacks some."""
    from PIL import Image

    from alexplore.training.data.images import FORMATS

    Image.init()
    theirs = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
    assert theirs <= SUFFIXES
    assert {".jfif", ".apng", ".pbm", ".jp2"} <= SUFFIXES
