"""How a trained network classifies one image: maps of a layer, the pixels that a unit sees, evidence for a class."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexplore.core.boundary import print_data, print_error, run_guarded
from alexplore.core.process_exit import exit_process
from alexplore.core.settings import nearest
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.network.row import Row
from alexplore.runs.inside import Quantised
from alexplore.runs.look import Look
from alexplore.training.commands.evaluate import open_images
from alexplore.training.commands.load_model import LoadedModel, load_model
from alexplore.training.commands.predict import image_pixels, likely_classes
from alexplore.training.data.images import open_image, why_unreadable
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.errors import UsageError
from alexplore.training.inside.answers import as_picture
from alexplore.training.model.build import logits

GUESS = "guess"
"""Given in place of a class, for the network's most likely class."""


def look() -> int:
    """Print a line of JSON (see `Look`)."""
    parser = argparse.ArgumentParser(prog="alexplore runs inside")
    parser.add_argument("source", type=Path)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--index", type=int)
    parser.add_argument("--layer")
    parser.add_argument("--unit")
    parser.add_argument("--cam")
    arguments = parser.parse_args()
    loaded = load_model(arguments.source, None)
    config = loaded.config
    row = mapped_row(config.network, arguments.layer)
    unit = None if arguments.unit is None else checked_unit(arguments.unit, row)
    preprocess = Preprocess(config.recipe, config.network.input, loaded.dataset, loaded.device)
    pixels, name, truth = _image(loaded, preprocess, arguments.image, arguments.index)
    inputs = preprocess.test(pixels)
    with torch.no_grad(), output_of(loaded.model, row.layer.name) as outputs:
        scores = logits(loaded.model, inputs)[0]
    maps = outputs[0][0].float().cpu()
    classes = loaded.dataset.classes
    likely = likely_classes(scores, loaded)
    number = None if arguments.cam is None else class_number(arguments.cam, classes, int(scores.argmax()))
    heat = None if number is None else grad_cam(loaded.model, inputs, row.layer.name, number)
    found = Look(
        image=name,
        picture=as_picture(preprocess.view(pixels)[0]),
        classes=likely,
        truth=truth,
        layer=row.layer.name,
        maps=Quantised.of(maps.numpy()),
        box=None if unit is None else (
            row.height.first(unit[1]), row.width.first(unit[2]),
            row.height.first(unit[1]) + row.height.size, row.width.first(unit[2]) + row.width.size,
        ),
        value=None if unit is None else float(maps[unit]),
        cam=None if number is None else classes[number],
        heat=None if heat is None else as_picture((255 * heat[None]).round().to(torch.uint8)),
    )  # fmt: skip
    print_data(json.dumps(found.to_dict()))
    return 0


def mapped_row(network: Network, name: str | None) -> Row:
    """Return the analysis of a layer that outputs maps; without a name that of the last convolution.

    Raises:
        UsageError: there is no such layer.
    """
    rows = [row for row in analyse(network).rows if row.output is not None and len(row.output) == 3]
    if name is None:
        convolutions = [row for row in rows if row.layer.type == "conv2d"]
        if not convolutions:
            raise UsageError("the network has no convolution; name a layer that outputs maps with --layer")
        return convolutions[-1]
    names = [row.layer.name for row in rows]
    if name not in names:
        raise UsageError(
            f"--layer {name!r}: no layer that outputs maps; allowed: {', '.join(names)}{nearest(name, names)}"
        )
    return rows[names.index(name)]


def checked_unit(text: str, row: Row) -> tuple[int, int, int]:
    """Return the channel, row and column of a unit.

    Raises:
        UsageError: they are not three numbers, or are outside the layer's output.
    """
    assert row.output is not None
    try:
        channel, y, x = map(int, text.split(","))
    except ValueError:
        raise UsageError(f"--unit {text!r}: allowed: channel,row,column such as 3,5,7") from None
    if not all(0 <= value < size for value, size in zip((channel, y, x), row.output, strict=True)):
        last = ",".join(str(size - 1) for size in row.output)
        raise UsageError(f"--unit {text!r}: {row.layer.name} has units from 0,0,0 to {last}")
    return channel, y, x


def class_number(text: str, classes: tuple[str, ...], guess: int) -> int:
    """Return the number of a class by its name or number; `guess`, the network's most likely class, for `GUESS`.

    Raises:
        UsageError: there is no such class.
    """
    if text in classes:
        return classes.index(text)
    if text == GUESS:
        return guess
    if text.isascii() and text.isdigit() and int(text) < len(classes):
        return int(text)
    some = ", ".join(classes[:20]) + (", …" if len(classes) > 20 else "")
    raise UsageError(f"--cam {text!r}: allowed: {GUESS}, 0 to {len(classes) - 1}, {some}{nearest(text, classes)}")


@contextmanager
def output_of(model: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """Collect the outputs of a layer in the `with` block. Later layers get a copy, which they may overwrite."""
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        outputs.append(output)
        return output.clone()

    hook = model.get_submodule(layer).register_forward_hook(keep)
    try:
        yield outputs
    finally:
        hook.remove()


def grad_cam(model: nn.Module, inputs: Tensor, layer: str, number: int) -> Tensor:
    """Return the evidence for a class in an image (1, C, H, W): float32 (H, W) from 0 to 1 on the CPU.

    Each map of the layer is weighted by the mean gradient of the class's score with respect to it; the positive part of
    their sum is enlarged to the image's size. It is 0 everywhere if there is no evidence. Source: Selvaraju et al.,
    "Grad-CAM", ICCV 2017, equations 1 and 2.
    """
    with torch.enable_grad(), output_of(model, layer) as outputs:
        score = logits(model, inputs.requires_grad_())[0, number]
        (gradient,) = torch.autograd.grad(score, outputs[0])
    weights = gradient.mean((2, 3), keepdim=True)
    heat = (weights * outputs[0].detach()).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat.float(), size=inputs.shape[2:], mode="bilinear")[0, 0].cpu()
    largest = heat.max()
    return heat / largest if largest > 0 else heat


def _image(
    loaded: LoadedModel, preprocess: Preprocess, file: Path | None, index: int | None
) -> tuple[Tensor, str, str | None]:
    """Return an image in the form of the data set, uint8 (1, C, H, W), its name, and its class if that is known.

    Raises:
        UsageError: the file can't be read, or there is no such validation image.
    """
    if file is not None:
        try:
            with open_image(file) as image:
                return image_pixels(loaded, preprocess, image), str(file), None
        except MemoryError:
            raise
        except Exception as error:  # a decoder raises anything when a file is damaged
            raise UsageError(f"{file}: {why_unreadable(error)}") from None
    split = open_images(loaded, loaded.config, elsewhere=False)[0].val
    if index is None or not 0 <= index < len(split):
        raise UsageError(f"--index {index}: there are validation images from 0 to {len(split) - 1:,}")
    images, labels = next(split.batches(torch.tensor([index]), 1))
    if not len(images):
        raise UsageError(f"--index {index}: {split.path(index)} is damaged")
    return images, split.path(index) or f"validation image {index}", loaded.dataset.classes[int(labels[0])]


if __name__ == "__main__":
    exit_process(run_guarded(look, print_error))
