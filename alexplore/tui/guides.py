"""The welcome card, the tour and the lessons, which lead new users through the real screens."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

from textual.app import App
from textual.widget import Widget

from alexplore.core.errors import AlexploreError
from alexplore.network.analysis import analyse
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.presets.sources import FORMS
from alexplore.tui.importing import INPUT, import_model, read_request
from alexplore.tui.lesson_progress import LessonProgress
from alexplore.tui.messages import PlanRequested
from alexplore.tui.screens.dialogs import Ask
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import AppState
from alexplore.tui.tour import PRESET, Tour
from alexplore.tui.widgets.layer_table import LayerTable
from alexplore.tui.widgets.lesson_panel import LessonPanel
from alexplore.tui.widgets.tour_strip import TourAction, TourStrip

SETTLED_SECONDS = 20.0  # the longest wait for the effect of a key of the tour
KEY_SECONDS = 0.4  # between two keys of the tour, so that users see the effect of each


class Guides:
    """Shows the welcome card, the tour and the lessons of an app."""

    def __init__(self, app: App[Any], state: AppState) -> None:
        self.app = app
        self.state = state

    @property
    def explore(self) -> ExploreScreen:
        """The screen below all others."""
        screen = self.app.screen_stack[0]
        assert isinstance(screen, ExploreScreen)
        return screen

    async def show_explore(self) -> None:
        """Show Explore."""
        await self.app.run_action("mode('explore')")

    # Presets

    async def open_preset(self, preset: Preset) -> bool:
        """Open a preset in Explore, unless it is open and not edited; return False if the user keeps other edits."""
        await self.show_explore()
        session = self.state.session
        if session.preset == preset and not session.modified:
            return True
        return await self.explore.open_preset(preset)

    def load(self, name: str) -> Preset | None:
        """Return a preset by its name; if it can't be read, show why and return None."""
        try:
            return load_preset(name)
        except AlexploreError as error:
            self.app.notify(str(error), severity="error")
            return None

    async def open_named(self, name: str, *, train: bool = False, epochs: int | None = None) -> None:
        """Open a preset by its name; with `train`, open the form that trains it, for `epochs` if given."""
        preset = self.load(name)
        if preset is None:
            return
        if epochs is not None:
            preset = replace(preset, recipe=replace(preset.recipe, epochs=epochs))
        if await self.open_preset(preset) and train:
            self.app.post_message(PlanRequested())

    async def import_model(self, text: str | None = None) -> None:
        """Import a model from a source such as "net.py:Net 3x64x64", and open it in Explore.

        If `text` is None, ask for the source. The app can be used meanwhile.
        """
        if text is None:
            text = await self.app.push_screen_wait(Ask("Import a model; its code is run", note=f"{FORMS}; {INPUT}"))
        if text is None:
            return
        request = read_request(text)
        warnings: list[str] = []
        self.app.notify(f"importing {request.source} with PyTorch …")
        try:
            preset = await import_model(request, warnings.append)
        except AlexploreError as error:
            self.app.notify(str(error), severity="error")
            return
        if await self.open_preset(preset):
            self.app.notify("; ".join([f"imported {preset.name}: s saves it", *warnings]))

    # The welcome card

    async def welcome(self, *, shown_again: bool) -> bool:
        """Show the card and do what the user chooses; return whether to show it again, at first `shown_again`."""
        from alexplore.tui.screens.welcome import Welcome

        card = Welcome(self.state.runs_folder, shown_again=shown_again)
        choice = await self.app.push_screen_wait(card)
        match choice:
            case "tour":
                await self.start_tour()
            case "compare":
                if (paper := self.load(PRESET)) is not None:
                    await self.compare(paper, "torchvision")
            case "train":
                await self.open_named("fmnist-28", train=True)
            case "explore" | None:
                pass
        return card.shown_again

    async def compare(self, preset: Preset, name: str) -> None:
        """Put a preset and the one called `name` beside each other."""
        from alexplore.tui.screens.comparison import ComparisonScreen

        other = self.load(name)
        if other is not None:
            await self.app.push_screen(ComparisonScreen(preset, [other]))

    # The tour

    async def start_tour(self) -> None:
        """Start the tour, with the network that it is about."""
        preset = self.load(PRESET)
        if preset is None or not await self.open_preset(preset):
            return
        await self.leave_lesson()
        self.state.tour = Tour()
        await self.show_tour()

    async def show_tour(self, *, focus: bool = True) -> None:
        """Show the step of the tour on the current screen; with `focus`, its keys work."""
        screen = self.app.screen
        if self.state.tour is None or not isinstance(screen, FrameScreen):
            return
        strips = screen.query(TourStrip)
        if strips:
            strips.first().show_step()
        else:
            await screen.mount(TourStrip(self.state.tour))
        if focus:
            screen.query_one(TourStrip).focus()

    async def perform(self, action: TourAction) -> None:
        """Handle a key of the tour."""
        tour = self.state.tour
        if tour is None or tour.performing:
            return
        if action == "do":
            await self._perform(tour)
        elif action == "leave" or not (tour.go(1 if action == "next" else -1) or action == "back"):
            await self.leave_tour()
        else:
            await self.show_explore()
            await self.show_tour()

    async def leave_tour(self) -> None:
        """End the tour."""
        self.state.tour = None
        for screen in self.app.screen_stack:
            await screen.query(TourStrip).remove()
        self.app.screen.focus_next()
        self.app.notify("ctrl+p has more: lessons, presets, runs")

    async def _perform(self, tour: Tour) -> None:
        """Press the keys of the step, each after the effect of the one before."""
        tour.performing = True
        try:
            await self.show_explore()
            await self._settled()
            panes = self.app.screen.query(tour.step.pane)
            if panes:
                panes.first().focus()
            for key in tour.step.do:
                await self._settled()
                if "(" in key:
                    await self.app.run_action(key)
                else:
                    self.app.simulate_key(key)
                await self._settled()
                await asyncio.sleep(KEY_SECONDS)
        finally:
            tour.performing = False
        await self.show_tour()

    async def _settled(self) -> None:
        """Wait until a simulated key has had its effect: it goes from the app to the screen to a widget."""
        done = asyncio.Event()

        def ask_screen() -> None:
            screen = self.app.screen
            screen.call_later(lambda: (screen.focused or screen).call_later(done.set))

        self.app.call_later(ask_screen)
        with suppress(asyncio.TimeoutError):  # the widget was removed
            await asyncio.wait_for(done.wait(), SETTLED_SECONDS)

    # Lessons

    async def open_lesson(self, name: str) -> None:
        """Open a lesson beside its network, at the step where the user left it."""
        from alexplore.lessons.library import load_lesson

        try:
            lesson = load_lesson(name)
        except AlexploreError as error:
            self.app.notify(str(error), severity="error")
            return
        preset = self.load(lesson.preset)
        if preset is None or not await self.open_preset(preset):
            return
        if self.state.tour is not None:
            await self.leave_tour()
        progress = self.state.lessons.setdefault(lesson.name, LessonProgress(lesson, analyse(preset.network)))
        explore = self.explore
        await explore.query(LessonPanel).remove()
        explore.add_class("-lesson")
        body = next(widget for widget in explore.query_one(LayerTable).ancestors if widget.parent is explore)
        assert isinstance(body, Widget)
        await body.mount(LessonPanel(progress, self.state.session))

    async def leave_lesson(self) -> None:
        """Close the lesson, if one is open, and go to the layers if the lesson had the focus."""
        panels = self.explore.query(LessonPanel)
        focused = self.explore.focused
        if focused is not None and any(panel in focused.ancestors for panel in panels):
            self.explore.set_focus(self.explore.query_one(LayerTable))
        self.explore.remove_class("-lesson")
        await panels.remove()

    def point_at(self, layer: str) -> None:
        """Put the cursor on the layer that a step of a lesson is about."""
        names = [one.name for one in self.state.session.network.layers]
        if layer in names:
            self.explore.query_one(LayerTable).cursor = names.index(layer)
