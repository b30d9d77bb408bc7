"""What is asked about images of one's own, and the advice about dark ones on light."""

from __future__ import annotations

from pathlib import Path

from alexplore.runs.directory import RunDirectory
from alexplore.runs.predictions import Prediction
from alexplore.tui.predicted_images import PredictedImages

DARK = Prediction("dark.png", (("Bag", 0.9),), dark_on_light=True)
LIGHT = Prediction("light.png", (("Shirt", 0.8),))


def test_a_file_is_asked_about_once_and_all_are_asked_again() -> None:
    images = PredictedImages(RunDirectory(Path("run")))
    for name in ("a.png", "b.png", "a.png"):
        images.ask(Path(name))
    assert images.start() == ["a.png", "b.png"]
    images.add(LIGHT)
    assert images.start() == ["a.png", "b.png"]
    assert images.predictions == []


def test_dark_images_on_light_are_counted_until_all_are_inverted() -> None:
    images = PredictedImages(RunDirectory(Path("run")))
    images.add(LIGHT)
    assert images.advice == ""
    images.add(DARK)
    assert images.advice.startswith("1 of 2 images are dark on light")
    images.invert = True
    assert images.advice == ""
