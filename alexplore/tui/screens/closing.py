"""The base class of screens that close only once, even if several keys and clicks that close them are waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from textual.await_complete import AwaitComplete
from textual.screen import Screen, ScreenResultType

if TYPE_CHECKING:
    Base = Screen
else:
    Base = Generic  # not a DOM node: Textual inherits styles from the first base class that is one


class ClosesOnce(Base[ScreenResultType]):
    """A screen that does not close when it is not on top. It must be listed before Textual's class among the bases.

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
