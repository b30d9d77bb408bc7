"""Saving presets of one's own: they read back as they were, keep the comments of a file, and replace it whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexplore.network.graph import Network
from alexplore.network.layers.activations import ReLU
from alexplore.presets.library import is_shipped, load_preset, preset_family, shipped_folder, shipped_names, user_folder
from alexplore.presets.preset import Preset, PresetError, PresetExists
from alexplore.presets.published import Published
from alexplore.presets.reader import parse_preset
from alexplore.presets.recipe import Recipe
from alexplore.presets.text import preset_text, updated_text
from alexplore.presets.writer import delete_preset, rename_preset, save_preset
from tests.support.examples import examples
from tests.support.networks import networks

WHERE = Path("mine.toml")
recipes = st.builds(
    Recipe,
    lr=st.floats(1e-9, 1e3),
    optimizer=st.sampled_from(["sgd", "adam"]),
    resize=st.none() | st.integers(1, 300),
    horizontal_flip=st.booleans(),
    seed=st.integers(0, 2**63 - 1),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ['a "b"\nc', "a\\b\nc", '"""\n']
)


@examples(100)
@given(networks(), recipes, texts, texts, st.floats(0, 1e30) | st.lists(st.integers(0, 10**30), max_size=3))
def test_what_is_saved_reads_back(network: Network, recipe: Recipe, title: str, description: str, value: Any) -> None:
    quantity = "output" if isinstance(value, list) else "params"
    published = Published(quantity=quantity, value=_tuple(value), layer=network.layers[0].name)
    preset = Preset("mine", network, recipe, title.strip(), "", "", description.strip(), (published,), WHERE)
    assert parse_preset(preset_text(preset), WHERE) == preset


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@examples(60)
@given(networks(), networks(), recipes, recipes, texts)
def test_what_is_put_into_a_file_reads_back(a: Network, b: Network, x: Recipe, y: Recipe, title: str) -> None:
    before, after = Preset("mine", a, x, path=WHERE), Preset("mine", b, y, title.strip(), path=WHERE)
    assert parse_preset(updated_text(preset_text(before), after), WHERE) == after


@pytest.mark.parametrize("name", shipped_names())
def test_an_unchanged_preset_leaves_its_file_as_it_is(name: str) -> None:
    preset = load_preset(name)
    assert preset.path is not None
    text = preset.path.read_text(encoding="utf-8")
    assert updated_text(text, preset) == text
    assert parse_preset(preset_text(preset), preset.path) == preset


def test_a_line_for_each_layer() -> None:
    text = preset_text(load_preset("lenet"))
    assert '\n  { name = "conv1", type = "conv2d", out_channels = 6, kernel_size = 5, padding = 2 },\n' in text
    assert "\n[training]\n" in text and text.endswith("\n")


COMMENTED = """\
# mine
input = [1, 28, 28]  # small

layers = [
  # first
  { name = "conv1", type = "conv2d", out_channels = 6, kernel_size = 5, padding = 2 },  # to change
  { name = "relu1", type = "relu" },  # to go
  # before the pool
  { name = "pool1", type = "max_pool2d", kernel_size = 2, stride = 2 },  # stays as it is
  { name = "flatten", type = "flatten" },
  { name = "fc2", type = "linear", out_features = 10 },
]

[training]  # how
lr = 0.1  # high
# and long
epochs = 7

[[published]]
quantity = "params"
value = 1e3  # about
"""


def test_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(COMMENTED)
    preset = load_preset(str(path))
    network = preset.network.change(0, {"out_channels": 8}).remove(1).insert(3, preset.network.layers[1])
    edited = replace(preset, network=network, recipe=replace(preset.recipe, lr=0.2, momentum=0.5), title="Mine")
    saved = save_preset(edited, str(path), overwrite=True)
    text = path.read_text()
    for comment in ("mine", "small", "first", "to change", "before the pool", "how", "high", "and long", "about"):
        assert f"# {comment}" in text
    assert '  { name = "pool1", type = "max_pool2d", kernel_size = 2, stride = 2 },  # stays as it is\n' in text
    assert "out_channels = 8, kernel_size = 5, padding = 2 }" in text
    assert "lr = 0.2  # high" in text and "momentum = 0.5" in text
    assert load_preset(str(path)) == saved == replace(edited, path=path, name="mine")


def test_comments_of_published_numbers_stay(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(COMMENTED + 'layer = "conv1"  # the first\nwithin = 0\n')
    preset = load_preset(str(path))
    saved = save_preset(preset.with_network(preset.network.rename(0, "new1")), str(path), overwrite=True)
    assert saved.published == (Published(quantity="params", value=1e3, layer="new1"),)
    assert load_preset(str(path)) == saved
    text = path.read_text()
    assert 'value = 1e3  # about\nlayer = "new1"  # the first\n' in text
    assert 'name = "new1", type = "conv2d", out_channels = 6, kernel_size = 5, padding = 2 },  # to change\n' in text


def test_a_file_that_is_no_preset_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    for content in (b"abc [", b"\xff\xfe", b"[[layers]]\nname = 'a'\ntype = 'relu'\n", b"layers = []\n"):
        path.write_bytes(content)
        saved = save_preset(load_preset("lenet"), str(path), overwrite=True)
        assert load_preset(str(path)) == saved
        assert path.read_text() == preset_text(load_preset("lenet"))


def test_names_and_folders(tmp_path: Path) -> None:
    lenet = load_preset("lenet")
    saved = save_preset(lenet, "my-lenet")
    assert saved.path == user_folder() / "my-lenet.toml"
    assert (saved.name, is_shipped(saved), saved.network) == ("my-lenet", False, lenet.network)
    assert load_preset("my-lenet") == saved
    assert save_preset(lenet, f"{tmp_path}/a/b").path == tmp_path / "a" / "b.toml"


def test_a_file_with_a_byte_order_mark_keeps_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    shipped = shipped_folder() / "paper.toml"
    path.write_bytes(b"\xef\xbb\xbf" + shipped.read_bytes())
    assert preset_family(path) == "alexnet"
    preset = load_preset(str(path))
    save_preset(replace(preset, title="Mine"), str(path), overwrite=True)
    assert "# the text says 224" in path.read_text()
    assert load_preset(str(path)).title == "Mine"


def test_a_clash_is_asked_about() -> None:
    lenet, paper = load_preset("lenet"), load_preset("paper")
    save_preset(lenet, "mine")
    with pytest.raises(PresetExists, match=r"mine\.toml exists"):
        save_preset(paper, "mine")
    assert load_preset("mine").network == lenet.network
    save_preset(paper, "mine", overwrite=True)
    assert load_preset("mine").network == paper.network


@pytest.mark.parametrize("overwrite", [False, True])
def test_shipped_presets_are_never_written(overwrite: bool) -> None:
    shipped = shipped_folder() / "lenet.toml"
    before = shipped.read_bytes()
    for name in ("lenet", str(shipped)):
        with pytest.raises(PresetError, match="lenet is the name of a shipped preset; choose another"):
            save_preset(load_preset("paper"), name, overwrite=overwrite)
    assert shipped.read_bytes() == before


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "-x", ".hidden", "a\nb", "a:b", "/", "./", "../", "dir/"])
def test_names_that_cannot_be_a_presets(name: str) -> None:
    with pytest.raises(PresetError, match="can't be a preset's name; allowed: letters"):
        save_preset(load_preset("lenet"), name)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PresetError, match=r"Not a directory|File exists") as told:
        save_preset(load_preset("lenet"), f"{tmp_path}/file/mine.toml")
    assert told.value.failure


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.toml"
    save_preset(load_preset("lenet"), str(path))
    before = path.read_text()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PresetError, match="No space left on device"):
        save_preset(load_preset("paper"), str(path), overwrite=True)
    assert path.read_text() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.toml"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target.toml"
    save_preset(load_preset("lenet"), str(target))
    link = tmp_path / "link.toml"
    link.symlink_to(target)
    save_preset(load_preset("paper"), str(link), overwrite=True)
    assert link.is_symlink()
    assert load_preset(str(target)).network == load_preset("paper").network


@examples(100)
@given(networks(), st.data())
def test_published_numbers_follow_a_rename(network: Network, data: st.DataObject) -> None:
    """What was said of each layer is said of it by every name, in a file too, and by its first name again at last."""
    said = tuple(
        Published(quantity="params", value=position, layer=layer.name) for position, layer in enumerate(network.layers)
    )
    preset = first = Preset("mine", network, published=(*said, Published(quantity="params", value=1)), path=WHERE)
    for name in data.draw(st.lists(st.sampled_from(["a", "b", "relu1", "conv2d1"]), max_size=5)):
        index = data.draw(st.integers(0, len(network.layers) - 1))
        renamed = preset.network.rename(index, preset.network.free_name(name))
        after = preset.with_network(renamed)
        assert [one.layer for one in after.published] == [*(layer.name for layer in renamed.layers), None]
        assert [one.value for one in after.published] == [one.value for one in first.published]
        assert parse_preset(preset_text(after), WHERE) == after
        assert parse_preset(updated_text(preset_text(preset), after), WHERE) == after
        assert after.with_network(preset.network) == preset
        preset = after


def test_only_a_layer_that_stays_is_followed() -> None:
    """Neither one that goes, nor one of another type in its place; who gets a free name gets no numbers with it."""
    preset = Preset(
        "mine", load_preset("lenet").network, published=(Published(quantity="neurons", value=1, layer="conv1"),)
    )
    network = preset.network
    assert network.layers[0].name == "conv1"
    for edited in (
        network.remove(0),
        network.move(0, 3),
        network.duplicate(0),
        network.replace(0, ReLU(name="new1")),
    ):
        assert preset.with_network(edited).published == preset.published
    gone = preset.with_network(network.remove(0))
    other = gone.with_network(gone.network.rename(2, "conv1"))
    assert other.published == ()


def test_published_numbers_of_layers_that_are_gone_are_left_out() -> None:
    preset = load_preset("paper")
    edited = replace(preset, network=preset.network.remove(preset.network.index("conv5")))
    read = parse_preset(preset_text(edited), WHERE)
    assert {one.layer for one in read.published} == {one.layer for one in preset.published} - {"conv5"}


def test_a_preset_of_ones_own_is_renamed_and_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    mine = save_preset(load_preset("lenet"), "mine").path
    other = save_preset(load_preset("paper"), "other").path
    assert mine is not None
    assert other is not None
    with pytest.raises(PresetExists, match=r"other\.toml exists; give another name"):
        rename_preset(mine, "other")
    for name in ("paper", "a/b", "", "../mine", "mine.toml"):
        with pytest.raises(PresetError):
            rename_preset(mine, name)
    assert load_preset("mine").network == load_preset("lenet").network
    renamed = rename_preset(mine, "ours")
    assert renamed == user_folder() / "ours.toml"
    assert not mine.exists()
    delete_preset(renamed)
    assert [path.name for path in user_folder().iterdir()] == ["other.toml"]
    with pytest.raises(PresetError, match=r"ours\.toml: No such file") as told:
        delete_preset(renamed)
    assert told.value.failure
    with pytest.raises(PresetError, match=r"ours\.toml: No such file") as told:
        rename_preset(renamed, "mine")
    assert told.value.failure


def test_a_shipped_preset_is_neither_renamed_nor_deleted() -> None:
    path = shipped_folder() / "paper.toml"
    with pytest.raises(PresetError, match="came with alexplore"):
        rename_preset(path, "mine")
    with pytest.raises(PresetError, match="came with alexplore"):
        delete_preset(path)
    assert path.exists()
