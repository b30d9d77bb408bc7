"""`alexplore predict`: the five most likely classes of images."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from alexplore.core.boundary import print_data, print_error, print_note, run_guarded
from alexplore.core.errors import DONE, FAILED, WRONG_USE
from alexplore.core.process_exit import exit_process
from alexplore.presets.datasets import DATASETS
from alexplore.runs.data.image_layout import LeftOut, find_pictures
from alexplore.runs.predictions import Prediction
from alexplore.training.commands.load_model import LoadedModel, check_outputs, load_model
from alexplore.training.data.dim_images import dim_text
from alexplore.training.data.images import check_pixels, open_image, why_unreadable
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.errors import CheckpointError, UsageError
from alexplore.training.inside.answers import as_picture
from alexplore.training.model.build import logits

if TYPE_CHECKING:
    from PIL import Image

CLASSES = 5
LIGHT_BORDER = 0.5
"""The mean of an image's border, where black is 0 and white is 1, from which it counts as dark on light."""


def predict() -> int:
    """Print a line of JSON for each image (see `Prediction`), and return the exit code.

    The exit code is that of a failure if an image is damaged or can't be read, else of wrong use if one does not exist.
    """
    parser = argparse.ArgumentParser(prog="alexplore predict")
    parser.add_argument("source", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--invert", action="store_true")
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    loaded = load_model(arguments.source, arguments.weights)
    preprocess = Preprocess(loaded.config.recipe, loaded.config.network.input, loaded.dataset, loaded.device)
    codes = {DONE}
    files = list(image_files(arguments.images))
    if text := dim_text(Path(), [str(path) for path in files]):
        print_note(text)
    for path in files:
        try:
            with open_image(path) as image:
                prediction = predict_image(loaded, preprocess, image, str(path), invert=arguments.invert)
        except (MemoryError, CheckpointError):
            raise
        except Exception as error:  # a decoder raises anything when a file is damaged
            print_error(f"{path}: {why_unreadable(error)}")
            codes.add(WRONG_USE if isinstance(error, FileNotFoundError) else FAILED)
        else:
            if not arguments.show:
                prediction = replace(prediction, picture=None)
            print_data(json.dumps(prediction.to_dict()))
    return FAILED if FAILED in codes else max(codes)


def image_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files; for a folder, the pictures in it and in its folders. What is left out there is reported.

    Raises:
        UsageError: a folder has no pictures.
        DataError: a folder can't be read.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        left_out = LeftOut(path)
        found = list(find_pictures(path, left_out))
        if left_out.text:
            print_note(f"{path}: {left_out.text}")
        if not found:
            raise UsageError(f"{path} has no pictures in it")
        yield from (path / name for name in found)


def predict_image(
    loaded: LoadedModel, preprocess: Preprocess, image: Image.Image, name: str = "", *, invert: bool = False
) -> Prediction:
    """Return the most likely classes of the image called `name`; with `invert`, of its negative.

    Raises:
        OSError: the image is damaged (see `read_image`).
    """
    entry = DATASETS.get(loaded.dataset.name)
    pixels = image_pixels(loaded, preprocess, image)
    if invert:
        pixels = 255 - pixels
    light_on_dark = entry is not None and entry.images is not None and entry.images.light_on_dark
    with torch.no_grad():
        outputs = logits(loaded.model, preprocess.test(pixels))
    return Prediction(
        image=name,
        classes=likely_classes(outputs[0], loaded),
        dark_on_light=light_on_dark and has_light_border(pixels[0]),
        inverted=invert,
        picture=as_picture(pixels[0]),
    )


def image_pixels(loaded: LoadedModel, preprocess: Preprocess, image: Image.Image) -> Tensor:
    """Return an image in the form of the network's data set, uint8 (1, C, H, W).

    Raises:
        OSError: the image is damaged (see `read_image`).
    """
    entry = DATASETS.get(loaded.dataset.name)
    if entry is None or entry.images is not None:  # an image folder may hold such images: they look as in training
        image = on_background(image)
    return preprocess.image(image)


def likely_classes(outputs: Tensor, loaded: LoadedModel) -> tuple[tuple[str, float], ...]:
    """Return the most likely classes of an image with their probabilities, from the network's outputs (classes,).

    Raises:
        CheckpointError: the outputs are NaN.
    """
    probabilities = outputs.softmax(0)
    check_outputs(probabilities, loaded)
    best = probabilities.topk(min(CLASSES, len(loaded.dataset.classes)))
    names = [loaded.dataset.classes[index] for index in best.indices.tolist()]
    return tuple(zip(names, best.values.tolist(), strict=True))


def on_background(image: Image.Image) -> Image.Image:
    """Return an image without transparency, over white if its opaque pixels are dark, else over black.

    One of more than 8 bits is returned as it is: it is drawn over black as it is converted to 8.
    """
    from PIL import Image, ImageOps, ImageStat

    if not image.has_transparency_data or image.mode.startswith("I"):
        return image
    check_pixels(image.size)
    drawn = ImageOps.exif_transpose(image).convert("RGBA")
    opaque = drawn.getchannel("A").point(lambda alpha: 255 if alpha > 127 else 0)
    grey = drawn.convert("L")
    light = not opaque.getbbox() or ImageStat.Stat(grey, mask=opaque).mean[0] > 127
    ground = (0, 0, 0, 255) if light else (255, 255, 255, 255)
    return Image.alpha_composite(Image.new("RGBA", drawn.size, ground), drawn).convert("RGB")


def has_light_border(pixels: Tensor) -> bool:
    """Return whether the outermost pixels of an image, uint8 (C, H, W), are light in the mean."""
    values = pixels.float().mean(0) / 255
    border = torch.cat([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
    return bool(border.mean() > LIGHT_BORDER)


if __name__ == "__main__":
    exit_process(run_guarded(predict, print_error))
