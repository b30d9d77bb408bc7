"""`alexplore predict`: the five most likely classes of images."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import combining, east_asian_width

import torch

from alexplore.core.boundary import print_data, print_error, run_guarded
from alexplore.core.inert import inert_line
from alexplore.training.commands.load_model import LoadedModel, load_model
from alexplore.training.data import Preprocess
from alexplore.training.data.images import open_image, why_unreadable
from alexplore.training.model.build import logits

if TYPE_CHECKING:
    from PIL import Image

CLASSES = 5
BAR_CELLS = 30  # of a probability of 1

Prediction = list[tuple[str, float]]
"""Classes with their probabilities, the most likely first."""


def predict() -> int:
    """Print the most likely classes of each image, with bars; return 1 if an image could not be read, else 0."""
    parser = argparse.ArgumentParser(prog="alexplore predict")
    parser.add_argument("source", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    loaded = load_model(arguments.source, arguments.weights)
    preprocess = Preprocess(loaded.config.recipe, loaded.config.network.input, loaded.dataset, loaded.device)
    failed = 0
    predictions = {}
    for path in arguments.images:
        try:
            with open_image(path) as image:
                predictions[str(path)] = predict_image(loaded, preprocess, image)
        except MemoryError:
            raise
        except Exception as error:  # a decoder raises anything when a file is damaged
            print_error(f"{path}: {why_unreadable(error)}")
            failed = 1
        else:
            if not arguments.json:
                print_data(f"{path}\n" + "\n".join(bars(predictions[str(path)])))
    if arguments.json:
        print_data(json.dumps(predictions, indent=1))
    return failed


def predict_image(loaded: LoadedModel, preprocess: Preprocess, image: Image.Image) -> Prediction:
    """Return the most likely classes of one image.

    Raises:
        OSError: the image is damaged (see `read_image`).
    """
    with torch.no_grad():
        outputs = logits(loaded.model, preprocess.test(preprocess.image(image)))
    classes = loaded.dataset.classes
    best = outputs.softmax(1)[0].topk(min(CLASSES, len(classes)))
    return [(classes[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


def bars(prediction: Prediction) -> list[str]:
    """Return a line for each class: its name, its probability and a bar."""
    prediction = [(inert_line(name), p) for name, p in prediction]
    width = max(_columns(name) for name, _ in prediction)
    return [
        f"  {name}{' ' * (width - _columns(name))}  {p:6.1%}  {'█' * round(BAR_CELLS * p)}" for name, p in prediction
    ]


def _columns(text: str) -> int:
    """Return the width of a text in a terminal: East Asian characters take two columns, combining ones none."""
    return sum(2 if east_asian_width(one) in "WF" else 0 if combining(one) else 1 for one in text)


if __name__ == "__main__":
    sys.exit(run_guarded(predict, print_error))
