"""Makes all text of the app inert, whatever file it is from: the last step before a line is drawn."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from alexplore.core.inert import inert_line


class InertFilter(LineFilter):
    """Replaces active characters; Textual keeps lines that did not change, so that each is looked through once."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments of a line with inert text."""
        return [
            segment
            if segment.control or segment.text.isprintable()
            else Segment(inert_line(segment.text), segment.style)
            for segment in segments
        ]
