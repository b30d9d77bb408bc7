"""Predict: the user's images as the network receives them, with their likeliest classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.strip import Strip
from textual.worker import get_current_worker

from alexplore.core.processes import KilledError, check_killed
from alexplore.render.predictions import bars
from alexplore.runs.data.image_layout import SUFFIXES
from alexplore.runs.directory import RunDirectory
from alexplore.runs.predictions import Prediction, Predictions
from alexplore.tui.picture_lines import Draw, half_block_lines
from alexplore.tui.predicted_images import PredictedImages
from alexplore.tui.screens.browse import Browse
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import Mode
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.widgets.line_widget import LineWidget


@dataclass
class Predicted(Message):
    """An image was classified, for a request with a number."""

    prediction: Prediction
    request: int


@dataclass
class Finished(Message):
    """All images of a request were classified, or the process has ended with an error."""

    problem: str
    request: int


class ImageList(CursorList):
    """The images, each with its likeliest class."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor"}

    def __init__(self) -> None:
        super().__init__(id="images", classes="frame")
        self._predictions: list[Prediction] = []

    def show(self, predictions: list[Prediction]) -> None:
        """Show predictions."""
        self._predictions = predictions
        self.border_title = f"images · {len(predictions)}"
        self.show_lines()

    @property
    def selected(self) -> Prediction | None:
        """The image under the cursor."""
        return self._predictions[self.cursor] if self.cursor < len(self._predictions) else None

    @property
    def line_count(self) -> int:
        """The number of images."""
        return len(self._predictions)

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return an image's file name and its likeliest class."""
        prediction = self._predictions[index]
        style = self.style("table--cursor") if selected else self.style()
        name, probability = prediction.classes[0]
        answer = f"{name} {probability:.0%}"
        room = max(1, width - len(answer) - 3)
        file = Path(prediction.image).name
        file = file if len(file) <= room else file[: room - 1] + "…"
        return Strip([Segment(f" {file:<{room}} {answer} ", style)]).adjust_cell_length(width, style)

    def copied_text(self) -> str:
        """Return the path of the image and its classes."""
        if self.selected is None:
            return ""
        return "\n".join([self.selected.image, *bars(self.selected.classes)])


class ImageView(LineWidget):
    """The selected image, and below it a bar for each class."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"image-view--note"}
    DEFAULT_CSS = "ImageView { .image-view--note { color: $faint; } }"

    def __init__(self, draw: Draw) -> None:
        """Draw images with `draw`."""
        super().__init__(id="image", classes="frame")
        self._draw_picture = draw
        self._prediction: Prediction | None = None
        self._lines: list[list[Segment]] = []

    def show(self, prediction: Prediction | None) -> None:
        """Show an image."""
        self._prediction = prediction
        self.border_title = Path(prediction.image).name if prediction else "image"
        self._draw()
        self.refresh()

    def on_resize(self) -> None:
        """Use the new size."""
        self._draw()
        self.refresh()

    def _draw(self) -> None:
        self._lines = []
        if self._prediction is None:
            return
        classes = [[Segment(line)] for line in bars(self._prediction.classes, self.size.width)]
        room = self.size.height - len(classes) - 1
        if self._prediction.picture is not None and room > 1 and self.size.width > 2:
            for line in self._draw_picture(self._prediction.picture, self.size.width - 2, room):
                parts = [Segment(text, style if isinstance(style, Style) else None) for text, style in line]
                self._lines.append([Segment(" "), *parts])
        self._lines += [[], *classes]

    def render_line(self, y: int) -> Strip:
        """Render one line."""
        line = self._lines[y] if y < len(self._lines) else []
        return Strip(line).apply_style(self.style()).adjust_cell_length(self.size.width, self.style())


class PredictScreen(FrameScreen):
    """Classifies images with a run's network."""

    CSS = """
    PredictScreen {
        #images { width: 2fr; }
        #image { width: 3fr; }
    }
    """
    MODE: ClassVar[Mode | None] = None
    AUTO_FOCUS = "#images"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "image", "image…", tooltip="Classify another image"),
        Binding("o", "folder", "folder…", tooltip="Classify all images of a folder"),
        Binding("v", "invert", "invert", tooltip="Classify the negatives, or the images as they are"),
        Binding("escape", "pop_screen", "back", tooltip="Go back to the run"),
    ]

    def __init__(self, run: RunDirectory, draw: Draw = half_block_lines) -> None:
        """Classify with a run's network; `draw` draws the images."""
        super().__init__()
        self._draw_picture = draw
        self._images = PredictedImages(run)
        self._last_folder = ""

    def compose_body(self) -> ComposeResult:
        """Put the list of images beside the selected one."""
        with Horizontal():
            yield ImageList()
            yield ImageView(self._draw_picture)

    def on_mount(self) -> None:
        """Ask for an image at once."""
        self.query_one(ImageList).show([])
        self.query_one(ImageView).show(None)
        self.show_outcome(f"images are classified with {self._images.run.name}: choose one")
        self.action_image()

    @work
    async def action_image(self) -> None:
        """Ask for an image file."""
        await self._browse("An image to classify", SUFFIXES)

    @work
    async def action_folder(self) -> None:
        """Ask for a folder of images."""
        await self._browse("A folder of images to classify", None)

    async def _browse(self, title: str, suffixes: frozenset[str] | None) -> None:
        path = await self.app.push_screen_wait(Browse(title, self._last_folder, suffixes))
        if path is not None:
            self._last_folder = str(path.parent)
            self._images.ask(path)
            self._classify()

    def action_invert(self) -> None:
        """Classify the negatives, or the images as they are."""
        self._images.invert = not self._images.invert
        if self._images.asked:
            self._classify()

    def _classify(self) -> None:
        self.show_outcome("classifying …" + (" the negatives" if self._images.invert else ""))
        self._predict(self._images.start(), self._images.request)

    @work(thread=True, exclusive=True, group="predict")
    def _predict(self, images: Sequence[str], request: int) -> None:
        worker = get_current_worker()
        run, invert = self._images.run, self._images.invert
        with Predictions(run.path, images, invert=invert, pictures=True, keep_errors=True) as predictions:
            for prediction in predictions:
                if worker.is_cancelled:
                    return
                self.post_message(Predicted(prediction, request))
        try:
            check_killed("the process that predicts", predictions.returncode)
        except KilledError as error:
            self.post_message(Finished(str(error), request))
        else:
            self.post_message(Finished(predictions.errors, request))

    @on(Predicted)
    def _add(self, event: Predicted) -> None:
        if event.request != self._images.request:
            return
        self._images.add(event.prediction)
        self.query_one(ImageList).show(self._images.predictions)
        if len(self._images.predictions) == 1 or self.query_one(ImageList).selected is event.prediction:
            self.query_one(ImageView).show(self.query_one(ImageList).selected)

    @on(Finished)
    def _finish(self, event: Finished) -> None:
        if event.request != self._images.request:
            return
        problems = [line.removeprefix("error: ") for line in event.problem.splitlines()]
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            self.show_outcome(f"✗ {problems[-1]}{more}", "error")
        elif self._images.advice:
            self.show_outcome(self._images.advice, "warning")
        else:
            count = len(self._images.predictions)
            kind = "negative" if self._images.invert else "image"
            self.show_outcome(f"✓ {count} {kind}{'s' * (count != 1)} classified")

    @on(CursorList.Highlighted, "#images")
    def _selected(self) -> None:
        self.query_one(ImageView).show(self.query_one(ImageList).selected)
