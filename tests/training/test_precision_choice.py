"""How `auto` chooses a precision, with made-up timings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch

from alexplore.network.graph import Network
from alexplore.network.layers.batch_norm import BatchNorm
from alexplore.presets.precisions import MARGIN, PRECISIONS
from alexplore.presets.recipe import Recipe
from alexplore.runs.protocol import PrecisionEvent
from alexplore.training import precision_choice
from alexplore.training.data.dataset import Dataset, ResidentSplit
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.model.build import build
from alexplore.training.parallel.ranks import SINGLE_RANK, Ranks
from alexplore.training.precision import TYPES
from alexplore.training.precision_choice import choose_precision, kept_choice
from alexplore.training.timing import Comparison

CPU = torch.device("cpu")
AUTO = Recipe(batch_size=16)


@pytest.fixture(autouse=True)
def no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_choice, "matmul_peak", lambda device, precision: 1e12)


@pytest.fixture
def dataset() -> Dataset:
    split = ResidentSplit(torch.zeros(40, 1, 12, 12, dtype=torch.uint8), torch.zeros(40, dtype=torch.int64), CPU)
    return Dataset("made", tuple("0123456789"), 1, (0.5,), (0.5,), split, split, size=(12, 12))


@pytest.fixture
def small_norm(small: Network) -> Network:
    """The small network with a batch norm, whose statistics a forward pass changes."""
    return small.insert(0, BatchNorm(name="norm"))


Task = Callable[[], object]


def choose(
    monkeypatch: pytest.MonkeyPatch,
    network: Network,
    dataset: Dataset,
    *speedups: float,
    recipe: Recipe = AUTO,
    ranks: Ranks = SINGLE_RANK,
    seconds: float = 0.01,
) -> PrecisionEvent:
    """Choose a precision where one comparison after the other finds these speedups; fp32 takes `seconds`."""
    left = list(speedups)

    def compare(tasks: Mapping[str, Task], device: torch.device, slowest: object) -> Comparison:
        for task in tasks.values():
            task()
        speedup = left.pop(0)
        return Comparison({"fp32": seconds, "bf16": seconds / speedup}, speedup)

    monkeypatch.setattr(precision_choice, "compare", compare)
    model = build(network, 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = choose_precision(recipe, model, dataset, Preprocess(recipe, network.input, dataset, CPU), ranks)
    assert not left
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    return found


@pytest.mark.parametrize(
    ("speedup", "precision"), [(0.5, "fp32"), (1.0, "fp32"), (1.09, "fp32"), (MARGIN, "bf16"), (1.9, "bf16")]
)
def test_bf16_is_chosen_if_its_speedup_reaches_the_margin(
    monkeypatch: pytest.MonkeyPatch, small_norm: Network, dataset: Dataset, speedup: float, precision: str
) -> None:
    on_few = 1.0  # undecided, so the whole batch is timed
    speedups = (speedup,) if speedup <= 0.5 else (on_few, speedup)
    found = choose(monkeypatch, small_norm, dataset, *speedups)
    assert (found.precision, found.device, found.peak_flops) == (precision, "cpu", 1e12)
    assert found.images == (4 if len(speedups) == 1 else 16)
    assert found.speedup == speedup
    assert found.seconds == {"fp32": 0.01, "bf16": round(0.01 / speedup, 6)}


@pytest.mark.parametrize(("on_few", "precision"), [(0.1, "fp32"), (0.5, "fp32"), (2.0, "bf16"), (8.0, "bf16")])
def test_a_few_images_decide_if_one_precision_is_twice_as_fast(
    monkeypatch: pytest.MonkeyPatch, small_norm: Network, dataset: Dataset, on_few: float, precision: str
) -> None:
    found = choose(monkeypatch, small_norm, dataset, on_few)
    assert (found.precision, found.images) == (precision, 4)


@pytest.mark.parametrize(("seconds", "images"), [(1.0, 4), (0.79, 5), (0.4, 10), (0.25, 16), (0.01, 16)])
def test_as_many_images_are_timed_as_take_a_second(
    monkeypatch: pytest.MonkeyPatch, small: Network, dataset: Dataset, seconds: float, images: int
) -> None:
    speedups = (1.2,) if images == 4 else (1.2, 1.2)
    assert choose(monkeypatch, small, dataset, *speedups, seconds=seconds).images == images


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_small_batch_is_timed_once(
    monkeypatch: pytest.MonkeyPatch, small: Network, dataset: Dataset, batch_size: int
) -> None:
    found = choose(monkeypatch, small, dataset, 1.5, recipe=replace(AUTO, batch_size=batch_size))
    assert (found.precision, found.images) == ("bf16", batch_size)


@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_with_unequal_shares_compare_equally_often(
    monkeypatch: pytest.MonkeyPatch, small: Network, dataset: Dataset, rank: int
) -> None:
    """Of 9 images the first rank has 5 and the second 4: both take part in two comparisons, which wait for both."""
    found = choose(monkeypatch, small, dataset, 1.5, 1.5, recipe=replace(AUTO, batch_size=9), ranks=Ranks(rank, 2))
    assert found.images == 5 - rank


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_precision_that_the_recipe_names_is_not_timed(
    monkeypatch: pytest.MonkeyPatch, small: Network, dataset: Dataset, precision: str
) -> None:
    found = choose(monkeypatch, small, dataset, recipe=replace(AUTO, precision=precision))
    assert found == PrecisionEvent(precision, "cpu", 1e12)


CHOSEN = PrecisionEvent("bf16", "cpu", 1e12, 16, {"fp32": 0.2, "bf16": 0.1}, 2.0)


def test_a_resumed_run_keeps_the_choice() -> None:
    assert kept_choice(AUTO, CPU, CHOSEN) == replace(CHOSEN, kept=True)
    assert kept_choice(replace(AUTO, precision="bf16"), CPU, CHOSEN) == replace(CHOSEN, kept=True)


@pytest.mark.parametrize(
    ("recipe", "device", "event"),
    [(AUTO, CPU, None), (AUTO, torch.device("cuda"), CHOSEN), (replace(AUTO, precision="fp32"), CPU, CHOSEN)],
    ids=["no earlier attempt", "another device", "another precision asked for"],
)
def test_the_choice_is_made_again_if_it_does_not_apply(
    recipe: Recipe, device: torch.device, event: PrecisionEvent | None
) -> None:
    assert kept_choice(recipe, device, event) is None


def test_every_precision_but_auto_has_a_number_type_of_its_size() -> None:
    assert TYPES.keys() == PRECISIONS.keys() - {"auto"}
    for name, dtype in TYPES.items():
        assert 8 * dtype.itemsize == PRECISIONS[name].activation_bits
