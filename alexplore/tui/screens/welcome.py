"""The welcome card, over Explore, for those who have no runs yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from alexplore.core.home import home_path
from alexplore.tui.screens.closing import ClosesOnce

Choice = Literal["tour", "explore", "compare", "train"]

CHOICES: Mapping[str, tuple[Choice, str, str]] = {
    "t": ("tour", "Tour", "what you see, in six steps"),
    "e": ("explore", "Explore", "the paper's network, layer by layer, with its arithmetic"),
    "c": ("compare", "Compare", "the paper's beside torchvision's"),
    "r": ("train", "Train", "fmnist-28 on Fashion-MNIST: 90% in minutes, without a GPU"),
}
"""What the card offers: the key, its name, and what it does."""

INTRODUCTION = "AlexNet is the network that won ImageNet in 2012. Here you can take it apart, change it and train it."
TOGGLE = "space"
HELP_KEYS = ("question_mark", "f1")
EVERYWHERE = "1 2 3 screens · ^p palette · ? help · tab next pane · esc back · q quit"


class Welcome(ClosesOnce[Choice | None], ModalScreen[Choice | None]):
    """Says what the app is and offers four ways to begin; any other key closes it, `?` opens the help then."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, runs_folder: Path, *, shown_again: bool) -> None:
        super().__init__()
        self._runs_folder = runs_folder
        self.shown_again = shown_again  # whether the card is to be shown at the next start
        self._machine = "…"

    def compose(self) -> ComposeResult:
        """Yield the card."""
        with Vertical(classes="dialog widest") as card:
            card.border_title = "alexplore"
            yield Static(INTRODUCTION)
            yield Static(_choices(), id="welcome-choices")
            yield Static(id="welcome-facts")
            yield Static(id="welcome-again", markup=False)

    def on_mount(self) -> None:
        """Show the card, and examine the machine in the background."""
        self._show_facts()
        self._show_again()
        self._look_at_machine()

    @work(thread=True)
    def _look_at_machine(self) -> None:
        from alexplore.runs.data.dataset_shapes import dataset_need
        from alexplore.tui.hardware import hardware_text

        here = dataset_need("fashion-mnist") == "here"
        data = "Fashion-MNIST is here ✓" if here else "Fashion-MNIST is fetched when it is needed"
        self._machine = f"{hardware_text()} · {data}"
        self.call_later(self._show_facts)

    def _show_facts(self) -> None:
        facts = Table.grid(padding=(0, 2))
        facts.add_column(no_wrap=True)
        facts.add_row("  This machine", self._machine)
        facts.add_row("  Runs", f"none yet; they are kept in {home_path(self._runs_folder)}")
        facts.add_row("  Everywhere", EVERYWHERE)
        self._update("#welcome-facts", facts)

    def _show_again(self) -> None:
        mark = "x" if self.shown_again else " "
        text = f"\n  [{mark}] show this while there are no runs (space) · any other key closes"
        self._update("#welcome-again", text)

    def _update(self, name: str, content: RenderableType) -> None:
        for shown in self.query(name).results(Static):  # none if the card is closed while it is mounted or examines
            shown.update(content)

    def _toggle(self) -> None:
        """Show the card at the next start, or not."""
        self.shown_again = not self.shown_again
        self._show_again()

    def on_key(self, event: events.Key) -> None:
        """Perform the action of the key, or close."""
        event.stop()
        event.prevent_default()
        if event.key == TOGGLE:
            self._toggle()
            return
        if event.key in HELP_KEYS:
            self.app.call_later(self.app.run_action, "help")
        choice = CHOICES.get(event.key)
        self.dismiss(choice[0] if choice else None)

    def on_click(self, event: events.Click) -> None:
        """Perform the action of the clicked line, turn the box on or off, or close."""
        event.stop()
        if event.get_content_offset(self.query_one("#welcome-again")) is not None:
            self._toggle()
            return
        offset = event.get_content_offset(self.query_one("#welcome-choices"))
        choices = list(CHOICES.values())
        line = -1 if offset is None else offset.y - 1
        self.dismiss(choices[line][0] if 0 <= line < len(choices) else None)


def _choices() -> Table:
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_row("")
    for key, (_, name, doc) in CHOICES.items():
        table.add_row(Text(f"  {key}", "bold"), Text(name, "bold"), Text(doc, no_wrap=True, overflow="ellipsis"))
    table.add_row("")
    return table
