"""Open presets in Explore: by name, imported from a model, or beside another one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from textual.app import App
from textual.screen import Screen

from alexplore.core.errors import AlexploreError
from alexplore.presets.preset import Preset
from alexplore.presets.sources import FORMS
from alexplore.tui.importing import INPUT, import_model, read_request
from alexplore.tui.messages import PlanRequested
from alexplore.tui.screens.dialogs import Ask
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.preset_dialogs import read_named
from alexplore.tui.state import AppState

FREE_SECONDS = 0.1  # between two looks whether the user has come to Explore


class Opener:
    """Opens presets in an app, and shows why one can't be opened."""

    def __init__(self, app: App[Any], state: AppState) -> None:
        self.app, self.state = app, state

    @property
    def explore(self) -> ExploreScreen:
        """The screen below all others."""
        screen = self.app.screen_stack[0]
        assert isinstance(screen, ExploreScreen)
        return screen

    async def show_explore(self) -> None:
        """Show Explore."""
        await self.app.run_action("mode('explore')")

    async def open_preset(self, preset: Preset) -> bool:
        """Open a preset in Explore, unless it is open and not edited; return False if the user keeps other edits."""
        await self.show_explore()
        session = self.state.session
        if session.preset == preset and not session.modified:
            return True
        return await self.explore.open_preset(preset)

    def load(self, name: str) -> Preset | None:
        """Return a preset by its name; if it can't be read, show why and return None."""
        return read_named(self.explore, name)

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

        If `text` is None, ask for the source. The app can be used meanwhile. A user who has gone to another screen,
        answers a dialog or edits a layer is not disturbed: the model opens when that ends.
        """
        asked_on = next(screen for screen in reversed(self.app.screen_stack) if not screen.is_modal)
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
        if not self._is_free(asked_on):
            self.app.notify(f"imported {preset.name}: it opens in Explore once you are done here")
        while not self._is_free(asked_on):
            await asyncio.sleep(FREE_SECONDS)
        if await self.open_preset(preset):
            self.app.notify("; ".join([f"imported {preset.name}: s saves it", *warnings]))

    def _is_free(self, asked_on: Screen[Any]) -> bool:
        """Return whether the user is on the screen of the request, or in Explore, and edits nothing there."""
        return self.app.screen in (asked_on, self.explore) and self.state.session.editing is None

    async def compare(self, preset: Preset, name: str) -> None:
        """Put a preset and the one called `name` beside each other."""
        from alexplore.tui.screens.comparison import ComparisonScreen

        other = self.load(name)
        if other is not None:
            await self.app.push_screen(ComparisonScreen(preset, [other]))
