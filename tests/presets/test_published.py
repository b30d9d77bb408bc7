"""Published numbers that do not add up are marked, each with its reason; those that do are confirmed."""

from __future__ import annotations

from typing import Any

import pytest

from alexplore.core.settings import SettingError
from alexplore.network.analysis import analyse
from alexplore.presets.library import load_preset, shipped_names
from alexplore.presets.published import Checked, Published, check_published, published_text, read_published


def checked(name: str) -> list[Checked]:
    preset = load_preset(name)
    return list(check_published(preset.published, analyse(preset.network)))


# Preset, layer, quantity, what the source says, what it is.
WRONG = [
    ("paper", "conv1", "neurons", 253_440, 290_400),
    ("paper", None, "input", (3, 224, 224), (3, 227, 227)),
    ("paper", "conv1", "params", 34_848, 34_944),
    ("paper", "conv1", "output", (96, 54, 54), (96, 55, 55)),
    ("paper", "fc8", "params", 4_096_000, 4_097_000),
    ("paper", "conv5", "kernel", (3, 3, 256), (3, 3, 192)),
    ("paper", "conv1", "init_std", 1, 0.01),
    ("paper", "pool1", "output", (96, 26, 26), (96, 27, 27)),
    ("paper", "conv1", "output", (96, 56, 56), (96, 55, 55)),
    ("torchvision", None, "flops", 0.71e9, 1_428_376_960),
    ("resnet18", None, "flops", 1.8e9, 3_628_146_688),
    ("squeezenet1_1", None, "flops", 0.72e9, 698_303_872),
    ("googlenet", "conv1_conv", "params", 2700, 9_408),
    ("googlenet", "conv1_conv", "macs", 34e6, 118_013_952),
]


@pytest.mark.parametrize(("preset", "layer", "quantity", "said", "is_"), WRONG)
def test_what_does_not_add_up(preset: str, layer: str | None, quantity: str, said: object, is_: object) -> None:
    found = [
        one
        for one in checked(preset)
        if (one.published.layer, one.published.quantity, one.published.value) == (layer, quantity, said)
    ]
    assert len(found) == 1
    assert (found[0].confirmed, found[0].verdict, found[0].ours) == (False, "not confirmed", is_)
    assert found[0].published.note
    assert found[0].reason.startswith("ours is ")


def test_nothing_else_is_wrong() -> None:
    wrong = [(name, one) for name in shipped_names() for one in checked(name) if one.confirmed is False]
    assert len(wrong) == len(WRONG)


@pytest.mark.parametrize(
    ("preset", "layer", "quantity"),
    [
        ("paper", None, "params"),
        ("paper", None, "neurons"),
        ("paper", "conv2", "neurons"),
        ("paper", "conv2", "output"),
        ("torchvision", None, "params"),
        ("torchvision", None, "macs"),
        ("torchvision", None, "smallest_input"),
        ("fmnist", "fc6", "input"),
        ("resnet18", None, "params"),
        ("resnet18", "layer2_1_relu2", "output"),
        ("squeezenet1_1", None, "smallest_input"),
        ("googlenet", None, "smallest_input"),
        ("googlenet", "inception4e", "output"),
        ("vgg16", None, "smallest_input"),
        ("vgg16", "conv3_3", "kernel"),
        ("zfnet", "conv1", "output"),
        ("nin", "poolg", "input"),
    ],
)
def test_what_is_confirmed(preset: str, layer: str | None, quantity: str) -> None:
    found = [one for one in checked(preset) if (one.published.layer, one.published.quantity) == (layer, quantity)]
    assert [one.confirmed for one in found] == [True]


def test_only_training_measures_accuracy() -> None:
    accuracy = next(one for one in checked("fmnist-valid") if one.published.quantity == "test_accuracy")
    assert accuracy.published.value == (0.858, 0.888, 0.895, 0.904, 0.906)
    assert (accuracy.confirmed, accuracy.ours, accuracy.verdict) == (None, None, "measured")
    assert "test_accuracy 0.858, 0.888, 0.895, 0.904, 0.906: only" in published_text(accuracy)


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        ("output", (96, 55, 55), "96×55×55"),
        ("output", (1_234_567, 1, 1), "1234567×1×1"),
        ("images_per_second", (1_234_567, 950.5), "1234567, 950.5"),
        ("top1_error", (40.7,), "40.7"),
        ("params", 60_965_224, "60,965,224"),
        ("train_loss", 0.25, "0.25"),
    ],
)
def test_values_as_people_read_them(quantity: str, value: Any, text: str) -> None:
    assert Published(quantity=quantity, value=value).value_text == text


def test_squeezenets_operations_at_the_input_of_its_authors() -> None:
    """As the note says."""
    assert analyse(load_preset("squeezenet1_1").network.with_input(3, 227, 227)).totals.flops == 775_495_040


def test_rounded_numbers_are_confirmed_within_what_they_say() -> None:
    analysis = analyse(load_preset("paper").network)
    stated = [Published(quantity="params", value=60e6, within=within) for within in (0.02, 0.01)]
    near, far = check_published(tuple(stated), analysis)
    assert (near.confirmed, far.confirmed) == (True, False)
    assert near.reason == "ours is 60,965,224, within 2 % of it"
    assert far.reason == "ours is 60,965,224, 965,224 more"


@pytest.mark.parametrize("value", [4096, (4096,), [4096]])
def test_the_shape_of_a_vector_is_confirmed(value: object) -> None:
    stated = read_published({"quantity": "output", "layer": "fc6", "value": value})
    (one,) = check_published((stated,), analyse(load_preset("paper").network))
    assert (one.confirmed, one.reason) == (True, "ours is the same")


def test_an_edited_network_is_checked_too() -> None:
    preset = load_preset("paper")
    network = preset.network.change(0, {"stride": 3}).remove(preset.network.index("conv5"))
    reasons = {
        one.published.layer: one.reason
        for one in check_published(preset.published, analyse(network))
        if one.published.quantity == "neurons"
    }
    assert reasons["conv2"] == "ours is 331,776, 145,152 more"
    assert reasons["conv5"] == "there is no layer conv5 any more"
    broken = preset.network.change(preset.network.index("fc6"), {"in_features": 9})
    verdicts = [one for one in check_published(preset.published, analyse(broken)) if one.published.layer == "fc7"]
    assert [one.reason for one in verdicts] == ["it can't be computed: this layer, or one before it, is broken"]


def test_json() -> None:
    one = next(one for one in checked("paper") if one.published.value == (96, 54, 54))
    values = one.to_dict()
    assert (values["layer"], values["value"], values["ours"]) == ("conv1", [96, 54, 54], [96, 55, 55])
    assert values["confirmed"] is False


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"quantity": "parms", "value": 1}, 'quantity: found "parms", allowed: one of '),
        ({"quantity": "params", "value": -1}, "value: found -1, allowed: a number ≥ 0, or a list of them"),
        ({"quantity": "smallest_input", "value": 1, "layer": "conv1"}, "allowed for layer conv1: output, params"),
        ({"quantity": "output", "value": 1}, "allowed for the whole network (no layer is given): params, trainable"),
        ({"quantity": "params"}, "value is missing"),
        ({"quantity": "params", "value": 1, "nota": "x"}, 'unknown key "nota"; did you mean note?'),
    ],
)
def test_entries_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError) as refused:
        read_published(values)
    assert message in str(refused.value)
