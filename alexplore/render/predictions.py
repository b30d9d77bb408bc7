"""Predictions on the command line: the picture, then a bar for each likely class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from alexplore.core.inert import inert_line
from alexplore.render.pictures import half_blocks
from alexplore.runs.predictions import Prediction

BAR_CELLS = 30  # characters of the bar for a probability of 1
ABOUT_BAR = 12  # characters before a bar, besides the name: blanks and the probability
SHOWN_COLUMNS, SHOWN_LINES = 64, 32  # characters of a picture at most


def prediction_lines(prediction: Prediction, console: Console) -> Iterator[RenderableType]:
    """Yield the name of the image, its picture if there is one and the terminal has colours, and the bars."""
    yield Text(inert_line(prediction.image))
    if prediction.picture is not None and console.color_system is None:
        yield Text(f"  {prediction.picture.height}×{prediction.picture.width} pixels, not drawn without colours")
    elif prediction.picture is not None:
        for line in half_blocks(prediction.picture, min(SHOWN_COLUMNS, console.width), SHOWN_LINES):
            yield Text.assemble(*((segment.text, segment.style or "") for segment in line))
    yield from map(Text, bars(prediction.classes, console.width))


def bars(classes: Sequence[tuple[str, float]], width: int = 80) -> list[str]:
    """Return a line for each class: its name, its probability and a bar; the longest bar fits into `width` cells."""
    names = [inert_line(name) for name, _ in classes]
    longest = max(map(cell_len, names), default=0)
    cells = max(0, min(BAR_CELLS, width - longest - ABOUT_BAR))
    return [
        f"  {name}{' ' * (longest - cell_len(name))}  {p:6.1%}  {'█' * round(cells * p)}"
        for name, (_, p) in zip(names, classes, strict=True)
    ]
