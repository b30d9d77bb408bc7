"""The base of widgets that render their own lines: component styles are looked up once, not once a line."""

from __future__ import annotations

from rich.style import Style
from textual.content import Content
from textual.events import Resize
from textual.geometry import Region, Size
from textual.widget import Widget

from alexplore.tui.columns import fit
from alexplore.tui.named_keys import NamedKeys


class LineWidget(NamedKeys, Widget):
    """A widget whose component styles are cached until the theme, the focus or the stylesheet changes them."""

    _style_cache: dict[str, Style] | None = None
    _reported_size: Size | None = None

    def _on_resize(self) -> None:
        """Remember the reported size; Textual calls this in addition to the `on_resize` of a subclass."""
        self._reported_size = self.size

    def report_size(self) -> None:
        """Report the size if it is not the last one that was reported.

        Textual does not report a size that it calculates before a layout, such as that of a widget that is focused as
        soon as it is added.
        """
        if self.size != self._reported_size:
            self.post_message(Resize(self.size, self.virtual_size))

    def style(self, name: str = "") -> Style:
        """Return the style of a component class on top of the widget's own, or the widget's own without a name."""
        if self._style_cache is None:
            self._style_cache = {}
        if name not in self._style_cache:
            partial = self.get_component_rich_style(name, partial=True) if name else Style()
            self._style_cache[name] = self.rich_style + partial
        return self._style_cache[name]

    def copied_text(self) -> str:
        """Return the text to copy, "" for none."""
        return ""

    @property
    def selected_text(self) -> str:
        """The selected part of a text that is being typed, "" for none."""
        return ""

    def write_frame(self, title: str, subtitle: str = "") -> None:
        """Write texts into the frame, cut to its width. Textual's own properties would repaint the whole widget."""
        room = max(0, self.size.width - 2)
        upper, lower = (Content(fit(text, min(len(text), room))) if text else None for text in (title, subtitle))
        padding = self.styles.padding
        left, width = -1 - padding.left, self.size.width + padding.width + 2
        if upper != self._border_title:
            self._border_title = upper
            self.refresh(Region(left, -1 - padding.top, width, 1))
        if lower != self._border_subtitle:
            self._border_subtitle = lower
            self.refresh(Region(left, self.size.height + padding.bottom, width, 1))

    def notify_style_update(self) -> None:
        """Clear the cache."""
        self._style_cache = None
        super().notify_style_update()
