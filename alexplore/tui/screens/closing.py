"""The base of screens that are closed: once, however many keys and clicks that close it are waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from textual.await_complete import AwaitComplete
from textual.screen import Screen, ScreenResultType

if TYPE_CHECKING:
    Base = Screen
else:
    Base = Generic  # no node: Textual looks for styles along the first base that is one


class ClosesOnce(Base[ScreenResultType]):
    """A screen that ignores being closed when it is no longer the one on top; it comes before Textual's own class.

    Textual closes whichever screen is on top. If Escape closes a dialog before its Enter is handled, that Enter would
    close the screen below as well, and end the app if there is none below that.
    """

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Close the screen with a result, if it is on top of another."""
        if not self.is_active or len(self.app.screen_stack) == 1:
            return AwaitComplete()
        return super().dismiss(result)

    def action_pop_screen(self) -> None:
        """Close the screen without a result."""
        self.dismiss()
