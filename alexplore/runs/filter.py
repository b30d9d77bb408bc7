"""Filter runs by words and comparisons: `fmnist state:failed lr>=0.01 best>90% !adam`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alexplore.core.errors import WrongUseError
from alexplore.core.settings import nearest, setting_fields
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware
from alexplore.runs.listing import ListedRun

TERM = re.compile(r"(?P<key>[A-Za-z_]\w*)(?P<sign>>=|<=|!=|>|<|=|:)(?P<value>.*)", re.DOTALL)
FACTORS: Mapping[str, float] = {"%": 0.01, "s": 1, "min": 60, "h": 3600, "d": 86_400}
"""Units that may follow a number, and the factor of each; ages are in seconds."""

NUMBER = re.compile(rf"(?P<number>[-+]?[\d.]+(?:e[-+]?\d+)?)(?P<unit>{'|'.join(FACTORS)})?", re.IGNORECASE)


class FilterError(WrongUseError):
    """A term that can't be used; the message says what is allowed."""


def _setting(key: str) -> Callable[[ListedRun], Any]:
    def value(run: ListedRun) -> Any:
        config = run.summary.config
        return None if config is None else {**config.recipe.to_dict(), **config.options()}.get(key)

    return value


def _metric(key: str) -> Callable[[ListedRun], float | None]:
    return lambda run: run.summary.latest.get(key)


FIELDS: Mapping[str, Callable[[ListedRun], Any]] = {
    **{key: _setting(key) for cls in (Recipe, Hardware, DataSource) for key in setting_fields(cls) if key != "folder"},
    "data": _setting("data"),
    "run": lambda run: run.name,
    "preset": lambda run: run.preset,
    "network": lambda run: run.network,
    "state": lambda run: run.summary.status.state,
    "note": lambda run: run.note,
    "best": lambda run: run.summary.best,
    "last": _metric("val/acc"),
    "loss": _metric("train/loss"),
    "speed": _metric("images_per_second"),
    "epoch": lambda run: run.summary.status.epoch,
    "step": lambda run: run.summary.status.step,
    "age": lambda run: run.summary.age,
}
"""Fields that a term may compare: a run's settings, and the columns of lists. Accuracies are shares, 0.9 or 90%."""

SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
    "=": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
}


@dataclass(frozen=True)
class RunFilter:
    """Terms that must all hold."""

    terms: Sequence[Callable[[ListedRun], bool]] = ()

    def matches(self, run: ListedRun) -> bool:
        """Return whether a run is chosen."""
        return all(term(run) for term in self.terms)


def parse_filter(text: str) -> RunFilter:
    """Return the filter that a text describes: words and comparisons separated by blanks; a `!` in front negates one.

    A word is searched for in a run's name, network, state, data set, optimizer and note; `key:text` searches one field.
    A term without a value yet, such as `lr>=`, matches all runs.

    Raises:
        FilterError: a term has an unknown field, or compares with something that is not a number.
    """
    terms = []
    for word in _split(text):
        negated = word.startswith("!") and len(word) > 1
        term = _term(word[1:] if negated else word)
        terms.append(_not(term) if negated else term)
    return RunFilter(terms)


def _split(text: str) -> list[str]:
    """Return the words of a text. A word in quotation marks may contain blanks, and the last mark may be missing."""
    for ending in ("", '"', "'"):
        try:
            return shlex.split(text + ending)
        except ValueError:
            continue
    return text.split()


def _not(term: Callable[[ListedRun], bool]) -> Callable[[ListedRun], bool]:
    return lambda run: not term(run)


def _term(word: str) -> Callable[[ListedRun], bool]:
    found = TERM.fullmatch(word)
    if found is None:
        return lambda run: word.casefold() in _words(run)
    key, sign, wanted = found["key"].lower(), found["sign"], found["value"]
    if key not in FIELDS:
        raise FilterError(f"{key}: no such field{nearest(key, FIELDS)} Fields: {', '.join(sorted(FIELDS))}")
    field = FIELDS[key]
    if not wanted:
        return lambda _: True
    if sign == ":":
        return lambda run: wanted.casefold() in _text(field(run)).casefold()
    number = _number(wanted)
    if number is None and sign not in ("=", "!="):
        raise FilterError(f"{word}: a number belongs after {sign}, such as {key}{sign}0.5; {key}:{wanted} finds words")
    return lambda run: _compare(field(run), sign, wanted, number)


def _compare(value: Any, sign: str, wanted: str, number: float | None) -> bool:
    if value is None:
        return sign == "!="
    if number is not None and isinstance(value, int | float) and not isinstance(value, bool):
        return SIGNS[sign](value, number)
    equal = _text(value).casefold() == wanted.casefold()
    return equal if sign == "=" else not equal if sign == "!=" else False


def _number(text: str) -> float | None:
    found = NUMBER.fullmatch(text)
    if found is None:
        return None
    try:
        return float(found["number"]) * FACTORS[found["unit"].lower()] if found["unit"] else float(found["number"])
    except ValueError:  # 1.2.3
        return None


def _text(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _words(run: ListedRun) -> str:
    config = run.summary.config
    optimizer = config.recipe.optimizer if config else ""
    return " ".join([run.name, run.network, run.summary.status.state, run.dataset, optimizer, run.note]).casefold()
