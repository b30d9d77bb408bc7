"""Class weights, compared with PyTorch's loss and with the formula of scikit-learn."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from alexplore.core.settings import SettingError
from alexplore.presets.recipe import Recipe, read_recipe
from alexplore.training.class_weights import LossDivisor, class_weights
from alexplore.training.objective import Objective
from alexplore.training.precision import Precision

LABELS = torch.tensor([0, 0, 0, 0, 0, 0, 2, 2, 3])


def test_balanced_weights_are_inverse_to_the_number_of_images() -> None:
    found = class_weights(Recipe(class_weights="balanced"), LABELS, 4)
    assert found is not None
    assert found.tolist() == pytest.approx([9 / (3 * 6), 1, 9 / (3 * 2), 9 / (3 * 1)])
    assert float(found[LABELS].sum()) == pytest.approx(9)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_and_gradients_are_those_of_the_weighted_mean(smoothing: float) -> None:
    """Of PyTorch's CrossEntropyLoss(weight), whose mean divides by the weights of the images."""
    recipe = Recipe(class_weights=(0.5, 2.0, 1.0, 4.0), label_smoothing=smoothing)
    weights = class_weights(recipe, LABELS, 4)
    assert weights is not None
    model = nn.Linear(5, 4)
    inputs = torch.randn(len(LABELS), 5)
    loss, _ = Objective(model, recipe, Precision("fp32", torch.device("cpu")), weights)(inputs, LABELS)
    mean = loss / LossDivisor(weights, LABELS).of(torch.arange(len(LABELS)))
    (found,) = torch.autograd.grad(mean, model.weight)
    expected = F.cross_entropy(model(inputs), LABELS, torch.tensor([0.5, 2.0, 1.0, 4.0]), label_smoothing=smoothing)
    torch.testing.assert_close(mean, expected)
    torch.testing.assert_close(found, torch.autograd.grad(expected, model.weight)[0])


def test_without_weights_the_divisor_is_the_number_of_images() -> None:
    assert class_weights(Recipe(), LABELS, 4) is None
    assert LossDivisor(None, LABELS).of(torch.tensor([3, 3, 8])) == 3


def test_another_number_of_weights_is_refused() -> None:
    with pytest.raises(SettingError, match="2 weights, but the data set has 4 classes"):
        class_weights(Recipe(class_weights=(1.0, 2.0)), LABELS, 4)


@pytest.mark.parametrize("value", ["even", [], [1, 0], [1, "2"], 3, True])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(SettingError, match=r'class_weights: found .*, allowed: "balanced", or a list'):
        read_recipe({"class_weights": value})


def test_weights_are_written_as_a_list() -> None:
    recipe = read_recipe({"class_weights": [1, 2.5]})
    assert recipe.class_weights == (1.0, 2.5)
    assert read_recipe(recipe.to_dict()) == recipe
