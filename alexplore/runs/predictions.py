"""Classify images with a trained network, in a separate process, which imports torch."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from alexplore.core.picture import Picture
from alexplore.core.processes import starting
from alexplore.runs.commands import RUNNING, command_line


@dataclass(frozen=True)
class Prediction:
    """The most likely `classes` of an image with their probabilities, the most likely first.

    `dark_on_light` means that the image is dark on light, while the training images are light on dark. `picture` is the
    image as the network sees it, before its pixels are normalised; None unless it was requested.
    """

    image: str
    classes: tuple[tuple[str, float], ...]
    dark_on_light: bool = False
    inverted: bool = False
    picture: Picture | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction for a line of JSON."""
        return {
            "image": self.image,
            "classes": [list(one) for one in self.classes],
            "dark_on_light": self.dark_on_light,
            "inverted": self.inverted,
            "picture": self.picture.to_dict() if self.picture else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Prediction:
        """Return the prediction from the values of a line of JSON."""
        return cls(
            image=values["image"],
            classes=tuple((name, probability) for name, probability in values["classes"]),
            dark_on_light=values["dark_on_light"],
            inverted=values["inverted"],
            picture=Picture.from_dict(values["picture"]) if values["picture"] else None,
        )


class Predictions:
    """The predictions for some images: use it in a `with` statement and iterate over it.

    Leaving the block ends the process. Then `returncode` is its exit code, and `errors` is its stderr if `keep_errors`.
    """

    def __init__(
        self,
        source: Path,
        images: Sequence[str],
        *,
        weights: Path | None = None,
        invert: bool = False,
        pictures: bool = False,
        keep_errors: bool = False,
    ) -> None:
        """Prepare the process for the network of a run's folder, or of a preset file with `weights`.

        Raises:
            StartError: PyTorch is not installed.
        """
        options = [
            *(["--weights", str(weights)] if weights else []),
            *(["--invert"] if invert else []),
            *(["--show"] if pictures else []),
        ]
        self._command = command_line("predict", [*options, "--", str(source), *images])
        self._keep_errors = keep_errors
        self.returncode = 0
        self.errors = ""
        self._ended = False

    def __enter__(self) -> Self:
        """Start the process.

        Raises:
            StartError: no process can be started.
        """
        with starting("the process that predicts"):
            # A file: a pipe that nobody reads meanwhile would stop the process as soon as it is full.
            self._stderr = tempfile.TemporaryFile() if self._keep_errors else None
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                encoding="utf-8",
                errors="replace",
            )
        RUNNING.add(self._process)
        return self

    def __iter__(self) -> Iterator[Prediction]:
        """Yield the prediction for each image that could be read."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith("\n"):  # the process was killed as it wrote the line
                break
            yield Prediction.from_dict(json.loads(line))
        self._ended = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process if it still runs."""
        RUNNING.discard(self._process)
        if not self._ended:
            self._process.kill()
        self.returncode = self._process.wait()
        if self._stderr is not None:
            self._stderr.seek(0)
            self.errors = self._stderr.read().decode(errors="replace").strip()
            self._stderr.close()
