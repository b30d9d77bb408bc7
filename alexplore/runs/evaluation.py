"""The figures of a trained network on labelled images, measured by a separate process, which imports torch.

The figures are those of torchmetrics; what follows from the confusion matrix is calculated here.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import PurePath
from statistics import NormalDist
from typing import Any

from alexplore.core.errors import FAILED
from alexplore.core.inert import inert_line
from alexplore.core.processes import CommandError
from alexplore.runs.commands import command_output
from alexplore.runs.directory import RunDirectory
from alexplore.runs.metrics import METRICS

CALIBRATION_BINS = 15
CONFIDENCE = 0.95
MISTAKES = 20
"""The worst mistakes that an evaluation lists."""


@dataclass(frozen=True)
class Mistake:
    """A wrongly classified image, with the probabilities of the predicted class and of its label.

    `image` is its path in an image folder, else its number, such as `#17`.
    """

    image: str
    label: str
    predicted: str
    probability: float
    label_probability: float


@dataclass(frozen=True)
class ClassFigures:
    """The figures of one class. Shares are from 0 to 1, and 0 if there are no images, as in torchmetrics."""

    name: str
    images: int
    """Images of this class."""

    predicted: int
    """Images that are predicted as this class."""

    correct: int
    """Images of this class that are predicted as this class."""

    mistaken_for: str | None = None
    """The class that most of its misclassified images are mistaken for."""

    @property
    def precision(self) -> float:
        """Share of the images predicted as this class that are of this class."""
        return self.correct / max(1, self.predicted)

    @property
    def recall(self) -> float:
        """Share of the images of this class that are predicted as this class."""
        return self.correct / max(1, self.images)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.correct / max(1, self.images + self.predicted)


@dataclass(frozen=True)
class Evaluation:
    """Figures over the images of a data set, with the weights of a checkpoint or file."""

    dataset: str
    crops: str
    """The part of each image that was classified: `whole images`, `the centre` or `ten crops`."""

    weights: str
    classes: tuple[str, ...]
    loss: float
    """Mean cross-entropy of an image, in nats."""

    accuracy_top5: float | None
    """Share of the images whose label is among the five most likely classes; None with few classes."""

    calibration_error: float
    """Expected calibration error, from 0 to 1: see `alexplore.training.evaluation_figures`."""

    confusion: tuple[tuple[int, ...], ...]
    """`confusion[i][j]` images of class i are predicted as class j."""

    mistakes: tuple[Mistake, ...] = ()
    """The mistakes with the lowest probabilities of their labels, the lowest first."""

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(map(sum, self.confusion))

    @property
    def accuracy(self) -> float:
        """Share of the images whose most likely class is their label."""
        return sum(row[index] for index, row in enumerate(self.confusion)) / max(1, self.images)

    @property
    def by_class(self) -> tuple[ClassFigures, ...]:
        """The figures of each class, in the order of `classes`."""
        predicted = [sum(column) for column in zip(*self.confusion, strict=True)]
        return tuple(
            ClassFigures(name, sum(row), predicted[index], row[index], self._mistaken_for(index))
            for index, (name, row) in enumerate(zip(self.classes, self.confusion, strict=True))
        )

    def _mistaken_for(self, index: int) -> str | None:
        others = [(count, -other) for other, count in enumerate(self.confusion[index]) if other != index and count]
        return self.classes[-max(others)[1]] if others else None

    @property
    def means(self) -> dict[str, float]:
        """Precision, recall and F1, each the mean over the classes that have images or are predicted."""
        found = [one for one in self.by_class if one.images or one.predicted]
        count = max(1, len(found))
        return {key: sum(getattr(one, key) for one in found) / count for key in ("precision", "recall", "f1")}

    @property
    def text(self) -> str:
        """The evaluation in one line."""
        loss, accuracy = METRICS["val/loss"].number(self.loss), METRICS["val/acc"].number(self.accuracy)
        weights = PurePath(self.weights).name
        return f"evaluated on {self.images:,} validation images: {accuracy}, loss {loss} ({weights} weights)"

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation for JSON, with the values calculated from it."""
        top5 = {} if self.accuracy_top5 is None else {"val/acc5": self.accuracy_top5}
        return {
            "val/loss": self.loss,
            "val/acc": self.accuracy,
            "val/acc_interval": list(accuracy_interval(self.accuracy, self.images)),
            **top5,
            "calibration_error": self.calibration_error,
            "images": self.images,
            "dataset": self.dataset,
            "crops": self.crops,
            "weights": self.weights,
            "classes": list(self.classes),
            "means": self.means,
            "by_class": [
                {"class": one.name, "images": one.images, "predicted": one.predicted, "correct": one.correct,
                 "precision": one.precision, "recall": one.recall, "f1": one.f1}
                for one in self.by_class
            ],
            "confusion": [list(row) for row in self.confusion],
            "mistakes": [vars(mistake) for mistake in self.mistakes],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """Return the evaluation from the values that `to_dict` returned."""
        return cls(
            dataset=values["dataset"],
            crops=values["crops"],
            weights=values["weights"],
            classes=tuple(values["classes"]),
            loss=values["val/loss"],
            accuracy_top5=values.get("val/acc5"),
            calibration_error=values["calibration_error"],
            confusion=tuple(map(tuple, values["confusion"])),
            mistakes=tuple(Mistake(**mistake) for mistake in values["mistakes"]),
        )


def accuracy_interval(accuracy: float, images: int) -> tuple[float, float]:
    """Return the bounds of the 95 % confidence interval of an accuracy that was measured on some images.

    Source: Wilson, "Probable Inference", 1927.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    count = max(1, images)
    centre = accuracy + z * z / (2 * count)
    spread = z * math.sqrt(accuracy * (1 - accuracy) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


@dataclass(frozen=True)
class ImagePrediction:
    """The probability of each class for one image. `label` is None if the image has no label."""

    image: str
    label: str | None
    probabilities: tuple[float, ...]

    def predicted(self, classes: Sequence[str]) -> tuple[str, float]:
        """Return the most likely of the classes, and its probability."""
        best = max(range(len(classes)), key=self.probabilities.__getitem__)
        return classes[best], self.probabilities[best]


@dataclass(frozen=True)
class EvaluationAnswer:
    """What the process of an evaluation prints: figures of labelled images, and predictions if they were requested.

    `evaluation` is None for images without labels.
    """

    classes: tuple[str, ...]
    evaluation: Evaluation | None
    predictions: tuple[ImagePrediction, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The JSON object that the process printed."""

    @classmethod
    def from_json(cls, content: str) -> EvaluationAnswer:
        """Return the answer in a text of JSON."""
        values = json.loads(content)
        return cls(
            tuple(values["classes"]),
            Evaluation.from_dict(values) if "confusion" in values else None,
            tuple(
                ImagePrediction(one["image"], one.get("label"), tuple(one["probabilities"]))
                for one in values.get("predictions", ())
            ),
            values,
        )


def predictions_csv(answer: EvaluationAnswer) -> str:
    """Return the predictions as CSV: a row for each image, with its label if it has one; a column for each class."""
    output = StringIO()
    writer = csv.writer(output, lineterminator="\n")
    titles = ("image", "label", "predicted", "probability", *(f"p({name})" for name in answer.classes))
    writer.writerow(map(inert_line, titles))
    for one in answer.predictions:
        name, probability = one.predicted(answer.classes)
        texts = map(inert_line, (one.image, one.label or "", name))
        writer.writerow((*texts, *(f"{p:.9g}" for p in (probability, *one.probabilities))))
    return output.getvalue()


def ask_for_evaluation(arguments: Sequence[str], *, keep_errors: bool = False) -> EvaluationAnswer:
    """Evaluate a network in a process that imports torch, and return its answer.

    `arguments` are those of `alexplore.training.commands.evaluate`. The process's stderr is this one's, unless
    `keep_errors`: then its last line is the message of the error.

    Raises:
        CommandError: the evaluation failed.
        StartError: PyTorch is not installed.
    """
    return EvaluationAnswer.from_json(command_output("evaluate", arguments, keep_errors=keep_errors))


def evaluate_run(run: RunDirectory) -> Evaluation:
    """Return the evaluation of a run's best checkpoint on its validation images.

    Raises:
        CommandError: the evaluation failed, or the run has no labelled images.
        StartError: PyTorch is not installed.
    """
    answer = ask_for_evaluation(["--", str(run.path)], keep_errors=True)
    if answer.evaluation is None:
        raise CommandError(f"{run.name} has no labelled images to evaluate on", FAILED)
    return answer.evaluation
