"""The recipe and the registries that its keys choose from."""

from __future__ import annotations

from typing import Any

import pytest

from alexplore.core.settings import setting_fields
from alexplore.presets.datasets import DATASETS
from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.precisions import PRECISIONS
from alexplore.presets.recipe import Recipe, used_settings
from alexplore.presets.schedules import SCHEDULES, learning_rate

REGISTRIES = {"dataset": DATASETS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "precision": PRECISIONS}


@pytest.mark.parametrize("key", REGISTRIES)
def test_a_registry_is_what_its_key_of_the_recipe_allows(key: str) -> None:
    registry: Any = REGISTRIES[key]
    kind = setting_fields(Recipe)[key].metadata["kind"]
    assert kind.choices == tuple(registry)
    for name, entry in registry.items():
        assert entry.name == name
        assert entry.title


@pytest.mark.parametrize("registry", [OPTIMIZERS, SCHEDULES], ids=["optimizers", "schedules"])
def test_declared_settings_are_keys_of_the_recipe(registry: Any) -> None:
    for entry in registry.values():
        assert set(entry.settings) <= set(setting_fields(Recipe))
        assert len(set(entry.settings)) == len(entry.settings)


def test_used_settings_are_those_of_the_chosen_optimizer_and_schedule() -> None:
    plain = used_settings(Recipe(optimizer="adam", schedule="constant"))
    left_out = {"momentum", "step_epochs", "gamma", "patience", "reductions"}
    assert plain == tuple(key for key in setting_fields(Recipe) if key not in left_out)
    assert set(used_settings(Recipe(optimizer="sgd", schedule="plateau"))) - set(plain) == {
        "momentum", "gamma", "patience", "reductions",
    }  # fmt: skip
    assert set(used_settings(Recipe(optimizer="adamw", schedule="step"))) - set(plain) == {"step_epochs", "gamma"}


def test_what_a_registry_does_not_have_is_an_error_and_no_default() -> None:
    with pytest.raises(KeyError):
        Recipe(optimizer="rmsprop").optimizer_state  # noqa: B018
    with pytest.raises(KeyError):
        Recipe(precision="fp8").activation_bits  # noqa: B018
    with pytest.raises(KeyError):
        learning_rate(Recipe(schedule="cyclic"), 0, 5)


@pytest.mark.parametrize("entry", DATASETS.values(), ids=lambda entry: entry.name)
def test_what_is_known_of_a_data_set_fits_together(entry: Any) -> None:
    if entry.images is not None:
        assert not entry.needs_folder
        assert len(set(entry.images.classes)) == len(entry.images.classes)
        assert len(entry.images.mean) == len(entry.images.std) == entry.images.channels
        assert all(0 < value < 1 for value in (*entry.images.mean, *entry.images.std))
        assert min(*entry.images.size, entry.images.train, entry.images.val) > 0
