"""The base of widgets that render their own lines: component styles are looked up once, not once a line."""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget

from alexplore.tui.named_keys import NamedKeys


class LineWidget(NamedKeys, Widget):
    """A widget whose component styles are cached until the theme, the focus or the stylesheet changes them."""

    _style_cache: dict[str, Style] | None = None

    def style(self, name: str = "") -> Style:
        """Return the style of a component class on top of the widget's own, or the widget's own without a name."""
        if self._style_cache is None:
            self._style_cache = {}
        if name not in self._style_cache:
            partial = self.get_component_rich_style(name, partial=True) if name else Style()
            self._style_cache[name] = self.rich_style + partial
        return self._style_cache[name]

    def notify_style_update(self) -> None:
        """Clear the cache."""
        self._style_cache = None
        super().notify_style_update()
