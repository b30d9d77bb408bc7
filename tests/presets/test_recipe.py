"""The recipe and the registries that its keys choose from."""

from __future__ import annotations

import dataclasses
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


OTHER_VALUES: dict[str, Any] = {
    "warmup_epochs": 2.0,
    "step_epochs": 1,
    "gamma": 0.5,
    "patience": 0,
    "reductions": 1,
    "momentum": 0.5,
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_depends_on_the_settings_that_it_declares_and_on_no_other(name: str) -> None:
    """Patience and reductions of `plateau` take effect through `Plateau`, which has tests of its own."""
    recipe = Recipe(schedule=name, epochs=6, lr=1.0, step_epochs=2)

    def rates(recipe: Recipe) -> list[float]:
        return [learning_rate(recipe, step, 5, reductions=step // 5) for step in range(5 * recipe.epochs)]

    for key, value in OTHER_VALUES.items():
        changed = rates(dataclasses.replace(recipe, **{key: value})) != rates(recipe)
        assert changed == (key in SCHEDULES[name].settings and key not in ("patience", "reductions")), key


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_begins_with_lr_after_the_warmup_and_stays_positive(name: str) -> None:
    recipe = Recipe(schedule=name, epochs=6, lr=0.2, warmup_epochs=2.0)
    rates = [learning_rate(recipe, step, 5) for step in range(30)]
    assert rates[:11] == pytest.approx([0.02 * (step + 1) for step in range(10)] + [0.2])
    assert all(0 < rate <= 0.2 for rate in rates)


def test_what_a_registry_does_not_have_is_an_error_and_no_default() -> None:
    with pytest.raises(KeyError):
        Recipe(optimizer="rmsprop").optimizer_state  # noqa: B018
    with pytest.raises(KeyError):
        Recipe(precision="fp8").activation_bits  # noqa: B018
    with pytest.raises(KeyError):
        learning_rate(Recipe(schedule="cyclic"), 0, 5)


@pytest.mark.parametrize("entry", DATASETS.values(), ids=lambda entry: entry.name)
def test_what_is_known_of_a_data_set_fits_together(entry: Any) -> None:
    assert entry.origin
    if entry.images is not None:
        assert not entry.needs_folder
        assert len(set(entry.images.classes)) == len(entry.images.classes)
        assert len(entry.images.mean) == len(entry.images.std) == entry.images.channels
        assert all(0 < value < 1 for value in (*entry.images.mean, *entry.images.std))
        assert min(*entry.images.size, entry.images.train, entry.images.val) > 0
