"""The welcome card, the tour and the lessons, which lead new users through the real screens."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from textual.app import App
from textual.widget import Widget

from alexplore.core.errors import AlexploreError
from alexplore.network.analysis import analyse
from alexplore.tui.lesson_progress import LessonProgress
from alexplore.tui.opening import Opener
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import AppState
from alexplore.tui.tour import PRESET, Tour
from alexplore.tui.widgets.layer_table import LayerTable
from alexplore.tui.widgets.lesson_panel import LessonPanel
from alexplore.tui.widgets.tour_strip import TourAction, TourStrip

SETTLED_SECONDS = 20.0  # the longest wait for the effect of a key of the tour
KEY_SECONDS = 0.4  # between two keys of the tour, so that users see the effect of each


KEPT_SCREENS = ("plan", "watch", "runs")
"""Names of screens that keep their widgets while they are not shown."""


class Guides:
    """Shows the welcome card, the tour and the lessons of an app."""

    def __init__(self, app: App[Any], state: AppState, opener: Opener) -> None:
        self.app, self.state, self.opener = app, state, opener

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
                if (paper := self.opener.load(PRESET)) is not None:
                    await self.opener.compare(paper, "torchvision")
            case "train":
                await self.opener.open_named("fmnist-28", train=True)
            case "explore" | None:
                pass
        return card.shown_again

    # The tour

    async def start_tour(self) -> None:
        """Start the tour, with the network that it is about."""
        preset = self.opener.load(PRESET)
        if preset is None or not await self.opener.open_preset(preset):
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
        if tour is None:
            await self.app.screen.query(TourStrip).remove()
            return
        if tour.performing:
            return
        if action == "do":
            await self._perform(tour)
        elif action == "try":
            await self._focus_pane(tour)
        elif action == "leave" or not (tour.go(1 if action == "next" else -1) or action == "back"):
            await self.leave_tour()
        else:
            await self.opener.show_explore()
            await self.show_tour()

    async def leave_tour(self) -> None:
        """End the tour."""
        self.state.tour = None
        kept = [self.app.get_screen(name) for name in KEPT_SCREENS if self.app.is_screen_installed(name)]
        for screen in {*self.app.screen_stack, *kept}:
            await screen.query(TourStrip).remove()
        self.app.screen.focus_next()
        self.app.notify("ctrl+p has more: lessons, presets, runs")

    async def _perform(self, tour: Tour) -> None:
        """Press the keys of the step, each after the effect of the one before."""
        tour.performing = True
        try:
            await self._focus_pane(tour)
            for key in tour.step.do:
                await self._settled()
                if "(" in key:
                    await self.app.run_action(key)
                else:
                    self.app.simulate_key(key)
                await self._settled()
                await asyncio.sleep(KEY_SECONDS)
            await self.show_tour()
            await self._settled()  # until the strip has the focus: the user's next key must not go to the pane
        finally:
            tour.performing = False

    async def _focus_pane(self, tour: Tour) -> None:
        """Go to the pane that the step is about."""
        await self.opener.show_explore()
        await self._settled()
        panes = self.app.screen.query(tour.step.pane)
        if panes:
            panes.first().focus()

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
        preset = self.opener.load(lesson.preset)
        if preset is None or not await self.opener.open_preset(preset):
            return
        if self.state.tour is not None:
            await self.leave_tour()
        progress = self.state.lessons.setdefault(lesson.name, LessonProgress(lesson, analyse(preset.network)))
        explore = self.opener.explore
        await explore.query(LessonPanel).remove()
        explore.add_class("-lesson")
        body = next(widget for widget in explore.query_one(LayerTable).ancestors if widget.parent is explore)
        assert isinstance(body, Widget)
        await body.mount(LessonPanel(progress, self.state.session))

    async def leave_lesson(self) -> None:
        """Close the lesson, if one is open, and go to the layers if the lesson had the focus."""
        panels = self.opener.explore.query(LessonPanel)
        focused = self.opener.explore.focused
        if focused is not None and any(panel in focused.ancestors for panel in panels):
            self.opener.explore.set_focus(self.opener.explore.query_one(LayerTable))
        self.opener.explore.remove_class("-lesson")
        await panels.remove()

    def point_at(self, layer: str) -> None:
        """Put the cursor on the layer that a step of a lesson is about."""
        names = [one.name for one in self.state.session.network.layers]
        if layer in names:
            self.opener.explore.query_one(LayerTable).cursor = names.index(layer)
