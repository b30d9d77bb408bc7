"""Two networks side by side, as a table: pairs of layers, and what differs in each pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from alexplore.core.formatting import bytes_text, short_count
from alexplore.core.settings import toml_text
from alexplore.network.compare import Comparison, Pair, compare
from alexplore.network.quantities import BY_KEY, NOTHING, TOTALS
from alexplore.network.row import Row
from alexplore.network.shapes import shape_text
from alexplore.presets.preset import Preset
from alexplore.render.network_tables import DIFFERENCES, values_text

LEGEND = "≠ settings differ · ≈ only numbers do · − only here · + only there"


@dataclass(frozen=True)
class Side:
    """A cell of a pair: a text, a shorter one for narrow columns, and whether the layers differ in it."""

    text: str
    short: str = ""
    differs: bool = False


class ComparedPresets:
    """A preset beside another one."""

    def __init__(self, here: Preset, there: Preset) -> None:
        self.here, self.there = here, there
        self.comparison: Comparison = compare(here.network, there.network)
        self.pairs = self.comparison.pairs

    @property
    def title(self) -> str:
        """The names of both presets."""
        return f"{self.here.name} and {self.there.name}"

    def mark(self, pair: Pair) -> str:
        """Return the mark of a pair's kind of difference."""
        return DIFFERENCES[pair.kind]

    def name(self, pair: Pair, *, there: bool) -> str:
        """Return the name of a pair's layer in one of the networks."""
        row = pair.b if there else pair.a
        return row.layer.name if row else NOTHING

    def what_differs(self, pair: Pair) -> str:
        """Return the settings that differ, each as `init 0.01 → uniform`."""
        if pair.a is None or pair.b is None:
            row = pair.a or pair.b
            assert row is not None
            return f"only in {self.there.name if pair.a is None else self.here.name}: {_settings(row)}"
        return " · ".join(_difference_texts(pair))

    def shape(self, pair: Pair) -> Side:
        """Return both output shapes if they differ, else one of them."""
        here, there = (shape_text(row.output) if row and row.output else NOTHING for row in (pair.a, pair.b))
        if pair.a is None or pair.b is None or here == there:
            return Side(there if pair.a is None else here)
        return Side(f"{here} → {there}", there, differs=True)

    def difference(self, pair: Pair, key: str) -> Side:
        """Return the difference of a compared quantity between two layers; both values if it can't be calculated."""
        difference = pair.difference(BY_KEY[key])
        if difference is None:
            text = values_text(pair, BY_KEY[key])
            return Side(text, differs=bool(text))
        if not difference:
            return Side("")
        sign = "−" if difference < 0 else "+"
        return Side(f"{sign}{abs(difference):,}", f"{sign}{short_count(abs(difference))}", differs=True)

    def details(self, pair: Pair) -> Iterator[str]:
        """Yield lines about a pair: both layers with their settings, then every difference."""
        for preset, row in ((self.here, pair.a), (self.there, pair.b)):
            if row is None:
                yield f"{preset.name}: no such layer"
            else:
                settings = row.layer.summary()
                yield f"{preset.name}: {row.layer.name} · {row.layer.type}{f' · {settings}' if settings else ''}"
        differences = list(_difference_texts(pair))
        differences += [f"{BY_KEY[key].title} {values_text(pair, BY_KEY[key])}" for key in pair.numbers]
        if pair.a and pair.b:
            yield " · ".join(differences) or "nothing differs"

    def totals(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield each total: its title, both values, and the difference."""
        for quantity in TOTALS:
            here, there = self.comparison.totals[quantity.key]
            if not here and not there:
                continue
            text: Callable[[int], str] = bytes_text if quantity.unit == "bytes" else "{:,}".format
            sign = "−" if there < here else "+"
            change = f"{sign}{text(abs(there - here))}" if there != here else NOTHING
            yield quantity.title, text(here), text(there), change


def _settings(row: Row) -> str:
    return row.layer.summary() or row.layer.type


def _difference_texts(pair: Pair) -> Iterator[str]:
    if pair.a and pair.b and pair.a.layer.type != pair.b.layer.type:
        yield f"{pair.a.layer.type} → {pair.b.layer.type}"
    for key, (here, there) in pair.settings.items():
        yield f"{key} {_text(key, here)} → {_text(key, there)}"


def _text(key: str, value: Any) -> str:
    """Return the text of a value in a difference; without `init`, weights are uniformly distributed, as in PyTorch."""
    if value is None:
        return "uniform" if key == "init" else "not set"
    if isinstance(value, dict):
        parts = (f"{name} {toml_text(part)}" for name, part in value.items() if part)
        return ", ".join(parts) or toml_text(value)
    return toml_text(value).strip('"')
