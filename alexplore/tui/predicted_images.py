"""The images that were classified with a run's network: the requested files, the predictions, and the selection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alexplore.runs.directory import RunDirectory
from alexplore.runs.predictions import Prediction


class PredictedImages:
    """Predictions for the user's own images; `invert` inverts the pixels of all images."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.invert = False
        self.asked: list[str] = []  # files and folders
        self.predictions: list[Prediction] = []
        self.request = 0  # how often they were classified; what earlier processes say does not count any more

    def ask(self, path: Path) -> None:
        """Add a file or folder to classify."""
        if str(path) not in self.asked:
            self.asked.append(str(path))

    def start(self) -> Sequence[str]:
        """Delete the predictions, and return the files to classify again."""
        self.predictions = []
        self.request += 1
        return list(self.asked)

    def add(self, prediction: Prediction) -> None:
        """Add a prediction."""
        self.predictions.append(prediction)

    @property
    def advice(self) -> str:
        """What to try if images are dark on light and those of the data set are not; "" otherwise."""
        if self.invert or not (dark := sum(one.dark_on_light for one in self.predictions)):
            return ""
        images = "this image is" if len(self.predictions) == 1 else f"{dark} of {len(self.predictions)} images are"
        return f"{images} dark on light, and those of the data set are light on dark: v inverts"
