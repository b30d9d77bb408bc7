"""What is told of networks, as Rich tables: the same on the command line and in the app."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from alexplore.network.analysis import Analysis, Row, analyse
from alexplore.network.presets import Preset, PresetError, load_preset, shipped_names, user_paths
from alexplore.network.published import check_published
from alexplore.network.recipe import Recipe
from alexplore.network.settings import toml_text
from alexplore.network.shape import shape_text
from alexplore.network.words import bytes_text, count_text, published_text, settings_text, short_count

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

    from alexplore.network.compare import Comparison, Pair
    from alexplore.network.formulas import Formula

NOTHING = "–"
MACS_NOTE = "MACs: multiplications by weights; biases, pooling, normalisation and activations count 0."
GAP, EDGES = 2, 2  # blank characters between two columns, and beside them all


@dataclass(frozen=True)
class Column:
    """A column: how long it stays when the table gets narrower, and to how many characters it may be shortened."""

    title: str
    rank: int = 0  # the highest goes first, all columns of a rank together; 0 stays
    left: bool = False
    least: int = 0  # 0: it is whole or it is left out


class FittingTable:
    """A table that fits the width it is drawn in, its numbers whole.

    Columns with a `least` are shortened; those with a rank are left out, also where they hold nothing. Only where what
    stays is too wide by itself do words go over several lines.
    """

    def __init__(self, *columns: Column, title: str = "") -> None:
        self._columns, self._title = columns, title
        self._cells: list[list[str]] = [[] for _ in columns]
        self._whole = [cell_len(column.title) for column in columns]
        self._styles: list[str] = []

    def add(self, *cells: str, style: str = "") -> None:
        """One more row; cells left out at its end are empty."""
        for index, cell in enumerate((*cells, *[""] * (len(self._columns) - len(cells)))):
            self._cells[index].append(cell)
            self._whole[index] = max(self._whole[index], cell_len(cell))
        self._styles.append(style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        yield self._drawn(options.max_width)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._drawn(options.max_width))

    def _drawn(self, available: int) -> Table:
        title = Text(self._title, style="bold") if self._title else None
        table = Table(
            title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0)
        )
        shown = self._chosen(available)
        cap = next((cap for cap in range(max(self._whole), 0, -1) if self._width(shown, cap) <= available), 0)
        for index in shown:
            column = self._columns[index]
            words = column.left and not column.least
            table.add_column(
                Text(column.title),
                justify="left" if column.left else "right",
                width=self._column_width(index, cap) if column.least else None,
                no_wrap=not words,
                overflow="fold" if words else "ellipsis",
            )
        for number, style in enumerate(self._styles):
            table.add_row(*(Text(self._cells[index][number]) for index in shown), style=style)
        return table

    def _chosen(self, available: int) -> list[int]:
        """The columns that there is room for, in their order."""
        chosen: list[int] = []
        for rank in sorted({column.rank for column in self._columns}):
            more = [index for index, column in enumerate(self._columns) if column.rank == rank]
            if rank:
                more = [index for index in more if any(self._cells[index])]
            if not rank or self._width(chosen + more) <= available:
                chosen += more
        return sorted(chosen)

    def _width(self, columns: Sequence[int], cap: int = 0) -> int:
        return EDGES + sum(self._column_width(index, cap) + GAP for index in columns) - GAP

    def _column_width(self, index: int, cap: int) -> int:
        """A column's width where those that may be shortened are at most `cap` wide."""
        whole, least = self._whole[index], self._columns[index].least
        return min(whole, max(cap, least)) if least else whole


@dataclass(frozen=True)
class Labelled:
    """Words beside a label; where they wrap, they stay beside it."""

    label: str | Text
    words: str | Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        indent = Text.assemble(self.label).cell_len
        lines = Text.assemble(self.words).wrap(console, max(1, options.max_width - indent))
        for number, line in enumerate(lines):
            yield Text.assemble(" " * indent if number else self.label, line)


def shapes_table(preset: Preset, analysis: Analysis) -> FittingTable:
    """A row for each layer, as torchinfo's summary has them."""
    network = preset.network
    table = FittingTable(
        Column("#"),
        Column("layer", left=True),
        Column("type", rank=5, left=True),
        Column("settings", rank=2, left=True, least=16),
        Column("output"),
        Column("params"),
        Column("MACs", rank=1),
        Column("RF", rank=3),
        *([Column("exchange", rank=4)] if network.towers > 1 else []),
        title=f"{preset.name} · {preset.title or 'network'} · input {shape_text(network.input)}",
    )
    for row in analysis.rows:
        layer = row.layer
        head = (str(row.index), layer.name, layer.type, settings_text(layer))
        if row.error:
            table.add(*head, "✗", NOTHING, NOTHING, NOTHING, style="red")
        elif row.output is None:
            table.add(*head, NOTHING, NOTHING, NOTHING, NOTHING, style="dim")
        else:
            cells = [shape_text(row.output), count_text(row.params), count_text(row.macs), _field(row)]
            if network.towers > 1:
                cells.append(bytes_text(row.exchange_bytes) if row.exchange_bytes else NOTHING)
            table.add(*head, *cells)
    return table


def totals_lines(preset: Preset, analysis: Analysis, batch: int) -> Iterator[RenderableType]:
    """What stands under the table: the totals, then the source's numbers beside ours."""
    totals, recipe = analysis.totals, preset.recipe
    memory = analysis.memory(batch, recipe.optimizer, recipe.momentum, recipe.activation_bits)
    frozen = totals.params - totals.trainable_params
    buffers = f", and {totals.buffers:,} running statistics" if totals.buffers else ""
    lines = [
        ("parameters", f"{totals.params:,}" + (f" ({frozen:,} frozen)" if frozen else "") + buffers),
        ("MACs", f"{totals.macs:,} ({short_count(totals.flops)} floating-point operations)"),
        ("neurons", f"{totals.neurons:,}, connections {totals.connections:,}"),
        ("weights", f"{bytes_text(totals.weight_bytes)}, activations {bytes_text(totals.activation_bytes)} an image"),
        (
            "training",
            f"{bytes_text(memory.total)} {_training_words(recipe, batch)}: weights {bytes_text(memory.weights)}, "
            f"gradients {bytes_text(memory.gradients)}, optimizer {bytes_text(memory.optimizer)}, activations "
            f"{bytes_text(memory.activations)}",
        ),
    ]
    if totals.exchange_bytes:
        words = f"{bytes_text(totals.exchange_bytes)} between towers in a forward pass of an image"
        lines.append(("exchange", words))
    lines += [("published", published_text(checked)) for checked in check_published(preset.published, analysis)]
    yield from (Labelled(f"{label:<13}", words) for label, words in lines)
    yield MACS_NOTE


def _training_words(recipe: Recipe, batch: int) -> str:
    """What training memory is reckoned for."""
    precision = "fp32" if recipe.precision == "auto" else recipe.precision
    return f"at batch {batch} with {recipe.optimizer} in {precision}"


def explanation(
    preset: Preset, analysis: Analysis, rows: Sequence[Row], batch: int, *, totals: bool
) -> Iterator[RenderableType]:
    """The arithmetic of some rows, and of the totals where they are wanted."""
    from alexplore.network.formulas import explain, explain_totals  # `shapes` alone does without

    for row in rows:
        heading = Text(f"{row.index} {row.layer.name} · {row.layer.type}", style="bold")
        settings = settings_text(row.layer)
        if settings:
            heading.append(f" · {settings}", style="not bold")
        if row.output is None:
            yield Group(heading, Text(f"✗ {row.error}" if row.error else NOTHING), "")
        else:
            yield Group(heading, *_formulas(explain(row, preset.network)), "")
    if totals:
        recipe = preset.recipe
        heading = Text("totals", style="bold").append(f" · training {_training_words(recipe, batch)}", style="not bold")
        bits = recipe.activation_bits
        yield Group(heading, *_formulas(explain_totals(analysis, batch, recipe.optimizer, recipe.momentum, bits)))


def _formulas(formulas: Sequence[Formula]) -> Iterator[Labelled]:
    indent = max(len(formula.quantity) for formula in formulas)
    for formula in formulas:
        note = Text(f" ({formula.note})" if formula.note else "", style="dim")
        yield Labelled(Text(f"  {formula.quantity:<{indent}}  ", style="dim"), Text.assemble(formula.text, note))


def presets_table() -> FittingTable:
    """Every preset, the user's own last; one that can't be used with the reason."""
    table = FittingTable(
        Column("preset", left=True),
        Column("title", rank=2, left=True, least=24),
        Column("input"),
        Column("layers", rank=3),
        Column("params", rank=1),
        Column("MACs", rank=4),
        Column("data", rank=5, left=True),
    )
    for name in (*shipped_names(), *(path.stem for path in user_paths())):
        try:
            preset = load_preset(name)
        except PresetError as error:
            table.add(name, f"✗ {error}", "✗", style="red")
            continue
        analysis = analyse(preset.network)
        size, totals = shape_text(preset.network.input), analysis.totals
        counts = (str(len(preset.network.layers)), f"{totals.params:,}", f"{totals.macs:,}")
        title = preset.title if not analysis.broken else f"✗ {analysis.broken.error}"
        table.add(name, title, size, *counts, preset.recipe.dataset)
    return table


def about(preset: Preset, analysis: Analysis) -> Iterator[RenderableType]:
    """A preset's source, description, recipe and published numbers."""
    yield Text(f"{preset.name} · {preset.title}", style="bold")
    if preset.source:
        yield Labelled("source  ", preset.source)
    for paragraph in filter(None, re.split(r"\n\s*\n", preset.description)):  # its lines end where an editor's do
        yield Text("\n" + " ".join(paragraph.split()))
    totals = analysis.totals
    yield Text(f"\n{totals.params:,} parameters, {totals.macs:,} MACs, input {shape_text(preset.network.input)}")
    recipe = " · ".join(f"{key} {toml_text(value)}" for key, value in preset.recipe.to_dict(defaults=False).items())
    yield Labelled("trains with  ", recipe or "the defaults")
    for checked in check_published(preset.published, analysis):
        mark, words = published_text(checked).split(" ", 1)
        yield Labelled(f"{mark} ", words)
    if preset.path:
        yield Text(f"file  {preset.path}", style="dim")


DIFFERENCES = {"same": " ", "changed": "≠", "follows": "≈", "only a": "−", "only b": "+"}


def diff_table(a: Preset, b: Preset, comparison: Comparison) -> FittingTable:
    """Layers in pairs: ≠ where settings differ, ≈ where only numbers do, − and + where one network has none."""
    table = FittingTable(
        Column("", left=True),
        Column("a", left=True),
        Column("settings", rank=2, left=True, least=12),
        Column("output", rank=4),
        Column("b", left=True),
        Column("settings", rank=2, left=True, least=12),
        Column("output", rank=4),
        Column("Δ params"),
        Column("Δ MACs", rank=1),
        Column("Δ RF", rank=3),
        title=f"a: {a.name} · {a.title}\nb: {b.name} · {b.title}",
    )
    for pair in comparison.pairs:
        style = {"same": "dim", "follows": "", "changed": "bold"}.get(pair.kind, "yellow")
        deltas = [_delta(pair, key) for key in ("params", "macs", "receptive_field")]
        table.add(DIFFERENCES[pair.kind], *_side(pair.a), *_side(pair.b), *deltas, style=style)
    return table


def _side(row: Row | None) -> tuple[str, str, str]:
    if row is None:
        return ("", "", "")
    output = NOTHING if row.output is None else shape_text(row.output)
    return row.layer.name, settings_text(row.layer) or row.layer.type, output


def _delta(pair: Pair, key: str) -> str:
    if pair.a is None or pair.b is None:
        row = pair.a or pair.b
        count = getattr(row, key, 0)
        return f"{count if pair.a is None else -count:+,}" if count else ""
    a, b = pair.numbers.get(key, (0, 0))
    if isinstance(a, int) and isinstance(b, int):
        return f"{b - a:+,}" if a != b else ""
    return f"{a} → {b}"


def diff_totals(a: Preset, b: Preset, comparison: Comparison) -> FittingTable:
    """Both totals and their differences."""
    numbers = {
        key.replace("_", " "): (f"{first:,}", f"{second:,}", f"{second - first:+,}")
        for key, (first, second) in comparison.totals.items()
    }
    least = max(len(number) for row in numbers.values() for number in row)
    table = FittingTable(
        Column("", left=True), Column(a.name, least=least), Column(b.name, least=least), Column("difference")
    )
    for name, row in numbers.items():
        table.add(name, *row)
    return table


def _field(row: Row) -> str:
    height, width = row.height.size, row.width.size
    return str(height) if height == width else f"{height}×{width}"
