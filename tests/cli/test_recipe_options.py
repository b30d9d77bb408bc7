"""What a command line asks for in a recipe."""

from __future__ import annotations

import pytest

from alexplore.cli.recipe_options import recipe_changes
from alexplore.core.settings import SettingError


def test_options_and_assignments_come_together() -> None:
    assert recipe_changes({"lr": 0.1, "epochs": None}, ["training.epochs=3", "training.resize="]) == {
        "lr": 0.1,
        "epochs": 3,
        "resize": None,  # back to its default
    }
    assert recipe_changes({"lr": None}, None) == {}


@pytest.mark.parametrize("assignments", [["training.lr=0.2"], ["training.epochs=1", "training.epochs = 1"]])
def test_a_key_that_is_given_twice_is_named(assignments: list[str]) -> None:
    key = "lr" if len(assignments) == 1 else "epochs"
    with pytest.raises(SettingError, match=f"^{key} is given twice"):
        recipe_changes({"lr": 0.1}, assignments)
