"""A widget that paints its own lines: styles looked up once, not once a line."""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget


class Painted(Widget):
    """Component styles by name, kept until the theme, the focus or the stylesheet changes them."""

    _styles_by_name: dict[str, Style] | None = None

    def style(self, name: str = "") -> Style:
        """The style of a component class over the widget's own; without a name, the widget's own."""
        if self._styles_by_name is None:
            self._styles_by_name = {}
        if name not in self._styles_by_name:
            partial = self.get_component_rich_style(name, partial=True) if name else Style()
            self._styles_by_name[name] = self.rich_style + partial
        return self._styles_by_name[name]

    def notify_style_update(self) -> None:
        """Forget what was looked up."""
        self._styles_by_name = None
        super().notify_style_update()
