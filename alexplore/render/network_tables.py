"""Networks as Rich tables and lines: the same on the command line and in the app."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from alexplore.core.formatting import bytes_text, short_count
from alexplore.core.settings import toml_text
from alexplore.network.analysis import Analysis, analyse
from alexplore.network.quantities import BY_KEY, COMPARED, NOTHING, Quantity, columns, layer_value
from alexplore.network.row import Row
from alexplore.network.shapes import shape_text
from alexplore.presets.library import load_preset, shipped_names, user_paths
from alexplore.presets.preset import Preset, PresetError
from alexplore.presets.published import check_published, published_text
from alexplore.presets.recipe import Recipe
from alexplore.render.fitted_table import Column, FittingTable, Labelled

if TYPE_CHECKING:
    from alexplore.network.compare import Comparison, Pair
    from alexplore.network.compare_many import AlignedLayers, ManyComparison
    from alexplore.network.formula import Formula

MACS_NOTE = "MACs: multiplications by weights; biases, pooling, normalisation and activations count 0."


def shapes_table(preset: Preset, analysis: Analysis) -> FittingTable:
    """Return a row for each layer, with its main quantities.

    If the network has branches, a column shows the layers that each layer reads; ↑ is the row above.
    """
    network = preset.network
    table = FittingTable(
        Column("#"),
        Column("layer", left=True),
        *([] if network.is_chain else [Column("reads", left=True)]),
        Column("type", rank=5, left=True),
        Column("settings", rank=2, left=True, least=16),
        *(Column(quantity.title, rank=quantity.rank or 0) for quantity in columns(analysis)),
        title=f"{preset.name} · {preset.title or 'network'} · input {shape_text(network.input)}",
    )
    for row in analysis.rows:
        layer = row.layer
        reads = [] if network.is_chain else [reads_text(row)]
        head = (str(row.index), layer.name, *reads, layer.type, layer.summary())
        cells = [quantity.text(layer_value(quantity, row)) for quantity in columns(analysis)]
        if row.error:
            cells[0] = "✗"
        table.add(*head, *cells, style="red" if row.error else "dim" if row.output is None else "")
    return table


def reads_text(row: Row) -> str:
    """Return the layers that a layer reads, with ↑ for the row above; empty if it reads only that one."""
    reads = zip(row.layer.inputs, row.sources, strict=False)
    return " ".join("↑" if source == row.index - 2 else name for name, source in reads)


def totals_lines(preset: Preset, analysis: Analysis, batch: int) -> Iterator[RenderableType]:
    """Yield the lines under the table: the totals, then the numbers that the source states compared with ours."""
    totals, recipe = analysis.totals, preset.recipe
    memory = analysis.memory(batch, recipe.optimizer_state, recipe.activation_bits)
    frozen = totals.params - totals.trainable_params
    buffers = f", and {totals.buffers:,} running statistics" if totals.buffers else ""
    lines = [
        *([("partial", "the totals are of the layers that could be computed")] if totals.partial else []),
        ("parameters", f"{totals.params:,}" + (f" ({frozen:,} frozen)" if frozen else "") + buffers),
        ("MACs", f"{totals.macs:,} ({short_count(totals.flops)} floating-point operations)"),
        ("neurons", f"{totals.neurons:,}, connections {totals.connections:,}"),
        ("weights", f"{bytes_text(totals.weight_bytes)}, activations {bytes_text(totals.activation_bytes)} an image"),
        (
            "training",
            f"{bytes_text(memory.total)} {_training_text(recipe, batch)}: weights {bytes_text(memory.weights)}, "
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


def _training_text(recipe: Recipe, batch: int) -> str:
    """Return the settings for which the training memory is estimated."""
    precision = "fp32" if recipe.precision == "auto" else recipe.precision
    return f"at batch {batch} with {recipe.optimizer} in {precision}"


def explanation(
    preset: Preset, analysis: Analysis, rows: Sequence[Row], batch: int, *, totals: bool
) -> Iterator[RenderableType]:
    """Yield the arithmetic of some rows, and of the totals if wanted."""
    from alexplore.network.formulas import explain, explain_totals

    for row in rows:
        heading = Text(f"{row.index} {row.layer.name} · {row.layer.type}", style="bold")
        settings = row.layer.summary()
        if settings:
            heading.append(f" · {settings}", style="not bold")
        if row.output is None:
            yield Group(heading, Text(f"✗ {row.error}" if row.error else NOTHING), "")
        else:
            yield Group(heading, *_formulas(explain(row, preset.network)), "")
    if totals:
        recipe = preset.recipe
        heading = Text("totals", style="bold").append(f" · training {_training_text(recipe, batch)}", style="not bold")
        bits = recipe.activation_bits
        yield Group(heading, *_formulas(explain_totals(analysis, batch, recipe.optimizer_state, bits)))


def _formulas(formulas: Sequence[Formula]) -> Iterator[Labelled]:
    indent = max(len(formula.quantity) for formula in formulas)
    for formula in formulas:
        note = Text(f" ({formula.note})" if formula.note else "", style="dim")
        yield Labelled(Text(f"  {formula.quantity:<{indent}}  ", style="dim"), Text.assemble(formula.text, note))


def presets_table() -> FittingTable:
    """Return a row for every preset, the user's own last; one that can't be used has the reason."""
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
    """Yield a preset's source, description, recipe and published numbers."""
    yield Text(f"{preset.name} · {preset.title}", style="bold")
    if preset.source:
        yield Labelled("source  ", preset.source)
    for paragraph in filter(None, re.split(r"\n\s*\n", preset.description)):  # single line breaks are not kept
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
    """Return layers in pairs: ≠ if settings differ, ≈ if only numbers do, − or + if only one network has the layer."""
    table = FittingTable(
        Column("", left=True),
        Column("a", left=True),
        Column("settings", rank=2, left=True, least=12),
        Column("output", rank=4),
        Column("b", left=True),
        Column("settings", rank=2, left=True, least=12),
        Column("output", rank=4),
        *(Column(f"Δ {one.title}", rank=one.rank or 0) for one in DIFFERENCE_COLUMNS),
        title=f"a: {a.name} · {a.title}\nb: {b.name} · {b.title}",
    )
    for pair in comparison.pairs:
        style = {"same": "dim", "follows": "", "changed": "bold"}.get(pair.kind, "yellow")
        deltas = [_difference(pair, quantity) for quantity in DIFFERENCE_COLUMNS]
        table.add(DIFFERENCES[pair.kind], *_side(pair.a), *_side(pair.b), *deltas, style=style)
    return table


DIFFERENCE_COLUMNS = tuple(one for one in COMPARED if one.key != "output")


def _side(row: Row | None) -> tuple[str, str, str]:
    if row is None:
        return ("", "", "")
    return row.layer.name, row.layer.summary() or row.layer.type, BY_KEY["output"].text(row.output)


def _difference(pair: Pair, quantity: Quantity) -> str:
    """Return the difference between two layers; both values if they differ and are not numbers, or one is unknown."""
    difference = pair.difference(quantity)
    if difference is not None:
        return f"{difference:+,}" if difference else ""
    return values_text(pair, quantity)


def values_text(pair: Pair, quantity: Quantity) -> str:
    """Return both values of a quantity if they differ, else an empty text."""
    return " → ".join(map(quantity.text, pair.numbers.get(quantity.key, ())))


def diff_totals(a: Preset, b: Preset, comparison: Comparison) -> FittingTable:
    """Return both totals and their differences."""
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


MANY_COLUMNS = tuple(BY_KEY[key] for key in ("output", "params"))
UNEQUAL, MISSING = "≠ ", "–"


def many_table(presets: Sequence[Preset], comparison: ManyComparison) -> FittingTable:
    """Return aligned layers of networks called a, b, c, …; a cell with ≠ differs from the first network's.

    A row begins as in `diff_table`, with ± where some networks lack the layer.
    """
    letters = [network_letter(number) for number in range(len(presets))]
    table = FittingTable(
        Column("", left=True),
        Column("layer", left=True),
        *(Column(letter, left=True, least=10) for letter in letters),
        *(
            Column(f"{letter} {one.title}", rank=3 + rank)
            for rank, one in enumerate(MANY_COLUMNS)
            for letter in letters
        ),
        title="\n".join(
            f"{letter}: {preset.name} · {preset.title}" for letter, preset in zip(letters, presets, strict=True)
        ),
    )
    for layers in comparison.layers:
        style = {"same": "dim", "follows": "", "changed": "bold"}.get(layers.kind, "yellow")
        numbers = [cell for one in MANY_COLUMNS for cell in _number_cells(layers, one)]
        name = next(row.layer.name for row in layers.rows if row)
        table.add({**DIFFERENCES, "partial": "±"}[layers.kind], name, *_setting_cells(layers), *numbers, style=style)
    return table


def network_letter(number: int) -> str:
    """Return a, b, c, …, z, a1, b1, …"""
    rounds, place = divmod(number, 26)
    return chr(ord("a") + place) + (str(rounds) if rounds else "")


def _setting_cells(layers: AlignedLayers) -> Iterator[str]:
    """Yield the layer of each network in brief, with its name and type where they differ from the first."""
    first = next(row for row in layers.rows if row)
    for pair in layers.pairs:
        row = pair.b if pair else None
        if pair is None or row is None:
            yield MISSING
            continue
        name = [] if row.layer.name == first.layer.name else [row.layer.name]
        type_ = [row.layer.type] if row.layer.type != first.layer.type or not row.layer.summary() else []
        text = " · ".join([*name, *type_, *filter(None, [row.layer.summary()])])
        yield (UNEQUAL if pair.kind == "changed" else "") + text


def _number_cells(layers: AlignedLayers, quantity: Quantity) -> Iterator[str]:
    for pair in layers.pairs:
        row = pair.b if pair else None
        if pair is None or row is None:
            yield MISSING
            continue
        yield (UNEQUAL if quantity.key in pair.numbers else "") + quantity.text(layer_value(quantity, row))


def many_totals(presets: Sequence[Preset], comparison: ManyComparison) -> FittingTable:
    """Return the totals of networks; ≠ marks those that differ from the first network's."""
    table = FittingTable(Column("", left=True), *(Column(preset.name, least=8) for preset in presets))
    for key, values in comparison.totals.items():
        cells = [(UNEQUAL if value != values[0] else "") + f"{value:,}" for value in values]
        table.add(key.replace("_", " "), *cells)
    return table
