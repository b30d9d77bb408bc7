"""The table of two networks side by side: as many columns as fit into the width, without cutting numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from alexplore.network.quantities import BY_KEY
from alexplore.tui.columns import Claim
from alexplore.tui.comparison import LEGEND, ComparedPresets, Side
from alexplore.tui.widgets.table import Cell, Table
from alexplore.tui.widgets.text_lines import SEPARATOR

MARK, HERE, THERE, WHAT, OUTPUT = "≠", "here", "there", "what differs", "output"
DIFFERENCES: Mapping[str, tuple[str, int]] = {
    "Δ params": ("params", 12),
    "Δ MACs": ("macs", 14),
    "Δ RF": ("receptive_field", 9),
}
"""The columns of differences: the quantity and how wide its whole numbers are."""

SHORT = 8  # cells for a number in four digits and a letter, with its sign


class ComparisonTable(Table):
    """Shows pairs of layers; numbers are shortened to four digits and a letter before a column is left out."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "comparison--differs",
        "comparison--only",
        "comparison--same",
    }

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._compared: ComparedPresets | None = None

    def show(self, compared: ComparedPresets) -> None:
        """Show two networks."""
        self._compared = compared
        self.border_title = compared.title
        self.border_subtitle = LEGEND
        self.show_lines()

    @property
    def compared(self) -> ComparedPresets:
        """The presets that are shown."""
        assert self._compared is not None
        return self._compared

    @property
    def line_count(self) -> int:
        """The number of pairs."""
        return len(self._compared.pairs) if self._compared else 0

    def claims(self) -> Mapping[str, Sequence[Claim]]:
        """Return the claims: names always, numbers in short, then what differs, then numbers in full."""
        if self._compared is None:
            return {}
        pairs = self.compared.pairs
        names = [max(len(self.compared.name(pair, there=there)) for pair in pairs) for there in (False, True)]
        shapes = [self.compared.shape(pair) for pair in pairs]
        longest = max(len(self.compared.what_differs(pair)) for pair in pairs)
        return {
            MARK: (Claim(0, 1),),
            HERE: (Claim(0, max(len(HERE), *names[:1])),),
            THERE: (Claim(0, max(len(THERE), *names[1:])),),
            WHAT: (Claim(1, 16), Claim(4, 30), Claim(8, longest)),
            OUTPUT: (
                Claim(5, max(len(OUTPUT), *(len(side.short or side.text) for side in shapes))),
                Claim(6, max(len(side.text) for side in shapes)),
            ),
            "Δ params": (Claim(2, SHORT), Claim(7, DIFFERENCES["Δ params"][1])),
            "Δ MACs": (Claim(3, SHORT), Claim(7.5, DIFFERENCES["Δ MACs"][1])),
            "Δ RF": (Claim(6.5, DIFFERENCES["Δ RF"][1]),),
        }

    def title(self, column: str) -> str:
        """Return the title of a column: a and b for the layers of the two presets."""
        return {HERE: "a", THERE: "b", MARK: ""}.get(column, column)

    def title_doc(self, column: str) -> str:
        """Return what a column shows."""
        if column in DIFFERENCES:
            return f"b's minus a's. {BY_KEY[DIFFERENCES[column][0]].doc}"
        docs = {
            MARK: LEGEND,
            HERE: f"layers of {self.compared.here.name}",
            THERE: f"layers of {self.compared.there.name}",
            WHAT: "settings that differ, a's → b's",
            OUTPUT: BY_KEY["output"].doc,
        }
        return docs[column]

    def is_left(self, column: str) -> bool:
        """Return whether a column holds text."""
        return column in (MARK, HERE, THERE, WHAT)

    def line_kind(self, index: int) -> str:
        """Return the component class of a pair."""
        kind = self.compared.pairs[index].kind
        return "comparison--same" if kind == "same" else "comparison--only" if kind.startswith("only") else ""

    def cell(self, index: int, column: str) -> Cell:
        """Return the text of a pair in a column."""
        compared, pair = self.compared, self.compared.pairs[index]
        if column == MARK:
            return Cell(compared.mark(pair))
        if column in (HERE, THERE):
            return Cell(compared.name(pair, there=column == THERE))
        if column == WHAT:
            text = _folded(compared.what_differs(pair), self.widths[column])
            return Cell(text, "comparison--differs" if pair.kind == "changed" else "")
        side = compared.shape(pair) if column == OUTPUT else compared.difference(pair, DIFFERENCES[column][0])
        return self._fitting(side, column)

    def _fitting(self, side: Side, column: str) -> Cell:
        text = side.text if len(side.text) <= self.widths[column] else side.short
        return Cell(text, "comparison--differs" if side.differs else "")

    def copied_text(self) -> str:
        """Return the details of the pair under the cursor."""
        return "\n".join(self.compared.details(self.compared.pairs[self.cursor])) if self.line_count else ""


def _folded(text: str, width: int) -> str:
    """Return the parts of a text that fit; an ellipsis replaces the others."""
    if len(text) <= width:
        return text
    parts = text.split(SEPARATOR)
    while len(parts) > 1 and len(SEPARATOR.join([*parts, "…"])) > width:
        parts.pop()
    return SEPARATOR.join([*parts, "…"])
