"""Escape control characters in all text of the app: the last step before a line is drawn."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from alexplore.core.inert import inert_line


class InertFilter(LineFilter):
    """Escapes control characters. Textual caches lines that don't change, so each line is filtered once."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments of a line, with escaped text."""
        return [
            segment
            if segment.control or segment.text.isprintable()
            else Segment(inert_line(segment.text), segment.style)
            for segment in segments
        ]
