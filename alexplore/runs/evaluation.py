"""Measure the exact accuracy of a run on its validation images, in a separate process, which imports torch."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from alexplore.core.errors import AlexploreError
from alexplore.runs.directory import RunDirectory
from alexplore.runs.launch import command_line
from alexplore.runs.protocol import METRICS


class EvaluationError(AlexploreError):
    """The run can't be evaluated; the message says why."""


@dataclass(frozen=True)
class Evaluation:
    """Loss (nats an image) and accuracies (0 to 1) over so many `images`, with the weights of the checkpoint named."""

    images: int
    loss: float
    accuracy: float
    weights: str

    @property
    def text(self) -> str:
        """The evaluation in one line."""
        loss, accuracy = METRICS["val/loss"].number(self.loss), METRICS["val/acc"].number(self.accuracy)
        return f"evaluated on {self.images:,} validation images: {accuracy}, loss {loss} ({self.weights} weights)"


def evaluate_run(run: RunDirectory) -> Evaluation:
    """Return the evaluation of a run's best checkpoint. It takes as long as importing torch and a pass over the images.

    Raises:
        EvaluationError: see the message.
        RunError: PyTorch is not installed.
    """
    command = command_line("evaluate", ["--json", "--", str(run.path)])
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise EvaluationError(reason[0].removeprefix("error: "))
    values = json.loads(done.stdout)
    weights = str(values["weights"]).rsplit("/", 1)[-1]
    return Evaluation(values["images"], values["val/loss"], values["val/acc"], weights)
