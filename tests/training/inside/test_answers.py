"""The confusion matrix and the worst mistakes, against all answers at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from alexplore.training.inside.answers import MISTAKES, MOST_CLASSES, Answers, as_picture
from alexplore.training.parallel.ranks import SINGLE_RANK

CPU = torch.device("cpu")


def drawn(count: int, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    images = torch.randint(0, 256, (count, 1, 5, 4), dtype=torch.uint8)
    return images, torch.randint(0, classes, (count,)), torch.randn(count, classes).mul(3).log_softmax(1)


def collected(images: Tensor, labels: Tensor, scores: Tensor, batch: int) -> Answers:
    answers = Answers(scores.shape[1], CPU)
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        answers.add(images[part], labels[part], scores[part], torch.arange(len(images))[part])
    return answers


@pytest.mark.parametrize(("count", "classes", "batch"), [(100, 10, 7), (5, 3, 8), (40, 2, 40)])
def test_the_worst_mistakes_of_all_batches_are_kept(count: int, classes: int, batch: int) -> None:
    images, labels, scores = drawn(count, classes)
    answers = collected(images, labels, scores, batch)
    losses = {
        index: -float(scores[index, label])
        for index, label in enumerate(labels.tolist())
        if int(scores[index].argmax()) != label
    }
    worst = sorted(losses, key=lambda index: -losses[index])[:MISTAKES]
    found = answers.mistakes(SINGLE_RANK, lambda pictures: pictures, lambda index: f"{index}.png")
    assert [mistake.index for mistake in found] == worst
    for mistake in found:
        assert mistake.name == f"{mistake.index}.png"
        assert mistake.truth == labels[mistake.index]
        assert mistake.guess == scores[mistake.index].argmax() != mistake.truth
        assert mistake.loss == pytest.approx(losses[mistake.index])
        assert mistake.picture.data == images[mistake.index].numpy().tobytes()
        assert sum(share for _, share in mistake.probabilities) == pytest.approx(1) or classes > 5


@pytest.mark.parametrize("classes", [3, 10, MOST_CLASSES + 10])
def test_the_matrix_counts_every_image(classes: int) -> None:
    images, labels, scores = drawn(500, classes)
    confusion = collected(images, labels, scores, 64).confusion(SINGLE_RANK)
    assert confusion is not None
    guesses = scores.argmax(1)
    assert len(confusion.classes) == min(classes, MOST_CLASSES)
    for i, truth in enumerate(confusion.classes):
        assert confusion.images[i] == int((labels == truth).sum())
        for j, guess in enumerate(confusion.classes):
            assert confusion.counts[i, j] == int(((labels == truth) & (guesses == guess)).sum())


def test_no_matrix_is_counted_of_very_many_classes() -> None:
    images, labels, scores = drawn(20, 1001)
    answers = collected(images, labels, scores, 8)
    assert answers.confusion(SINGLE_RANK) is None
    assert len(answers.mistakes(SINGLE_RANK, lambda pictures: pictures, lambda index: None)) == MISTAKES


def test_an_evaluation_without_mistakes_has_none() -> None:
    images, labels, _ = drawn(20, 10)
    scores = torch.eye(10)[labels].mul(20).log_softmax(1)
    answers = collected(images, labels, scores, 8)
    assert answers.mistakes(SINGLE_RANK, lambda pictures: pictures, lambda index: None) == ()
    assert Answers(10, CPU).mistakes(SINGLE_RANK, lambda pictures: pictures, lambda index: None) == ()


def test_a_picture_of_two_channels_is_their_mean() -> None:
    pixels = torch.tensor([[[10, 20]], [[30, 40]]], dtype=torch.uint8)
    assert as_picture(pixels).data == bytes((20, 30))
    assert as_picture(pixels.repeat(2, 1, 1)[:3]).data == bytes((10, 30, 10, 20, 40, 20))


def test_a_picture_has_its_pixels_in_rows() -> None:
    pixels = torch.arange(2 * 3 * 3, dtype=torch.uint8).view(3, 2, 3)  # channels, height, width
    picture = as_picture(pixels)
    assert (picture.height, picture.width, picture.channels) == (2, 3, 3)
    assert picture.pixel(1, 2) == (5, 11, 17)
