"""Values that people type."""

from __future__ import annotations

from typing import Any

import pytest

from alexplore.core.settings import parse_text, toml_text


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        (".5", 0.5),
        ("5.", 5.0),
        ("-.5", -0.5),
        ("+.001", 0.001),
        ("1.e-3", 0.001),
        (".1e-2", 0.001),
        ("[.5, 1., 2]", [0.5, 1.0, 2]),
        ("{ std = .01 }", {"std": 0.01}),
        ("0.5", 0.5),
        ("12", 12),
    ],
)
def test_numbers_may_begin_and_end_with_their_point(typed: str, value: Any) -> None:
    found = parse_text(typed)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "typed", [".", "..", "./x", "a.b", "v1.", "file.5", "1.2.3", "127.0.0.1", "same", ".5.", "7z."]
)
def test_other_texts_with_points_stay_texts(typed: str) -> None:
    assert parse_text(typed) == typed


@pytest.mark.parametrize("value", [".5", "5.", 0.5, 1.0, 3, True, "", [0.5, 2], {"std": 0.01}])
def test_what_toml_writes_is_read_back(value: Any) -> None:
    assert parse_text(toml_text(value)) == value
