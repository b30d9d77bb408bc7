"""The kinds of questions. Each finds the right answer and its explanation in the analysis.

To add one: a frozen dataclass that derives from `Question`, and an entry in `QUESTIONS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeVar

from alexplore.core.settings import (
    Kind,
    SettingError,
    choice,
    found_text,
    integer,
    list_schema,
    nearest,
    number,
    numbers,
    optional,
    read_settings,
    setting,
    settings_schema,
    text,
)
from alexplore.lessons.network_changes import changes_between
from alexplore.lessons.values import Claim, Place, parse_value, plain_text, same
from alexplore.network.analysis import Analysis, analyse
from alexplore.network.graph import Network
from alexplore.network.quantities import BY_KEY, LAYER_KEYS, Value, layer_value
from alexplore.network.shapes import MapSize, map_size
from alexplore.presets.published import Number, value_text

T = TypeVar("T")


def tables(cls: type[T], fewest: int = 1) -> Kind[tuple[T, ...]]:
    """Return the kind of lists of tables with the settings of a class."""

    def parse(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list | tuple) or len(value) < fewest:
            raise ValueError
        read = []
        for count, entry in enumerate(value, 1):
            if not isinstance(entry, Mapping):
                raise ValueError  # noqa: TRY004 (the one error of a kind)
            try:
                read.append(cls(**read_settings(cls, entry)))
            except SettingError as error:
                raise SettingError(f"number {count}: {error}") from None
        return tuple(read)

    return Kind(f"a list of {fewest} or more tables", parse, list_schema(settings_schema(cls)))


class Verdict(NamedTuple):
    """Whether an answer is right, and the reply to show."""

    right: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Question(ABC):
    """A question about the network of a lesson."""

    ask: str = setting(text(), doc="the question")
    hint: str | None = setting(optional(text()), None, "what to say after a wrong answer")

    type: ClassVar[str]
    answered_by: ClassVar[str]
    """A description of what to type; "" if the answer is the edited network."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines to show below the question."""
        return ()

    @abstractmethod
    def judge(self, typed: str, analysis: Analysis, edited: Analysis) -> Verdict:
        """Return the verdict on what was typed, or on the edited network; `analysis` is that of the lesson's preset."""

    @abstractmethod
    def explanation(self, analysis: Analysis) -> str:
        """Return the right answer with its arithmetic."""

    @abstractmethod
    def problems(self, analysis: Analysis) -> Iterator[str]:
        """Yield the errors of the question: answers that differ from the analysis.

        Raises:
            SettingError: a layer or a quantity that the network does not have.
        """


@dataclass(frozen=True)
class Mistake:
    """A frequent wrong answer, and what it overlooks."""

    answer: Number = setting(numbers(), doc="the wrong answer")
    say: str = setting(text(), doc="what was overlooked")


@dataclass(frozen=True, kw_only=True)
class NumberQuestion(Question, Place):
    """Asks for a quantity of a layer, or of the network."""

    type = "number"
    answered_by = "a number, or a shape such as 96×55×55"

    answer: Number = setting(numbers(), doc="the right answer, which the analysis confirms")
    within: float = setting(number(0, 1), 0.0, "the relative difference up to which an answer is right")
    mistakes: tuple[Mistake, ...] = setting(tables(Mistake), (), "wrong answers that people give")

    def judge(self, typed: str, analysis: Analysis, edited: Analysis) -> Verdict:
        """Compare the number that was typed with that of the analysis."""
        given, ours = parse_value(typed), self.of(analysis)
        if given is None:
            return Verdict(False, f"that is neither a number nor a shape: {found_text(typed)}")
        if same(given, ours, self.within):
            return Verdict(True, "right")
        for mistake in self.mistakes:
            if same(given, mistake.answer):
                return Verdict(False, mistake.say)
        return Verdict(False, _difference(given, ours))

    def explanation(self, analysis: Analysis) -> str:
        """Return the arithmetic of the number."""
        return self.arithmetic(analysis)

    def problems(self, analysis: Analysis) -> Iterator[str]:
        """Yield that the answer is wrong, or that a mistake has the right answer."""
        ours = self.of(analysis)
        if not same(self.answer, ours, self.within):
            yield f"answer: {value_text(self.answer)} is not right; {self.name} is {plain_text(ours)}"
        for mistake in self.mistakes:
            if same(mistake.answer, ours, self.within):
                yield f"mistakes: {value_text(mistake.answer)} is the right answer"


def _difference(given: Value, ours: Value) -> str:
    if given is None or ours is None or isinstance(given, tuple) or isinstance(ours, tuple):
        kind = "a shape, such as 96×55×55" if isinstance(ours, tuple) and not isinstance(given, tuple) else ""
        return f"not {plain_text(given)}" + (f"; the answer is {kind}" if kind else "")
    less = given < ours
    return f"not {value_text(given)}: that is {value_text(abs(given - ours))} too {'few' if less else 'many'}"


@dataclass(frozen=True, kw_only=True)
class LayerQuestion(Question):
    """Asks which layer has the most, or the least, of a quantity."""

    type = "layer"
    answered_by = "a layer's name"

    quantity: str = setting(choice(*LAYER_KEYS), doc="what is compared")
    extreme: str = setting(choice("most", "least"), "most", "which layer is asked for; zeros do not count")
    answer: str = setting(text(), doc="the name of the layer, which the analysis confirms")

    def _values(self, analysis: Analysis) -> dict[str, int | float]:
        values = {row.layer.name: layer_value(BY_KEY[self.quantity], row) for row in analysis.rows}
        return {name: value for name, value in values.items() if isinstance(value, int | float) and value}

    def _best(self, analysis: Analysis) -> list[str]:
        """Return the names of the right layers, several if they have the same value."""
        values = self._values(analysis)
        if not values:
            raise SettingError(f"quantity: no layer has {self.quantity} as a number")
        extreme = (max if self.extreme == "most" else min)(values.values())
        return [name for name, value in values.items() if value == extreme]

    def judge(self, typed: str, analysis: Analysis, edited: Analysis) -> Verdict:
        """Compare the layer that was typed with those that have the most or the least."""
        names = {row.layer.name.casefold(): row.layer.name for row in analysis.rows}
        name = names.get(typed.strip().casefold())
        if name is None:
            return Verdict(False, f"there is no layer {found_text(typed.strip())}{nearest(typed.strip(), names)}")
        if name in self._best(analysis):
            return Verdict(True, "right")
        return Verdict(False, f"not {name}: it has {value_text(self._values(analysis).get(name, 0))}")

    def explanation(self, analysis: Analysis) -> str:
        """Return the values of the right layer and of the next ones."""
        values = self._values(analysis)
        order = sorted(values, key=lambda name: values[name], reverse=self.extreme == "most")
        return f"{BY_KEY[self.quantity].title}: " + ", ".join(
            f"{name} {value_text(values[name])}" for name in order[:3]
        )

    def problems(self, analysis: Analysis) -> Iterator[str]:
        """Yield that another layer is the right one, or that several are."""
        best = self._best(analysis)
        if self.answer not in best:
            yield f"answer: {self.answer} is not right; {self.extreme} {self.quantity}: {', '.join(best)}"
        elif len(best) > 1:
            yield f"several layers are right: {', '.join(best)}"


@dataclass(frozen=True, kw_only=True)
class Statement(Claim):
    """A sentence with a number in it."""

    say: str = setting(text(), doc="the sentence")


@dataclass(frozen=True, kw_only=True)
class FindQuestion(Question):
    """Asks for the one statement whose number is wrong."""

    type = "find"
    answered_by = "the number of the line"

    statements: tuple[Statement, ...] = setting(tables(Statement, 2), doc="sentences, one of which is wrong")
    answer: int = setting(integer(1), doc="the number of the wrong one, which the analysis confirms")

    @property
    def lines(self) -> tuple[str, ...]:
        """The statements, numbered."""
        return tuple(f"{count}  {statement.say}" for count, statement in enumerate(self.statements, 1))

    def _wrong(self, analysis: Analysis) -> list[int]:
        """Return the numbers of the statements that the analysis contradicts."""
        return [count for count, statement in enumerate(self.statements, 1) if not statement.holds(analysis)]

    def judge(self, typed: str, analysis: Analysis, edited: Analysis) -> Verdict:
        """Return whether the chosen statement is the wrong one."""
        given = parse_value(typed)
        if given not in range(1, len(self.statements) + 1):
            return Verdict(False, f"type the number of a line, 1 to {len(self.statements)}")
        if given in self._wrong(analysis):
            return Verdict(True, "right")
        statement = self.statements[int(str(given)) - 1]
        return Verdict(False, f"line {given} adds up: {statement.arithmetic(analysis)}")

    def explanation(self, analysis: Analysis) -> str:
        """Return the arithmetic of the quantity in the wrong statement."""
        return "; ".join(
            f"line {count} says {self.statements[count - 1].wanted}: {self.statements[count - 1].arithmetic(analysis)}"
            for count in self._wrong(analysis)
        )

    def problems(self, analysis: Analysis) -> Iterator[str]:
        """Yield that more or fewer than one statement are wrong, or that another one is."""
        wrong = self._wrong(analysis)
        if wrong != [self.answer]:
            found = ", ".join(map(str, wrong)) or "none"
            yield f"answer: {self.answer} is not right; the statements that do not add up: {found}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of a network: of a layer's setting, or of the input."""

    layer: str | None = setting(optional(text()), None, "the layer")
    value: Any = setting(Kind("a value of the setting", lambda value: value, {}), None, "the new value")
    input: MapSize | None = setting(optional(map_size()), None, "instead: another input")
    setting: str | None = setting(optional(text()), None, "its setting")

    def apply(self, network: Network) -> Network:
        """Return the changed network.

        Raises:
            SettingError: an unknown layer or setting, or a value that is not allowed.
        """
        if self.input is not None:
            return network.with_input(*self.input)
        if self.layer is None or self.setting is None:
            raise SettingError("a change names a layer and a setting, or an input")
        return network.change(network.index(self.layer), {self.setting: self.value})


@dataclass(frozen=True, kw_only=True)
class ChangeQuestion(Question):
    """Asks for an edit of the network after which all `conditions` hold and no layer is broken."""

    type = "change"
    answered_by = ""

    conditions: tuple[Claim, ...] = setting(tables(Claim), doc="what must be so in the edited network")
    solution: tuple[Change, ...] = setting(tables(Change), doc="changes that do it, which the analysis confirms")

    @property
    def allowed(self) -> int:
        """How many changes are allowed: as many as the solution takes."""
        return len(self.solution)

    def judge(self, typed: str, analysis: Analysis, edited: Analysis) -> Verdict:
        """Check the conditions and the number of changes in the edited network."""
        changes = changes_between(analysis.network, edited.network)
        if not changes:
            return Verdict(False, "the network is as it was: change it, then check again")
        if edited.broken is not None:
            return Verdict(False, f"a layer is broken: {edited.broken.error}")
        try:
            failed = [claim for claim in self.conditions if not claim.holds(edited)]
        except SettingError as error:
            return Verdict(False, str(error))
        if failed:
            claim = failed[0]
            return Verdict(False, f"{claim.name} is {plain_text(claim.of(edited))}, wanted: {claim.wanted}")
        if len(changes) > self.allowed:
            count = "one change is" if self.allowed == 1 else f"{self.allowed} changes are"
            return Verdict(False, f"it holds, but {count} enough; yours: {', '.join(changes)}")
        return Verdict(True, "right")

    def explanation(self, analysis: Analysis) -> str:
        """Return the solution, with the arithmetic of the conditions."""
        network = analysis.network
        words = []
        for change in self.solution:
            network = change.apply(network)
            words.append(
                f"input {value_text(change.input)}"
                if change.input is not None
                else f"{change.layer} {change.setting} = {found_text(change.value)}"
            )
        solved = analyse(network)
        return f"one way: {', '.join(words)}; " + "; ".join(claim.arithmetic(solved) for claim in self.conditions)

    def problems(self, analysis: Analysis) -> Iterator[str]:
        """Yield that the solution is wrong, or that the conditions hold without a change."""
        if all(claim.holds(analysis) for claim in self.conditions):
            yield "conditions: they hold before anything is changed"
        network = analysis.network
        for change in self.solution:
            network = change.apply(network)
        verdict = self.judge("", analysis, analyse(network))
        if not verdict.right:
            yield f"solution: it does not do it: {verdict.text}"


QUESTIONS: Mapping[str, type[Question]] = {
    cls.type: cls for cls in (NumberQuestion, LayerQuestion, FindQuestion, ChangeQuestion)
}
"""Every kind of question by its `type` in a lesson file."""
