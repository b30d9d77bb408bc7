"""Change the recipe of a run while it is trained.

config.json holds the current recipe, and every change made during training, with its step and the values before it. So
a run that resumes from a checkpoint before a change repeats the change at the same step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alexplore.core.settings import SettingError, found_text, nearest, parse_text, setting_fields
from alexplore.presets.recipe import Recipe, change_recipe

STEERABLE = (
    "lr", "epochs", "schedule", "warmup_epochs", "step_epochs", "gamma", "patience", "reductions", "checkpoint_minutes",
)  # fmt: skip
"""Keys of a recipe that a worker reads again at every step."""


@dataclass(frozen=True)
class RecipeChange:
    """A change of recipe values during training.

    The values `before` hold up to the update number `step`, the values `after` from the next update on.
    """

    step: int
    before: Mapping[str, Any] = field(hash=False)
    after: Mapping[str, Any] = field(hash=False)

    def without(self, keys: Sequence[str]) -> RecipeChange:
        """Return the change without some keys."""
        before, after = (
            {key: value for key, value in values.items() if key not in keys} for values in (self.before, self.after)
        )
        return RecipeChange(self.step, before, after)

    def to_dict(self) -> dict[str, Any]:
        """Return the change for config.json."""
        return {"step": self.step, "before": dict(self.before), "after": dict(self.after)}


def read_changes(values: Any) -> tuple[RecipeChange, ...]:
    """Return the changes that config.json holds, in the order of their steps.

    Raises:
        SettingError: one is damaged.
    """
    if not isinstance(values, list):
        raise SettingError(f"changes: found {found_text(values)}, allowed: a list")
    changes = []
    for value in values:
        step, before, after = (
            value.get(key) if isinstance(value, dict) else None for key in ("step", "before", "after")
        )
        if type(step) is not int or step < 0 or not isinstance(before, dict) or not isinstance(after, dict):
            raise SettingError(f"changes: found {found_text(value)}, allowed: a table with step, before and after")
        for part in (before, after):
            change_recipe(Recipe(), part)
        changes.append(RecipeChange(step, before, after))
    return tuple(sorted(changes, key=lambda change: change.step))


def recipe_at(recipe: Recipe, changes: Sequence[RecipeChange], step: int) -> Recipe:
    """Return the recipe of the update after `step` updates; `recipe` is the one after all changes."""
    for change in reversed(changes):
        if change.step > step:
            recipe = change_recipe(recipe, change.before)
    return recipe


def add_change(
    recipe: Recipe, changes: Sequence[RecipeChange], step: int, values: Mapping[str, Any]
) -> tuple[Recipe, tuple[RecipeChange, ...]]:
    """Add a change at a step, and return the recipe and the changes after it.

    Changes of the same keys at later steps are dropped: they were made before the run was resumed from an earlier step.

    Raises:
        SettingError: a key is unknown or a value is not allowed.
    """
    now = recipe_at(recipe, changes, step)
    changed = change_recipe(now, values)
    change = RecipeChange(
        step, {key: getattr(now, key) for key in values}, {key: getattr(changed, key) for key in values}
    )
    earlier = [other for other in changes if other.step <= step]
    later = [rest for other in changes if other.step > step and (rest := other.without(tuple(values))).after]
    return change_recipe(recipe, values), (*earlier, change, *later)


def check_steering(recipe: Recipe, values: Mapping[str, Any], least_epochs: int) -> None:
    """Check the changes that are requested of a run in training; `least_epochs` is the number of its current epoch.

    Raises:
        SettingError: a key can't be changed during training, or a value is not allowed.
    """
    if not values:
        raise SettingError("nothing to change; allowed: KEY=VALUE, such as lr=0.003 or epochs=20")
    for key in values:
        if key not in STEERABLE:
            known = key in setting_fields(Recipe)
            reason = " can't be changed while a run is trained." if known else f": unknown{nearest(key, STEERABLE)}"
            raise SettingError(f"{key}{reason} Allowed: {', '.join(STEERABLE)}")
    changed = change_recipe(recipe, values)
    if changed.epochs < least_epochs:
        raise SettingError(
            f"epochs: found {changed.epochs}, allowed: {least_epochs} or more: epoch {least_epochs} is being trained"
        )
    if changed.swa_epochs is not None and changed.swa_epochs > changed.epochs:
        raise SettingError(
            f"epochs: found {changed.epochs}, allowed: {changed.swa_epochs} or more: swa_epochs of them are averaged"
        )


def parse_changes(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the values in assignments such as `lr=0.003` or `training.lr=0.003`.

    Raises:
        SettingError: an assignment has another form, or a key is given twice.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        key = name.strip().removeprefix("training.")
        if not equals or not key or not text.strip():
            raise SettingError(f"{assignment!r}: allowed: KEY=VALUE, such as lr=0.003 or epochs=20")
        if key in values:
            raise SettingError(f"{key} is given twice")
        values[key] = parse_text(text)
    return values
