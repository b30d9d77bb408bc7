"""Preset files that can't be used: one message, with the file, the place, what was found and what is allowed."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alexplore.core.settings import setting_fields, toml_text
from alexplore.network.layers import LAYER_TYPES
from alexplore.presets.library import (
    find_preset,
    is_shipped,
    load_preset,
    preset_family,
    shipped_folder,
    shipped_names,
    user_folder,
    user_paths,
)
from alexplore.presets.preset import PresetError
from alexplore.presets.reader import parse_preset
from alexplore.presets.recipe import Recipe
from tests.support.examples import examples

GOOD = """
input = [1, 8, 8]
layers = [{ name = "conv1", type = "conv2d", out_channels = 2, kernel_size = 3 }]
"""
RELU = '{ name = "relu", type = "relu" }'


def layer(text: str) -> str:
    return f"input = [1, 8, 8]\nlayers = [{text}]\n"


BAD = {
    "an unknown key": ("inputs = [1, 8, 8]\n" + GOOD, 'unknown key "inputs"; did you mean input?'),
    "a recipe's key at the top": ("lr = 0.1\n" + GOOD, 'unknown key "lr"; it belongs in [training]'),
    "a layer's key at the top": ("kernel_size = 3\n" + GOOD, 'unknown key "kernel_size"; it belongs in a layer'),
    "no input": ("layers = [" + RELU + "]", "input: found nothing, allowed: [channels, height, width]"),
    "a flat input": ("input = 3\nlayers = [" + RELU + "]", "input: found 3, allowed"),
    "an empty input": ("input = [1, 8, 0]\nlayers = [" + RELU + "]", "input: found [1, 8, 0], allowed"),
    "an input with a float": ("input = [1, 8, 8.0]\nlayers = [" + RELU + "]", "input: found [1, 8, 8.0], allowed"),
    "no layers": ("input = [1, 8, 8]", "layers: a list of at least one layer is needed"),
    "empty layers": (layer(""), "layers: a list of at least one layer is needed"),
    "layers that are a table": ("input = [1, 8, 8]\n[layers]\na = 1", "layers: a list of at least one layer"),
    "a layer that is a word": (layer('"relu"'), 'layer layer1: found "relu", allowed: a table with name, type and'),
    "a layer without a type": (layer('{ name = "a" }'), "layer a: type is missing. Allowed: conv2d, max_pool2d"),
    "an unknown type": (layer('{ name = "a", type = "conv" }'), 'layer a: unknown type "conv"; did you mean conv2d'),
    "a type that is a number": (layer('{ name = "a", type = 3 }'), "layer a: unknown type 3. Allowed"),
    "an unknown setting": (
        layer('{ name = "a", type = "conv2d", out_channels = 2, kernel_size = 3, strides = 2 }'),
        'layer a (conv2d): unknown key "strides"; did you mean stride?',
    ),
    "a missing setting": (layer('{ type = "linear" }'), "layer linear1 (linear): out_features is missing. Allowed: an"),
    "a zero": (
        layer('{ name = "a", type = "linear", out_features = 0 }'),
        "out_features: found 0, allowed: an integer",
    ),
    "a boolean for a number": (
        layer('{ name = "a", type = "linear", out_features = true }'),
        "layer a (linear): out_features: found true, allowed: an integer ≥ 1",
    ),
    "a number too large": (
        layer('{ name = "a", type = "linear", out_features = 99999999999 }'),
        "out_features: found 99999999999, allowed: at most 2147483647",
    ),
    "a probability over 1": (
        layer('{ name = "a", type = "dropout", p = 1.5 }'),
        "layer a (dropout): p: found 1.5, allowed: a number ≥ 0 and ≤ 1",
    ),
    "not a number": (layer('{ name = "a", type = "dropout", p = nan }'), "p: found nan, allowed"),
    "three paddings": (
        layer('{ name = "a", type = "conv2d", out_channels = 1, kernel_size = 1, padding = [1, 2, 3] }'),
        'padding: found [1, 2, 3], allowed: an integer ≥ 0, [height, width], [left, right, top, bottom], "valid" or',
    ),
    "an unknown word": (
        layer('{ name = "a", type = "conv2d", out_channels = 1, kernel_size = 1, padding = "full" }'),
        'padding: found "full", allowed',
    ),
    "an unknown key of init": (
        layer('{ name = "a", type = "linear", out_features = 1, init = { sdt = 1 } }'),
        'layer a (linear): init: unknown key "sdt"; did you mean std?',
    ),
    "names used twice": (layer(f"{RELU}, {RELU}"), "layer relu: the name is used twice"),
    "a name that can't be one": (layer('{ name = "a b", type = "relu" }'), 'name: found "a b", allowed: letters'),
    "a date": (layer('{ name = 2020-01-01, type = "relu" }'), "name: found 2020-01-01, allowed: letters"),
    "no towers": ("towers = 0\n" + GOOD, "towers: found 0, allowed: an integer ≥ 1 and ≤ 64"),
    "a title that is a number": ("title = 3\n" + GOOD, "title: found 3, allowed: a string"),
    "a recipe that is no table": ("training = 3\n" + GOOD, "training: found 3, allowed: a table"),
    "an unknown key of the recipe": (GOOD + "[training]\nlearning_rate = 1", '[training]: unknown key "learning_rate"'),
    "a recipe's value out of range": (GOOD + "[training]\nlr = 0", "[training]: lr: found 0, allowed: a number > 0"),
    "an unknown optimizer": (
        GOOD + '[training]\noptimizer = "adamm"',
        '[training]: optimizer: found "adamm", allowed: one of sgd, adam, adamw',
    ),
    "an unknown key of published": (GOOD + "[[published]]\nx = 1", '[[published]] 1: unknown key "x"'),
    "published about no layer": (
        GOOD + '[[published]]\nquantity = "params"\nvalue = 1\nlayer = "conv2"',
        "[[published]] 1: no layer 'conv2'; did you mean conv1?",
    ),
    "published that is no list": ("published = 3\n" + GOOD, "published: allowed: [[published]] tables"),
    "broken TOML": ("input = [1, 8, 8]\nlayers = [", "not valid TOML: "),
    "a key twice": ("input = [1, 8, 8]\n" + GOOD, "not valid TOML: Cannot overwrite a value (at line 3"),
    "thousands of digits": (f"towers = {'9' * 5000}\n" + GOOD, "not valid TOML: "),
    "thousands of hexadecimal digits": (f"towers = 0x{'f' * 5000}\n" + GOOD, "towers: found an integer of thousands"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case: str) -> None:
    text, message = BAD[case]
    with pytest.raises(PresetError) as refused:
        parse_preset(text, Path("folder/mine.toml"))
    assert str(refused.value).startswith("folder/mine.toml: ")
    assert message in str(refused.value)
    assert len(str(refused.value)) < 700


def test_the_line_of_broken_toml_is_told() -> None:
    with pytest.raises(PresetError, match=r"\(at line 3, column 5\)"):
        parse_preset('title = "x"\n\nabc d\n', Path("x.toml"))


# Values as TOML can hold them, and text that looks like a preset and is not.
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-5, 5)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["same", "valid", "sgd", *LAYER_TYPES])
    | st.datetimes()
    | st.dates()
    | st.times(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
settings_of_layers = sorted({key for cls in LAYER_TYPES.values() for key in setting_fields(cls)})
layers = st.fixed_dictionaries(
    {}, optional={"name": values | st.just("a"), "type": st.sampled_from(list(LAYER_TYPES)) | values}
).flatmap(
    lambda entry: st.dictionaries(st.sampled_from(settings_of_layers), values).map(lambda more: {**more, **entry})
)
files = st.fixed_dictionaries(
    {"input": values | st.just([1, 8, 8]), "layers": st.lists(layers, max_size=3) | values},
    optional={
        "title": values,
        "towers": values,
        "training": st.dictionaries(st.sampled_from(sorted(setting_fields(Recipe))), values, max_size=3) | values,
        "published": st.lists(
            st.dictionaries(st.sampled_from(["quantity", "value", "layer", "within", "note"]), values, max_size=5),
            max_size=2,
        )
        | values,
        "extra": values,
    },
)


def text_of(file: dict[str, Any]) -> str:
    return "\n".join(f"{key} = {toml_text(value)}" for key, value in file.items() if value is not None)


@examples(150)
@given(files)
def test_any_content_is_read_or_refused(file: dict[str, Any]) -> None:
    try:
        parse_preset(text_of(file), Path("x.toml"))
    except PresetError as refused:
        assert str(refused).startswith("x.toml: ")
        assert "\n" not in str(refused)


@examples(150)
@given(st.text() | st.binary().map(lambda content: content.decode("latin-1")))
@example("x = " + "[" * 3000)
@example("x = " + "{a=" * 3000)
@example("\x00")
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(PresetError):
        parse_preset(text, Path("x.toml"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match=r"nowhere\.toml: no such file"):
        load_preset(str(tmp_path / "nowhere.toml"))
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    with pytest.raises(PresetError, match=r"latin\.toml: not UTF-8 text \(byte 9\)"):
        load_preset(str(tmp_path / "latin.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(PresetError, match=r"folder\.toml: is a directory, not a regular file") as told:
        load_preset(str(tmp_path / "folder.toml"))
    assert not told.value.failure


def test_a_folder_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "glob", fail)
    with pytest.raises(PresetError, match="presets: Permission denied") as told:
        user_paths()
    assert told.value.failure


def test_finding(tmp_path: Path) -> None:
    assert find_preset("paper") == shipped_folder() / "paper.toml"
    with pytest.raises(PresetError, match="no preset 'papr'; did you mean paper"):
        find_preset("papr")
    mine = user_folder() / "mine.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text(GOOD)
    assert find_preset("mine") == mine
    assert load_preset("mine").name == "mine"
    assert not is_shipped(load_preset("mine"))
    assert find_preset(f"{tmp_path}/other.toml") == tmp_path / "other.toml"
    assert "mine" not in shipped_names()


def test_a_users_file_does_not_shadow_a_shipped_one() -> None:
    shadow = user_folder() / "paper.toml"
    shadow.parent.mkdir(parents=True)
    shadow.write_text(GOOD)
    with pytest.raises(PresetError, match="paper is the name of a shipped preset; give your file another name"):
        load_preset("paper")


def test_a_family_is_found_behind_a_description_that_talks_of_layers(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'description = """\nMany\nlayers = 3, and more.\n"""\nfamily = "mine"\ninput = [1, 2, 2]\nlayers = [\n'
    )
    assert preset_family(path) == "mine"
    path.write_text("description = 'x'\nlayers = []\n")
    assert preset_family(path) == "other"
    path.write_text("family = [\n")
    assert preset_family(path) == "other"
