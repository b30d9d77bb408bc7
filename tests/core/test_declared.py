"""Frozen values with declared fields."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from alexplore.core.declared import Declared
from alexplore.core.settings import integer, setting


class Point(Declared):
    """Two coordinates."""

    x: int = setting(integer(0), doc="first")
    y: int = setting(integer(0), 5, "second")


class Named(Point):
    """A point with a name."""

    name: str


class Origin(Point):
    """A point without fields of its own."""


def test_fields_are_inherited_and_have_defaults() -> None:
    point = Named(name="a", x=1)
    assert (point.name, point.x, point.y) == ("a", 1, 5)
    assert [field.name for field in dataclasses.fields(point)] == ["x", "y", "name"]
    assert dataclasses.replace(point, y=2) == Named(name="a", x=1, y=2)
    assert repr(point) == "Named(x=1, y=5, name='a')"


def test_values_compare_by_type_and_fields() -> None:
    assert Point(x=1) == Point(x=1, y=5) and hash(Point(x=1)) == hash(Point(y=5, x=1))
    assert Point(x=1) != Point(x=2)
    assert Origin(x=1) != Point(x=1)
    assert copy.deepcopy(Point(x=1)) == pickle.loads(pickle.dumps(Point(x=1))) == Point(x=1)


def test_values_do_not_change() -> None:
    point: Any = Point(x=1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x


@pytest.mark.parametrize(("values", "message"), [({}, "Point: missing x"), ({"x": 1, "z": 2}, "Point: unexpected z")])
def test_wrong_arguments(values: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Point(**values)
