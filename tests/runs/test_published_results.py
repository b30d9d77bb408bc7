"""Published results as values of our metrics."""

from __future__ import annotations

import pytest

from alexplore.presets.library import load_preset, shipped_names
from alexplore.presets.published import MEASURED, Published
from alexplore.runs.published_results import RESULTS, published_results


def test_the_paper_and_the_tutorials_state_these_results() -> None:
    """Krizhevsky et al. 2012, table 2: 40.7 % and 18.2 %; Dive into Deep Learning and its log."""
    paper = published_results(load_preset("paper").published)
    assert {key: pytest.approx(values) for key, values in paper.items()} == {"val/acc": (0.593,), "val/acc5": (0.818,)}
    assert published_results(load_preset("fmnist").published) == {"val/acc": (0.884,), "train/acc": (0.879,)}
    log = published_results(load_preset("fmnist-valid").published)
    assert log["val/acc"] == (0.858, 0.888, 0.895, 0.904, 0.906)


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_results_are_shares_from_0_to_1(name: str) -> None:
    results = published_results(load_preset(name).published)
    assert all(0 < value < 1 for values in results.values() for value in values)


def test_every_measured_quantity_but_the_speed_is_a_result() -> None:
    assert set(MEASURED) - RESULTS.keys() == {"images_per_second"}


def test_numbers_of_layers_are_no_results() -> None:
    assert published_results([Published(quantity="params", value=7), Published(quantity="train_loss", value=0.5)]) == {
        "train/loss": (0.5,)
    }
