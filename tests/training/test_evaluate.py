"""Evaluation counts every image once and exactly."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.presets.recipe import Recipe
from alexplore.training.data.dataset import Dataset, ResidentSplit
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.evaluate import evaluate
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.precision import Precision

CPU = torch.device("cpu")
FP32 = Precision("fp32", CPU)


class Picture(nn.Module):
    """Scores that depend on where a pixel is, so that crops differ; drops values while training."""

    def __init__(self, pixels: int, classes: int) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.flat, self.drop, self.fc = nn.Flatten(), nn.Dropout(0.5), nn.Linear(pixels, classes)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.fc(self.drop(self.flat(images)))
        return scores


def dataset(count: int, classes: int, size: int) -> Dataset:
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (count, 1, size, size), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, classes, (count,), generator=generator)
    split = ResidentSplit(images, labels, CPU)
    names = tuple(map(str, range(classes)))
    return Dataset("drawn", names, 1, (0.5,), (0.5,), split, split, size=(size, size))


@pytest.mark.parametrize(("count", "classes"), [(23, 12), (16, 10), (5, 3)])
def test_counts_and_loss_equal_those_of_one_large_batch(count: int, classes: int) -> None:
    data = dataset(count, classes, 4)
    preprocess = Preprocess(Recipe(), (1, 4, 4), data, CPU)
    model = Picture(16, classes).train()
    result = evaluate(model, data.val, preprocess, FP32, batch_size=8)
    assert model.training
    images, labels = next(data.val.batches(torch.arange(count), count))
    model.eval()
    scores = model(images.float() / 255)
    assert result.images == count
    assert result.loss == pytest.approx(F.cross_entropy(scores, labels).item(), rel=1e-5)
    ranks = (scores >= scores.gather(1, labels[:, None])).sum(1)  # 1 for the likeliest
    assert result.correct == int((ranks == 1).sum())
    assert result.correct_top5 == int((ranks <= 5).sum())


def test_the_loss_of_ten_crops_is_finite_for_tiny_probabilities() -> None:
    data = dataset(3, 2, 6)
    model = Picture(16, 2)
    model.load_state_dict(
        {"fc.weight": torch.zeros(2, 16), "fc.bias": torch.tensor([0.0, 200.0])}  # e⁻²⁰⁰ is no fp32 number
    )
    preprocess = Preprocess(Recipe(resize=6, random_crop=True), (1, 4, 4), data, CPU)
    result = evaluate(model, data.val, preprocess, FP32, batch_size=3, ten_crops=True)
    _, labels = next(data.val.batches(torch.arange(3), 3))
    assert (labels == 0).any()
    assert result.loss == pytest.approx(200 * (labels == 0).double().mean().item())


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize(("count", "batch"), [(23, 8), (16, 8), (3, 5), (1, 5)])
def test_ranks_count_every_image_once(size: int, count: int, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset(count, 10, 4)
    preprocess = Preprocess(Recipe(), (1, 4, 4), data, CPU)
    model = Picture(16, 10)
    whole = evaluate(model, data.val, preprocess, FP32, batch_size=batch)
    monkeypatch.setattr(Ranks, "sum", lambda self, values: values)
    calls: list[int] = []
    parts = []
    for rank in range(size):
        calls.append(0)

        def after_batch(rank: int = rank) -> None:
            calls[rank] += 1

        ranks = Ranks(rank, size)
        parts.append(
            evaluate(model, data.val, preprocess, FP32, batch_size=batch, ranks=ranks, after_batch=after_batch)
        )
    assert sum(part.images for part in parts) == count
    assert sum(part.correct for part in parts) == whole.correct
    assert sum(part.correct_top5 for part in parts) == whole.correct_top5
    assert sum(part.loss_sum for part in parts) == pytest.approx(whole.loss_sum)
    assert len(set(calls)) == 1  # or a rank would wait for the others for ever


def test_ten_crops_average_probabilities() -> None:
    data = dataset(6, 10, 8)
    preprocess = Preprocess(Recipe(resize=8, random_crop=True), (1, 5, 5), data, CPU)
    model = Picture(25, 10)
    result = evaluate(model, data.val, preprocess, FP32, batch_size=4, ten_crops=True)
    images, labels = next(data.val.batches(torch.arange(6), 6))
    pixels = images.float() / 255
    views = []
    for top, left in ((0, 0), (0, 3), (3, 0), (3, 3), (1, 1)):
        view = pixels[:, :, top : top + 5, left : left + 5]
        views += [view, view.flip(3)]
    mean = sum(model.eval()(view).softmax(1) for view in views) / 10
    assert isinstance(mean, Tensor)
    assert result.loss == pytest.approx(F.nll_loss(mean.log(), labels).item(), rel=1e-4)
    assert result.correct == int((mean.argmax(1) == labels).sum())
