"""`alexplore runs inside`: what the network looked like after an epoch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexplore.cli.output import console, deliver_file, narrate, say_json
from alexplore.core.errors import WrongUseError
from alexplore.core.settings import nearest
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import finite
from alexplore.runs.look_request import LookRequest

if TYPE_CHECKING:
    from rich.console import RenderableType

    from alexplore.core.picture import Picture
    from alexplore.runs.inside import InsideEpoch

PNG_WIDTH = 1200
"""Pixels of a row of maps or images in a file, before each pixel is enlarged."""

LARGEST_PNG = 2400
"""The most pixels of the longer side of a file: each pixel of a picture is enlarged to a square that fits."""

SHOWN = ("layers", "kernels", "maps", "images", "confusion", "mistakes")
"""The values of `--show`, which are the keys of `render.inside_views.VIEWS`."""


def show_inside(
    run: RunDirectory, epoch: int | None, layer: str | None, show: str, output: Path | None, *, as_json: bool
) -> None:
    """Print what was recorded of an epoch, by default the last one, or write it as a picture.

    Raises:
        InsideError: the epoch was not recorded, or can't be read.
        WrongUseError: `show` or `layer` is not known, or there is no picture of what is to be shown.
    """
    from alexplore.render.inside_views import VIEWS, Choice
    from alexplore.runs.inside import load_epoch, recorded_epochs

    if show not in SHOWN:
        raise WrongUseError(f"--show {show!r}: allowed: {', '.join(SHOWN)}{nearest(show, SHOWN)}")
    epochs = recorded_epochs(run)
    found = load_epoch(run, epochs[-1] if epoch is None and epochs else epoch or 1)
    names = [one.name for one in run.config().network.layers]
    if layer is not None and layer not in names:
        raise WrongUseError(f"--layer {layer!r}: allowed: {', '.join(names)}{nearest(layer, names)}")
    if as_json:
        if output is not None:
            raise WrongUseError("--json and --output exclude each other: --output writes a picture")
        say_json(finite(_record(found, names, layer)))
        return
    choice = Choice(found, layer, names)
    if output is not None:
        make = VIEWS[show].picture
        if make is None:
            raise WrongUseError(f"--output needs a picture: --show {'|'.join(SHOWN[1:])}")
        deliver_file(_file(make(choice, PNG_WIDTH)), output)
        return
    out = console()
    narrate(f"{run.name} after epoch {found.epoch}, step {found.step:,}")
    history = show == "layers" and layer is not None
    for line in _history(run, names, str(layer)) if history else VIEWS[show].lines(choice, out):
        out.print(line)


def show_look(
    run: RunDirectory, request: LookRequest, epoch: int | None, output: Path | None, *, as_json: bool
) -> None:
    """Print or write how the network, with its best weights, classifies an image.

    Raises:
        WrongUseError: not exactly one image is named, or an epoch is, whose weights are not kept.
        CommandError: the image can't be classified.
    """
    from alexplore.render.inside_views import look_lines, look_picture
    from alexplore.runs.look import look

    if (request.image is None) == (request.index is None):
        raise WrongUseError("name one image: --image FILE, or --index N for a validation image")
    if epoch is not None:
        raise WrongUseError("--epoch: the weights of epochs are not kept; an image is shown with the best ones")
    run.check_weights()
    found = look(run.path, request)
    if as_json:
        say_json(finite(found.to_dict()))
    elif output is not None:
        deliver_file(_file(look_picture(found, PNG_WIDTH)), output)
    else:
        out = console()
        for line in look_lines(found, out):
            out.print(line)


def _record(epoch: InsideEpoch, names: list[str], layer: str | None) -> dict[str, Any]:
    """Return an epoch for JSON, without pixels."""
    from alexplore.runs.layer_view import layer_views

    confusion = epoch.confusion
    return {
        "epoch": epoch.epoch,
        "step": epoch.step,
        "layers": [view.to_dict() for view in layer_views(epoch, names) if layer in (None, view.layer)],
        "classes": {str(number): name for number, name in epoch.classes.items()},
        "confusion": confusion and {
            "classes": confusion.classes,
            "images": confusion.images,
            "counts": confusion.counts.tolist(),
        },
        "mistakes": [
            {
                "index": one.index,
                "file": one.name,
                "truth": one.truth,
                "loss": one.loss,
                "probabilities": [list(pair) for pair in one.probabilities],
            }
            for one in epoch.mistakes
        ],
    }  # fmt: skip


def _history(run: RunDirectory, names: list[str], layer: str) -> Iterable[RenderableType]:
    """Return a table of one layer over all epochs; report and skip files that can't be read."""
    from alexplore.render.inside_views import layer_history
    from alexplore.runs.inside import InsideError, load_epoch, recorded_epochs
    from alexplore.runs.layer_view import layer_views

    found = []
    for epoch in recorded_epochs(run):
        try:
            views = layer_views(load_epoch(run, epoch), names)
        except InsideError as error:
            narrate(str(error))
            continue
        found += [(epoch, view) for view in views if view.layer == layer]
    return [layer_history(found)] if found else [f"nothing is recorded of {layer}"]


def _file(picture: Picture) -> bytes:
    from alexplore.render.inside_pictures import enlarged, png

    return png(enlarged(picture, max(1, LARGEST_PNG // max(picture.width, picture.height))))
