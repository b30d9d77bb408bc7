"""Numbers that a preset's source states, each checked against ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from alexplore.core.declared import Declared
from alexplore.core.settings import (
    SettingError,
    choice,
    number,
    numbers,
    optional,
    read_settings,
    setting,
    settings_of,
    text,
)
from alexplore.network.analysis import Analysis
from alexplore.network.quantities import BY_KEY, LAYER_KEYS, NETWORK_KEYS, Value, layer_value, total_value

Number = int | float | tuple[int | float, ...]
MEASURED = (
    "top1_error", "top5_error", "top1_accuracy", "top5_accuracy", "train_accuracy", "test_accuracy", "train_loss",
    "images_per_second",
)  # fmt: skip
ALLOWED = tuple(dict.fromkeys((*LAYER_KEYS, *NETWORK_KEYS, *MEASURED)))


class Published(Declared):
    """A number that a preset's source states; `layer` is None for one of the whole network.

    `within` is the relative difference up to which it counts as confirmed, for sources that round.
    """

    quantity: str = setting(choice(*ALLOWED))
    value: Number = setting(numbers())
    layer: str | None = setting(optional(text()), None)
    within: float = setting(number(0, 1), 0.0)
    note: str | None = setting(optional(text()), None)

    @property
    def value_text(self) -> str:
        """The value: what was measured several times as a list, sizes as a shape."""
        return value_text(self.value, ", " if self.quantity in MEASURED else "×")

    def to_dict(self) -> dict[str, Any]:
        """Return the number as a `[[published]]` table."""
        return settings_of(self, defaults=False)


def read_published(values: Mapping[str, Any]) -> Published:
    """Return the published number of one `[[published]]` table.

    Raises:
        SettingError: an unknown key, a value that is not allowed, or a quantity that layers, or networks, don't have.
    """
    published = Published(**read_settings(Published, values))
    known = (*NETWORK_KEYS, *MEASURED) if published.layer is None else LAYER_KEYS
    if published.quantity not in known:
        whose = "the whole network (no layer is given)" if published.layer is None else f"layer {published.layer}"
        raise SettingError(f'quantity: found "{published.quantity}", allowed for {whose}: {", ".join(known)}')
    return published


class Checked(NamedTuple):
    """A published number compared with ours; `confirmed` is None if only training can measure it."""

    published: Published
    ours: Value
    confirmed: bool | None
    reason: str

    @property
    def verdict(self) -> str:
        """`confirmed`, `not confirmed` or `measured`."""
        return {True: "confirmed", False: "not confirmed", None: "measured"}[self.confirmed]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison for JSON."""
        ours = list(self.ours) if isinstance(self.ours, tuple) else self.ours
        return {**self.published.to_dict(), "ours": ours, "confirmed": self.confirmed, "reason": self.reason}


def check_published(published: tuple[Published, ...], analysis: Analysis) -> tuple[Checked, ...]:
    """Return every published number of a preset, compared with the one calculated for its network."""
    return tuple(_check(one, analysis) for one in published)


def _check(published: Published, analysis: Analysis) -> Checked:
    if published.quantity in MEASURED:
        return Checked(published, None, None, "only training measures it")
    ours: Value
    if published.layer is None:
        ours = total_value(BY_KEY[published.quantity], analysis)
    else:
        row = analysis.row(published.layer)
        if row is None:
            return Checked(published, None, False, f"there is no layer {published.layer} any more")
        if row.output is None:
            return Checked(published, None, False, "it can't be computed: this layer, or one before it, is broken")
        ours = layer_value(BY_KEY[published.quantity], row)
    if ours is None:
        return Checked(published, None, False, f"the network has no {published.quantity} here")
    return Checked(published, ours, *_judge(published, ours))


def _judge(published: Published, ours: Number) -> tuple[bool, str]:
    value, ours = single(published.value), single(ours)
    if isinstance(value, tuple) or isinstance(ours, tuple):
        same = value == ours
        return same, "ours is the same" if same else f"ours is {value_text(ours)}"
    if value == ours:
        return True, "ours is the same"
    if abs(ours - value) <= published.within * abs(value):
        return True, f"ours is {value_text(ours)}, within {100 * published.within:g} % of it"
    difference = f"{value_text(abs(ours - value))} {'more' if ours > value else 'less'}"
    return False, f"ours is {value_text(ours)}, {difference}"


V = TypeVar("V", bound=Value)


def single(value: V) -> V | int | float:
    """Return a value, the shape of a vector as the number of its values."""
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


def value_text(value: Number, between: str = "×") -> str:
    """Return a value as text: 290,400, or 96×55×55."""
    if isinstance(value, tuple):
        return between.join(f"{item:.15g}" for item in value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.15g}"


def published_text(checked: Checked) -> str:
    """Return a line such as `✗ conv1 neurons 253,440: ours is 290,400, 36,960 more (the caption of figure 2 …)`."""
    one = checked.published
    mark = {True: "✓", False: "✗", None: "·"}[checked.confirmed]
    where = f"{one.layer} " if one.layer else ""
    note = f" ({one.note})" if one.note else ""
    return f"{mark} {where}{one.quantity} {one.value_text}: {checked.reason}{note}"
