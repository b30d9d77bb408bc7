"""Values of quantities in questions: found in an analysis, typed by a learner, and written out as arithmetic."""

from __future__ import annotations

import re
from dataclasses import dataclass

from alexplore.core.settings import (
    LARGEST_NUMBER,
    SettingError,
    choice,
    found_text,
    nearest,
    number,
    numbers,
    optional,
    setting,
    text,
)
from alexplore.network.analysis import Analysis
from alexplore.network.formulas import explain, explain_totals
from alexplore.network.quantities import BY_KEY, LAYER_KEYS, NETWORK_KEYS, Value, layer_value, total_value
from alexplore.network.row import Row
from alexplore.presets.published import Number, single, value_text

SUFFIXES = {"k": 10**3, "m": 10**6, "million": 10**6, "g": 10**9, "billion": 10**9}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A quantity of a layer, or of the whole network if no layer is named."""

    quantity: str = setting(choice(*dict.fromkeys((*LAYER_KEYS, *NETWORK_KEYS))), doc="what is counted or measured")
    layer: str | None = setting(optional(text()), None, "the layer; left out, the whole network")

    @property
    def name(self) -> str:
        """The layer with its quantity: conv1 params."""
        title = BY_KEY[self.quantity].title
        return f"{self.layer} {title}" if self.layer else f"total {title}"

    def of(self, analysis: Analysis) -> Value:
        """Return the value in a network, None if the network is broken there.

        Raises:
            SettingError: there is no such layer, or a layer, or a network, has no such quantity.
        """
        quantity = BY_KEY[self.quantity]
        if self.layer is None:
            if quantity.of_network is None:
                raise SettingError(f"quantity: {self.quantity} is of a layer; allowed: {', '.join(NETWORK_KEYS)}")
            return single(total_value(quantity, analysis))
        row = self.row(analysis)
        if quantity.of_layer is None:
            raise SettingError(f"quantity: {self.quantity} is of the network; allowed: {', '.join(LAYER_KEYS)}")
        return single(layer_value(quantity, row))

    def row(self, analysis: Analysis) -> Row:
        """Return the row of the layer.

        Raises:
            SettingError: there is no such layer.
        """
        row = analysis.row(str(self.layer))
        if row is None:
            names = [row.layer.name for row in analysis.rows]
            raise SettingError(f"layer: there is no layer {found_text(self.layer)}{nearest(str(self.layer), names)}")
        return row

    def arithmetic(self, analysis: Analysis) -> str:
        """Return the arithmetic of the value: (11·11·3 + 1)·96 = 34,944; the value alone if there is no formula."""
        value = self.of(analysis)
        formulas = explain_totals(analysis) if self.layer is None else explain(self.row(analysis), analysis.network)
        words = self.quantity.replace("_", " ")
        found = [formula for formula in formulas if formula.quantity.casefold().split(",")[0] == words]
        texts = [formula.text + (f" ({formula.note})" if formula.note else "") for formula in found]
        shown = plain_text(value)
        if isinstance(value, tuple) and texts:
            texts.append(f"{self.quantity} {shown}")
        return "; ".join(texts) or f"{self.name}: {shown}"


@dataclass(frozen=True, kw_only=True)
class Claim(Place):
    """A quantity and the value that is stated or wanted."""

    value: Number | None = setting(optional(numbers()), None, "the value")
    at_least: float | None = setting(optional(number(0)), None, "the smallest value that will do")
    at_most: float | None = setting(optional(number(0)), None, "the largest value that will do")
    within: float = setting(number(0, 1), 0.0, "the relative difference up to which a value counts as the same")

    def __post_init__(self) -> None:
        """Check that the claim states a value."""
        if self.value is None and self.at_least is None and self.at_most is None:
            raise SettingError("value is missing; allowed: value, at_least or at_most")

    def holds(self, analysis: Analysis) -> bool:
        """Return whether the quantity has the stated value in a network."""
        found = self.of(analysis)
        if found is None or (self.value is not None and not same(found, self.value, self.within)):
            return False
        if self.at_least is None and self.at_most is None:
            return True
        most = float("inf") if self.at_most is None else self.at_most
        return not isinstance(found, tuple) and (self.at_least or 0) <= found <= most

    @property
    def wanted(self) -> str:
        """The wanted value as text: 96×27×27, or at most 25,000,000."""
        parts = [] if self.value is None else [value_text(self.value)]
        for words, bound in (("at least", self.at_least), ("at most", self.at_most)):
            if bound is not None:
                parts.append(f"{words} {value_text(bound)}")
        return " and ".join(parts)


def plain_text(value: Value) -> str:
    """Return a value as text, "nothing" for None."""
    return "nothing" if value is None else value_text(value)


def same(value: Value, other: Value, within: float = 0.0) -> bool:
    """Return whether two values are the same, numbers up to a relative difference of `within`."""
    value, other = single(value), single(other)
    if value is None or other is None or isinstance(value, tuple) or isinstance(other, tuple):
        return value == other
    return abs(value - other) <= within * abs(other)


def parse_value(typed: str) -> Value:
    """Return the number or shape that was typed: 34,944 or 96×55×55 or 61 M; None if it is neither."""
    sizes = re.split(r"\s*[x×]\s*|\s*,\s+", typed.strip().strip("[]()").casefold())
    parsed = [_number(size) for size in sizes]
    found = [value for value in parsed if value is not None]
    if not found or len(found) < len(parsed):
        return None
    return found[0] if len(found) == 1 else tuple(found)


def _number(typed: str) -> int | float | None:
    match = re.fullmatch(r"([-−]?[\d.,_' \u202f\u00a0]*\d)\s*([a-z]*)", typed)
    if match is None or (match[2] and match[2] not in SUFFIXES):
        return None
    digits = re.sub(r"[,_' \u202f\u00a0]", "", match[1].replace("−", "-"))
    try:
        number_: int | float = int(digits) if digits.lstrip("-").isdigit() else float(digits)
    except ValueError:
        return None
    scaled = number_ * SUFFIXES.get(match[2], 1)
    if abs(scaled) > LARGEST_NUMBER:
        return None
    return int(scaled) if scaled == int(scaled) else scaled
