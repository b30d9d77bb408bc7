"""The changes of a recipe on a command line, by its own options and by --set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alexplore.cli.options import given
from alexplore.core.settings import SettingError, setting_fields
from alexplore.presets.recipe import Recipe, parse_assignments


def recipe_changes(options: Mapping[str, Any], assignments: Sequence[str] | None) -> dict[str, Any]:
    """Return the changes to a recipe by given options and by --set.

    Raises:
        SettingError: a key is given twice, has no value, or is not of the form training.KEY=VALUE.
    """
    changes = given(**options)
    fields = setting_fields(Recipe)
    for assignment in assignments or ():
        for key, value in parse_assignments([assignment]).items():
            if key in changes:
                raise SettingError(
                    f"{key} is given twice: give it once, by --set training.{key} or an option of its own"
                )
            if value is None and key in fields and fields[key].default is not None:
                raise SettingError(
                    f"--set {assignment}: the value is empty, allowed: {fields[key].metadata['kind'].allowed}"
                )
            changes[key] = value
    return changes
