"""`alexplore predict`: the five likeliest classes of images."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from unicodedata import combining, east_asian_width

import torch
from PIL import Image

from alexplore.core.boundary import print_error, run_guarded
from alexplore.training.commands.trained import Trained, load_trained
from alexplore.training.data import Preprocess
from alexplore.training.data.images import why_unreadable
from alexplore.training.model.build import logits

LIKELIEST = 5
BAR = 30


def predict() -> int:
    """Print each image's likeliest classes with bars; 1 where an image could not be read."""
    parser = argparse.ArgumentParser(prog="alexplore predict")
    parser.add_argument("source", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    trained = load_trained(arguments.source, arguments.weights)
    preprocess = Preprocess(trained.config.recipe, trained.config.network.input, trained.dataset, trained.device)
    failed = 0
    answers = {}
    for path in arguments.images:
        try:
            with Image.open(path) as image:
                answers[str(path)] = likeliest(trained, preprocess, image)
        except MemoryError:
            raise
        except Exception as error:  # (decoders meet damage with whatever they stumble over)
            print(f"error: {path}: {why_unreadable(error)}", file=sys.stderr)
            failed = 1
        else:
            if not arguments.json:
                print(f"{path}\n" + "\n".join(bars(answers[str(path)])))
    if arguments.json:
        print(json.dumps(answers, ensure_ascii=False, indent=1))
    return failed


def likeliest(trained: Trained, preprocess: Preprocess, image: Image.Image) -> list[tuple[str, float]]:
    """The likeliest classes of one image with their probabilities, the likeliest first."""
    with torch.no_grad():
        outputs = logits(trained.model, preprocess.test(preprocess.image(image)))
    classes = trained.dataset.classes
    best = outputs.softmax(1)[0].topk(min(LIKELIEST, len(classes)))
    return [(classes[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


def bars(answers: list[tuple[str, float]]) -> list[str]:
    """A line for each class: its name, its probability, and a bar."""
    width = max(_columns(name) for name, _ in answers)
    return [f"  {name}{' ' * (width - _columns(name))}  {p:6.1%}  {'█' * round(BAR * p)}" for name, p in answers]


def _columns(text: str) -> int:
    """How wide a terminal shows a text: East Asian characters take two columns, accents none."""
    return sum(2 if east_asian_width(one) in "WF" else 0 if combining(one) else 1 for one in text)


if __name__ == "__main__":
    sys.exit(run_guarded(predict, print_error))
