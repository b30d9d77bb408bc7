"""Numbers that a preset's source states, each checked against ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

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
from alexplore.network.layers import Conv2d, pair

if TYPE_CHECKING:
    from alexplore.network.analysis import Analysis, Row

Value = float | tuple[float, ...]


def _both(height: int, width: int) -> Value:
    return height if height == width else (height, width)


def _kernel(row: Row) -> Value | None:
    """Height, width and input channels of one kernel."""
    if not isinstance(row.layer, Conv2d) or row.input is None:
        return None
    return (*pair(row.layer.kernel_size), row.input[0] // row.layer.groups)


OF_A_LAYER: Mapping[str, Callable[[Row], Value | None]] = {
    "input": lambda row: row.input,
    "output": lambda row: row.output,
    "params": lambda row: row.params,
    "trainable_params": lambda row: row.trainable_params,
    "macs": lambda row: row.macs,
    "flops": lambda row: 2 * row.macs,
    "connections": lambda row: row.connections,
    "neurons": lambda row: row.neurons,
    "activation_bytes": lambda row: row.activation_bytes,
    "receptive_field": lambda row: _both(row.height.size, row.width.size),
    "jump": lambda row: _both(row.height.jump, row.width.jump),
    "exchange_bytes": lambda row: row.exchange_bytes,
    "kernel": _kernel,
    "init_std": lambda row: getattr(getattr(row.layer, "init", None), "std", None),
}
OF_THE_NETWORK: Mapping[str, Callable[[Analysis], Value | None]] = {
    "input": lambda analysis: analysis.network.input,
    "smallest_input": lambda analysis: analysis.smallest_input(),
    "params": lambda analysis: analysis.totals.params,
    "trainable_params": lambda analysis: analysis.totals.trainable_params,
    "macs": lambda analysis: analysis.totals.macs,
    "flops": lambda analysis: analysis.totals.flops,
    "connections": lambda analysis: analysis.totals.connections,
    "neurons": lambda analysis: analysis.totals.neurons,
    "weight_bytes": lambda analysis: analysis.totals.weight_bytes,
    "activation_bytes": lambda analysis: analysis.totals.activation_bytes,
}
MEASURED = (
    "top1_error", "top5_error", "top1_accuracy", "top5_accuracy", "train_accuracy", "test_accuracy", "train_loss",
    "images_per_second",
)  # fmt: skip
QUANTITIES = tuple(dict.fromkeys((*OF_A_LAYER, *OF_THE_NETWORK, *MEASURED)))


@dataclass(frozen=True)
class Published:
    """A number that a preset's source states; `layer` is None for one of the whole network.

    `within` is the relative difference up to which it counts as confirmed, for sources that round.
    """

    quantity: str = setting(choice(*QUANTITIES))
    value: Value = setting(numbers())
    layer: str | None = setting(optional(text()), None)
    within: float = setting(number(0, 1), 0.0)
    note: str | None = setting(optional(text()), None)

    @property
    def value_text(self) -> str:
        """The value: what was measured several times as a list, sizes as a shape."""
        return value_text(self.value, ", " if self.quantity in MEASURED else "×")

    def to_dict(self) -> dict[str, Any]:
        """One `[[published]]` table."""
        return settings_of(self, defaults=False)


def read_published(values: Mapping[str, Any]) -> Published:
    """The inverse of `Published.to_dict`.

    Raises:
        SettingError: an unknown key, a value that is not allowed, or a quantity that a layer, or a network, has not.
    """
    published = Published(**read_settings(Published, values))
    known = (*OF_THE_NETWORK, *MEASURED) if published.layer is None else tuple(OF_A_LAYER)
    if published.quantity not in known:
        whose = "the whole network (no layer is given)" if published.layer is None else f"layer {published.layer}"
        raise SettingError(f'quantity: found "{published.quantity}", allowed for {whose}: {", ".join(known)}')
    return published


class Checked(NamedTuple):
    """A published number beside ours. `confirmed` is None where arithmetic can't tell: only training measures it."""

    published: Published
    ours: Value | None
    confirmed: bool | None
    reason: str

    @property
    def verdict(self) -> str:
        """`confirmed`, `not confirmed` or `measured`."""
        return {True: "confirmed", False: "not confirmed", None: "measured"}[self.confirmed]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        ours = list(self.ours) if isinstance(self.ours, tuple) else self.ours
        return {**self.published.to_dict(), "ours": ours, "confirmed": self.confirmed, "reason": self.reason}


def check_published(published: tuple[Published, ...], analysis: Analysis) -> tuple[Checked, ...]:
    """Every published number of a preset beside the one that its network comes to."""
    return tuple(_check(one, analysis) for one in published)


def _check(published: Published, analysis: Analysis) -> Checked:
    if published.quantity in MEASURED:
        return Checked(published, None, None, "only training measures it")
    ours: Value | None
    if published.layer is None:
        ours = OF_THE_NETWORK[published.quantity](analysis)
    else:
        row = next((row for row in analysis.rows if row.layer.name == published.layer), None)
        if row is None:
            return Checked(published, None, False, f"there is no layer {published.layer} any more")
        if row.output is None:
            return Checked(published, None, False, "it can't be computed: this layer, or one before it, is broken")
        ours = OF_A_LAYER[published.quantity](row)
    if ours is None:
        return Checked(published, None, False, f"the network has no {published.quantity} here")
    return Checked(published, ours, *_judge(published, ours))


def _judge(published: Published, ours: Value) -> tuple[bool, str]:
    value = published.value
    if isinstance(ours, tuple) and len(ours) == 1:
        ours = ours[0]
    if isinstance(value, tuple) or isinstance(ours, tuple):
        same = value == ours
        return same, "ours is the same" if same else f"ours is {value_text(ours)}"
    if value == ours:
        return True, "ours is the same"
    if abs(ours - value) <= published.within * abs(value):
        return True, f"ours is {value_text(ours)}, within {100 * published.within:g} % of it"
    difference = f"{value_text(abs(ours - value))} {'more' if ours > value else 'less'}"
    return False, f"ours is {value_text(ours)}, {difference}"


def value_text(value: Value, between: str = "×") -> str:
    """290,400, or 96×55×55."""
    if isinstance(value, tuple):
        return between.join(f"{item:.15g}" for item in value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.15g}"


def published_text(checked: Checked) -> str:
    """✗ conv1 neurons 253,440: ours is 290,400, 36,960 more (the caption of figure 2 …)"""
    one = checked.published
    mark = {True: "✓", False: "✗", None: "·"}[checked.confirmed]
    where = f"{one.layer} " if one.layer else ""
    note = f" ({one.note})" if one.note else ""
    return f"{mark} {where}{one.quantity} {one.value_text}: {checked.reason}{note}"
