"""What was recorded inside a run, as Rich renderables: tables in text, pictures in half blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, sqrt

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import ControlType, Segment
from rich.text import Text

from alexplore.core.inert import inert_line
from alexplore.core.picture import Picture
from alexplore.render.bars import histogram_bars
from alexplore.render.compact_blocks import compact_blocks
from alexplore.render.fitted_table import Column, FittingTable
from alexplore.render.inside_pictures import (
    GAP,
    below,
    confusion_picture,
    framed,
    heated,
    image_pictures,
    kernel_picture,
    kernels_per_row,
    maps_picture,
)
from alexplore.render.pixels import in_pixels
from alexplore.render.predictions import bars
from alexplore.render.terminal_pixels import PixelPicture, Pixels, ask_terminal
from alexplore.runs.inside import Confusion, FeatureMaps, InsideEpoch, InsideError, ShownImage
from alexplore.runs.layer_view import LayerView, layer_views
from alexplore.runs.look import Look

WIDEST, HIGHEST = 160, 60
"""The most characters in a line, and the most lines, of a picture in a terminal."""

MAPS_ASPECT = 2
"""The width of the maps below an image, divided by their height."""

MOST_BYTES = 40_000
"""The most bytes of a printed picture: more than in the app, where each key press may draw a picture."""

MOST_NUMBERS = 12
"""The most classes of a confusion matrix that is printed as numbers; larger ones are drawn."""


def layers_table(views: Sequence[LayerView]) -> FittingTable:
    """Return a row for each layer: its figures, its distributions, and what is suspicious, marked with !."""
    table = FittingTable(
        Column("layer", left=True),
        Column("gradient"),
        Column("update"),
        Column("zeros"),
        Column("dead", rank=3),
        Column("weights", rank=1, left=True),
        Column("to ±", rank=4),
        Column("outputs", rank=2, left=True),
        Column("", left=True),
    )
    for view in views:
        table.add(
            view.layer,
            view.number("grad_norm"),
            view.number("update_ratio"),
            view.number("zero_share"),
            "–" if view.dead_share is None else f"{view.dead_share:.1%}",
            histogram_bars(view.weights.counts) if view.weights else "",
            f"{view.weights.limit:g}" if view.weights else "",
            histogram_bars(view.activations.counts) if view.activations else "",
            f"! {'; '.join(view.reasons)}" if view.reasons else "",
            style="bold" if view.reasons else "",
        )
    return table


def layer_history(views: Sequence[tuple[int, LayerView]]) -> FittingTable:
    """Return a row for each epoch of one layer; histograms have the same bins in all of them."""
    limits = {
        part: max((one.limit for _, view in views if (one := getattr(view, part))), default=1.0)
        for part in ("weights", "activations")
    }

    def bars(view: LayerView, part: str) -> str:
        one = getattr(view, part)
        return histogram_bars(one.widened(limits[part]).counts, 24) if one else ""

    table = FittingTable(
        Column("epoch"),
        Column("gradient"),
        Column("update"),
        Column("zeros"),
        Column("dead", rank=2),
        Column(f"weights to ±{limits['weights']:g}", left=True),
        Column(f"outputs to ±{limits['activations']:g}", rank=1, left=True),
        Column("", left=True),
    )
    for epoch, view in views:
        table.add(
            str(epoch),
            view.number("grad_norm"),
            view.number("update_ratio"),
            view.number("zero_share"),
            "–" if view.dead_share is None else f"{view.dead_share:.1%}",
            bars(view, "weights"),
            bars(view, "activations"),
            f"! {'; '.join(view.reasons)}" if view.reasons else "",
        )
    return table


def drawn(picture: Picture, console: Console) -> Iterator[RenderableType]:
    """Yield a picture in pixels, or in half blocks that fit the console; a line of text if it has no colours."""
    columns = min(WIDEST, console.width)
    if sharp := _in_pixels(picture, console, columns):
        yield sharp
        return
    if console.color_system is None:
        yield Text(f"  {picture.height}×{picture.width} pixels, not drawn without colours; write them with --output")
        return
    for line in compact_blocks(picture, columns, HIGHEST, MOST_BYTES):
        yield Text.assemble(*((segment.text, segment.style or "") for segment in line))


def _in_pixels(picture: Picture, console: Console, columns: int) -> RenderableType | None:
    """Return a picture in pixels; None if the console's terminal can't draw them."""
    pixels = terminal_pixels() if console.is_terminal else None
    found = in_pixels(picture, pixels, columns, min(HIGHEST, console.height - 1)) if pixels else None
    return _Raw(found) if found else None


@cache
def terminal_pixels() -> Pixels | None:
    """Ask the terminal, once, how it draws pixels; return None if it can't."""
    return ask_terminal()


class _Raw:
    """A picture in pixels for Rich: empty lines make room, the picture is drawn over them, the cursor ends below."""

    def __init__(self, picture: PixelPicture) -> None:
        self._picture = picture

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = self._picture.lines
        yield Segment("\n" * lines)
        yield Segment(f"\x1b[{lines}A{self._picture.code}\x1b[{lines}B", None, CODE)


CODE = [(ControlType.CURSOR_FORWARD, 0)]
"""Marks a segment as an escape sequence, which Rich neither measures nor changes."""


@dataclass(frozen=True)
class Choice:
    """What to show: an epoch, and one of its layers if one was chosen; `order` are the network's layers in order."""

    epoch: InsideEpoch
    layer: str | None = None
    order: Sequence[str] = ()


@dataclass(frozen=True)
class View:
    """One kind of view: how its text is printed, and its picture if it has one.

    `lines` takes a choice and the console, `picture` a choice and the width in pixels. Both raise an `InsideError` if
    the chosen part was not recorded.
    """

    lines: Callable[[Choice, Console], Iterable[RenderableType]]
    picture: Callable[[Choice, int], Picture] | None = None


def _layers(choice: Choice, _: Console) -> Iterable[RenderableType]:
    return [layers_table(layer_views(choice.epoch, choice.order))]


def _kernels(choice: Choice, out: Console) -> Iterable[RenderableType]:
    return drawn(_kernels_in_rows(choice, min(WIDEST, out.width)), out)


def _kernels_in_rows(choice: Choice, width: int) -> Picture:
    grid = choice.epoch.kernels
    if grid is None:
        raise InsideError(f"epoch {choice.epoch.epoch} has no kernels: the network has no convolution")
    return kernel_picture(grid, kernels_per_row(grid, width))


def _maps(choice: Choice, out: Console) -> Iterable[RenderableType]:
    maps = _maps_of(choice)
    yield Text(
        f"{maps[0].layer}: {len(maps[0].maps)} of {maps[0].shape[0]} maps, a block for each of {len(maps)} "
        "validation images"
    )
    yield from drawn(_maps_in_rows(choice, min(WIDEST, out.width)), out)


def _maps_in_rows(choice: Choice, width: int) -> Picture:
    maps = _maps_of(choice)
    return maps_picture(maps, max(1, (width + GAP) // (maps[0].maps.codes.shape[2] + GAP)))


def _maps_of(choice: Choice) -> tuple[FeatureMaps, ...]:
    """Return the feature maps of the chosen layer, by default of the first layer that has some."""
    epoch, layer = choice.epoch, choice.layer
    layers = list(dict.fromkeys(maps.layer for maps in epoch.maps))
    if not layers or (layer is not None and layer not in layers):
        known = f"there are those of {', '.join(layers)}" if layers else "none were recorded"
        raise InsideError(f"epoch {epoch.epoch} has no feature maps of {layer or 'a layer'}: {known}")
    return epoch.maps_of(layer or layers[0])


def _confusion(choice: Choice, out: Console) -> Iterable[RenderableType]:
    """Yield the matrix, as numbers if it is small, and a line for each of the most frequent confusions."""
    epoch, matrix = choice.epoch, _matrix(choice.epoch)
    if len(matrix.classes) <= MOST_NUMBERS:
        table = FittingTable(Column("true \\ guessed", left=True), *(Column(str(one)) for one in matrix.classes))
        for row, truth in enumerate(matrix.classes):
            counts = matrix.counts[row].tolist()
            table.add(f"{truth} {epoch.class_name(truth)}", *(str(count or "·") for count in counts))
        yield table
    else:
        yield from drawn(confusion_picture(matrix, 1), out)
    for truth, guess, count in matrix.worst(5):
        total = matrix.images[matrix.classes.index(truth)]
        words = inert_line(f"{epoch.class_name(truth)} taken for {epoch.class_name(guess)}")
        yield Text(f"  {count:,} of {total:,}  {words}")


def _matrix(epoch: InsideEpoch) -> Confusion:
    if epoch.confusion is None:
        raise InsideError(f"epoch {epoch.epoch} has no confusion matrix: it is counted up to 1,000 classes")
    return epoch.confusion


def _images(epoch: InsideEpoch, images: Sequence[ShownImage], out: Console) -> Iterable[RenderableType]:
    """Yield images with their true classes and the network's predictions."""
    if not images:
        yield Text("none")
    for number, one in enumerate(images):
        if number:
            yield Text("")
        guesses = ", ".join(f"{epoch.class_name(guess)} {share:.1%}" for guess, share in one.probabilities[:3])
        where = one.name or f"validation image {one.index}"
        yield Text(inert_line(f"{epoch.class_name(one.truth)}; the network answers {guesses}  ({where})"))
        yield from drawn(one.picture, out)


def _images_in_rows(epoch: InsideEpoch, images: Sequence[ShownImage], width: int) -> Picture:
    if not images:
        raise InsideError(f"epoch {epoch.epoch} has no such images")
    side = max(one.picture.width for one in images) + GAP
    return image_pictures(images, max(1, (width // 4 + GAP) // side))


def look_picture(found: Look, width: int) -> Picture:
    """Return an image, with the requested overlay, above the maps of a layer."""
    marked = found.picture if found.heat is None else heated(found.picture, found.heat)
    marked = marked if found.box is None else framed(marked, found.box)
    fitting = max(1, (width + GAP) // (found.shape[2] + GAP))
    wide = ceil(sqrt(MAPS_ASPECT * found.shape[0]))  # else small maps would be a line under the image
    return below(marked, maps_picture([found.feature_maps], min(fitting, wide)))


def look_lines(found: Look, out: Console) -> Iterable[RenderableType]:
    """Yield how a network classifies an image: the classes, the image with the requested overlay, and the maps."""
    truth = "" if found.truth is None else f": {found.truth}"
    yield Text(inert_line(f"{found.image}{truth}"))
    yield from map(Text, bars(found.classes))
    if found.box is not None:
        top, left, bottom, right = found.box
        yield Text(
            f"the unit outputs {found.value:.4g} and sees rows {top} to {bottom - 1}, columns {left} to {right - 1}"
        )
    if found.cam is not None:
        yield Text(inert_line(f"evidence for {found.cam} in {found.layer} (Grad-CAM)"))
    channels, height, width = found.shape
    yield Text(f"{found.layer}: {channels} maps of {height}×{width}")
    yield from drawn(look_picture(found, min(WIDEST, out.width)), out)


VIEWS: Mapping[str, View] = {
    "layers": View(_layers),
    "kernels": View(_kernels, _kernels_in_rows),
    "maps": View(_maps, _maps_in_rows),
    "images": View(
        lambda choice, out: _images(choice.epoch, choice.epoch.images, out),
        lambda choice, width: _images_in_rows(choice.epoch, choice.epoch.images, width),
    ),
    "confusion": View(_confusion, lambda choice, _: confusion_picture(_matrix(choice.epoch), 1)),
    "mistakes": View(
        lambda choice, out: _images(choice.epoch, choice.epoch.mistakes, out),
        lambda choice, width: _images_in_rows(choice.epoch, choice.epoch.mistakes, width),
    ),
}
"""All views, by their names on the command line."""
