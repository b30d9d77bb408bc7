"""The arithmetic of the selected layer, written out with its numbers."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual.containers import VerticalScroll
from textual.widgets import Static

from alexplore.network.analysis import Row
from alexplore.network.formulas import explain
from alexplore.network.network import Network
from alexplore.network.words import init_text, settings_text


class FormulaPanel(VerticalScroll, can_focus=True):
    """Scrolls where there are more formulas than lines."""

    def compose(self):  # type: ignore[no-untyped-def]
        yield Static(id="formula-text")

    def show(self, row: Row, network: Network) -> None:
        """Write out one layer's numbers, or what is wrong with it and what would mend it."""
        self.border_title = f"{row.layer.name} · {row.layer.type}"
        self.query_one("#formula-text", Static).update(_error(row) if row.error else _formulas(row, network))


def _error(row: Row) -> Text:
    text = Text(f"✗ {row.error}\n")
    if row.proposals:
        text.append(f"\nf  {row.proposals[0].text}", style="bold")
    return text


def _formulas(row: Row, network: Network) -> Table | Text:
    if row.output is None:
        return Text("– not computed: a layer before this one is broken")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    if settings := settings_text(row.layer):
        table.add_row("settings", settings)
    for formula in explain(row, network):
        table.add_row(formula.quantity, Text.assemble((formula.text, "bold"), (f"  {formula.note}", "dim")))
    init = getattr(row.layer, "init", None)
    if init is not None:
        table.add_row("begins with", init_text(init))
    return table
