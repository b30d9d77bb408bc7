"""Every layer type through everything that reads layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING

import pytest

from alexplore.core.settings import SettingError, read_value, setting_fields
from alexplore.network.analysis import analyse
from alexplore.network.compare import compare
from alexplore.network.graph import read_network
from alexplore.network.layers import LAYER_TYPES
from alexplore.network.layers.base import Layer
from tests.support.layer_checks import LAYER_CHECKS, LayerCheck
from tests.support.layers import FIRST, FLATTEN, INPUT, TESTED, Case, Entry, layer_cases, layers_ending_in

CASES = tuple(layer_cases())
of_each_type = pytest.mark.parametrize("cls", LAYER_TYPES.values(), ids=list(LAYER_TYPES))


@pytest.mark.parametrize("case", CASES, ids=map(str, CASES))
@pytest.mark.parametrize("check", LAYER_CHECKS)
def test_every_layer(check: LayerCheck, case: Case) -> None:
    check(case)


def test_there_is_a_case_of_every_type() -> None:
    assert {case.cls.type for case in CASES} == set(LAYER_TYPES)


@of_each_type
def test_declarations(cls: type[Layer]) -> None:
    assert cls.title and cls.__doc__
    for key, field in setting_fields(cls).items():
        kind = field.metadata["kind"]
        assert field.metadata["doc"] and kind.allowed, key
        if field.default is not MISSING:
            assert read_value(key, kind, field.default) == field.default
        else:
            assert key in cls.example or key == "inputs", f"a new {cls.type} has no {key}"


def wrong_inputs(cls: type[Layer]) -> Iterator[list[Entry]]:
    """Yield layers that end in one of a type that reads a map, a vector, or both at once."""
    yield layers_ending_in(cls, {}, [FIRST])
    yield layers_ending_in(cls, {}, [FIRST, FLATTEN])
    if cls.fewest_inputs > 1:
        *before, layer = layers_ending_in(cls, {}, [FIRST])
        yield [*before, {**FLATTEN, "inputs": ["first"]}, {**layer, "inputs": [layer["inputs"][0], FLATTEN["name"]]}]


@of_each_type
def test_a_wrong_rank_is_refused_with_fixes(cls: type[Layer]) -> None:
    for layers in wrong_inputs(cls):
        read = {name for layer in layers for name in layer.get("inputs", [])}
        unread = [layer for layer in layers if layer["name"].startswith("branch") and layer["name"] not in read]
        network = read_network({"input": INPUT, "layers": [layer for layer in layers if layer not in unread]})
        broken = analyse(network).broken
        if broken is None:
            continue
        assert broken.layer.name == TESTED
        if cls.recorded:
            assert "import the model again" in str(broken.error)
            continue
        assert broken.fixes, broken.error
        for fix in broken.fixes:
            fixed = analyse(fix.network)
            assert TESTED in [row.layer.name for row in fixed.computed], fix.text


OTHER_VALUES = (2, 3, 5, 97)


def broken_cases(cls: type[Layer]) -> Iterator[Case]:
    """Yield the type with other whole numbers in its settings, where the layer can't read its input then."""
    for vector in (False, True):
        if not Case(cls, vector=vector).is_readable:
            continue
        for key, field in setting_fields(cls).items():
            for value in OTHER_VALUES:
                try:
                    read_value(key, field.metadata["kind"], value)
                except SettingError:
                    continue
                case = Case(cls, {key: value}, vector)
                if not case.is_readable:
                    yield case


@of_each_type
def test_settings_that_do_not_fit_are_fixed(cls: type[Layer]) -> None:
    for case in broken_cases(cls):
        broken = analyse(read_network({"input": INPUT, "layers": case.layers})).broken
        assert broken is not None and broken.layer.name == TESTED
        if cls.recorded:
            continue
        assert broken.fixes, broken.error
        for fix in broken.fixes:
            assert TESTED in [row.layer.name for row in analyse(fix.network).computed], f"{broken.error} {fix.text}"


@of_each_type
def test_compared_with_every_type(cls: type[Layer]) -> None:
    """Two layers of one role are compared with each other; others are not."""
    one = next(case for case in CASES if case.cls is cls)
    for other_cls in LAYER_TYPES.values():
        other = next(case for case in CASES if case.cls is other_cls)
        pairs = compare(one.network, other.network).pairs
        together = [pair for pair in pairs if pair.a and pair.b and {pair.a.layer.name, pair.b.layer.name} == {TESTED}]
        if (cls.role or cls.type) != (other_cls.role or other_cls.type):
            assert not together
        elif cls is not other_cls:
            assert [pair.kind for pair in together] == ["changed"]
