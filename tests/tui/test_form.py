"""A form over settings, without a widget."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from alexplore.core.settings import SettingError, choice, integer, number, optional, setting
from alexplore.network.layers.conv2d import Conv2d
from alexplore.network.layers.merge import Add
from alexplore.tui.form import Form, given_values


@dataclass(frozen=True)
class Settings:
    """Settings of each kind that a form treats differently."""

    count: int = setting(integer(1, 9), doc="how many")
    rate: float = setting(number(0), 0.5)
    colour: str = setting(choice("red", "green", "blue"), "green")
    limit: int | None = setting(optional(integer(1)), None, "at most")


VALUES = {"count": 3, "rate": 0.25, "colour": "red"}


def test_the_fields_hold_the_values_as_text() -> None:
    form = Form([Settings], VALUES)
    assert [field.text for field in form.fields] == ["3", "0.25", "red", ""]
    assert form.values == {**VALUES, "limit": None}
    assert [field.placeholder for field in form.fields] == ["", "", "", "not set"]


def test_a_layers_name_comes_first_and_is_always_text() -> None:
    form = Form([Conv2d], {"out_channels": 1, "kernel_size": [3, 5]}, "12")
    assert form.current.name == "out_channels"
    assert form.values["name"] == "12"
    assert form.values["kernel_size"] == [3, 5]


def test_the_message_is_the_error_or_the_meaning() -> None:
    form = Form([Settings], VALUES)
    assert form.message == "count: how many · an integer ≥ 1 and ≤ 9"
    form.set_error("count: no", "count")
    assert (form.message, form.error_field) == ("✗ count: no", "count")
    form.position = form.index("rate")
    assert form.message == "rate: a number ≥ 0"
    form.set_error("rate and count: no")
    assert form.message == "✗ rate and count: no"
    form.position = form.index("count")
    form.set_error("")
    assert (form.message, form.error_field) == ("count: how many · an integer ≥ 1 and ≤ 9", "")


@pytest.mark.parametrize(
    ("name", "text", "step", "following"),
    [
        ("count", "3", 1, "4"),
        ("count", "9", 1, None),
        ("count", "", 1, None),
        ("rate", "0.25", 1, "0.5"),
        ("rate", "0.25", -1, "0.125"),
        ("rate", "", 1, "1.0"),  # twice the default
        ("colour", "red", 1, "green"),
        ("colour", "red", -1, "blue"),
        ("colour", "gr", 1, "red"),
        ("colour", "gr", -1, "blue"),
        ("limit", "", 1, None),
    ],
)
def test_stepping(name: str, text: str, step: int, following: str | None) -> None:
    form = Form([Settings], VALUES)
    field = form.fields[form.index(name)]
    field.text = text
    assert field.stepped(step) == following


def test_empty_optional_settings_are_left_out() -> None:
    assert given_values(Settings, {"count": 1, "limit": None, "other": 2}) == {"count": 1}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("count", "count: found nothing, allowed: an integer ≥ 1 and ≤ 9"),
        ("rate", "rate: found nothing, allowed: a number ≥ 0; the default is 0.5"),
    ],
)
def test_an_empty_setting_that_is_not_optional_is_refused(name: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        given_values(Settings, {**VALUES, name: None})
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ['["relu4", "relu3"]', "[relu4, relu3]", "relu4, relu3", " relu4 relu3 "])
def test_the_layers_that_one_reads_are_typed_without_quotes(text: str) -> None:
    field = next(field for field in Form([Add], {"inputs": ["a", "b"]}).fields if field.name == "inputs")
    field.text = text
    assert (list(field.value), field.error) == (["relu4", "relu3"], "")
