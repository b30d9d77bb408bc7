"""What is told of networks, as Rich tables: the same on the command line and in the app."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from alexplore.network.analysis import Analysis, Row, analyse
from alexplore.network.presets import Preset, PresetError, load_preset, shipped_names, user_paths
from alexplore.network.published import check_published
from alexplore.network.settings import toml_text
from alexplore.network.shape import shape_text
from alexplore.network.words import bytes_text, count_text, published_text, settings_text, short_count

if TYPE_CHECKING:
    from alexplore.network.compare import Comparison, Pair
    from alexplore.network.formulas import Formula

NOTHING = "–"
MACS_NOTE = "MACs: multiplications by weights; biases, pooling, normalisation and activations count 0."


def _table(*headings: str, left: Sequence[str] = (), title: str | None = None) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1)
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading in left else "right", no_wrap=True)
    return table


def shapes_table(preset: Preset, analysis: Analysis) -> Table:
    """A row for each layer, as torchinfo's summary has them."""
    network = preset.network
    exchanges = network.towers > 1
    table = _table(
        "#", "layer", "type", "settings", "output", "params", "MACs", "RF", *(["exchange"] if exchanges else []),
        left=("layer", "type", "settings"),
        title=f"{preset.name} · {preset.title or 'network'} · input {shape_text(network.input)}",
    )  # fmt: skip
    for row in analysis.rows:
        layer = row.layer
        head = (str(row.index), layer.name, layer.type, settings_text(layer))
        if row.error:
            table.add_row(*head, "✗", NOTHING, NOTHING, NOTHING, style="red")
        elif row.output is None:
            table.add_row(*head, NOTHING, NOTHING, NOTHING, NOTHING, style="dim")
        else:
            cells = [shape_text(row.output), count_text(row.params), count_text(row.macs), _field(row)]
            if exchanges:
                cells.append(bytes_text(row.exchange_bytes) if row.exchange_bytes else NOTHING)
            table.add_row(*head, *cells)
    return table


def totals_lines(preset: Preset, analysis: Analysis, batch: int) -> Iterator[str]:
    """What stands under the table: the totals, then the source's numbers beside ours."""
    totals, recipe = analysis.totals, preset.recipe
    memory = analysis.memory(batch, recipe.optimizer, recipe.momentum)
    frozen = totals.params - totals.trainable_params
    buffers = f", and {totals.buffers:,} running statistics" if totals.buffers else ""
    yield f"parameters   {totals.params:,}" + (f" ({frozen:,} frozen)" if frozen else "") + buffers
    yield f"MACs         {totals.macs:,} ({short_count(totals.flops)} floating-point operations)"
    yield f"neurons      {totals.neurons:,}, connections {totals.connections:,}"
    yield f"weights      {bytes_text(totals.weight_bytes)}, activations {bytes_text(totals.activation_bytes)} an image"
    yield (
        f"training     {bytes_text(memory.total)} at batch {batch}: weights {bytes_text(memory.weights)}, gradients "
        f"{bytes_text(memory.gradients)}, optimizer {bytes_text(memory.optimizer)}, activations "
        f"{bytes_text(memory.activations)}"
    )
    if totals.exchange_bytes:
        yield f"exchange     {bytes_text(totals.exchange_bytes)} between towers in a forward pass of an image"
    for checked in check_published(preset.published, analysis):
        yield f"published    {published_text(checked)}"
    yield MACS_NOTE


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
            yield Group(heading, _formulas(explain(row, preset.network)), "")
    if totals:
        recipe = preset.recipe
        formulas = explain_totals(analysis, batch, recipe.optimizer, recipe.momentum)
        yield Group(Text("totals", style="bold"), _formulas(formulas))


def _formulas(formulas: Sequence[Formula]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    for formula in formulas:
        table.add_row(f"  {formula.quantity}", formula.text, Text(formula.note, style="dim"))
    return table


def presets_table() -> Table:
    """Every preset, the user's own last; one that can't be used with the reason."""
    table = _table("preset", "title", "input", "layers", "params", "MACs", "data", left=("preset", "title", "data"))
    for name in (*shipped_names(), *(path.stem for path in user_paths())):
        try:
            preset = load_preset(name)
        except PresetError as error:
            table.add_row(name, Text(f"✗ {error}", style="red"))
            continue
        analysis = analyse(preset.network)
        size, totals = shape_text(preset.network.input), analysis.totals
        counts = (str(len(preset.network.layers)), f"{totals.params:,}", f"{totals.macs:,}")
        title = preset.title if not analysis.broken else f"✗ {analysis.broken.error}"
        table.add_row(name, title, size, *counts, preset.recipe.dataset)
    return table


def about(preset: Preset, analysis: Analysis) -> Iterator[RenderableType]:
    """A preset's source, description, recipe and published numbers."""
    yield Text(f"{preset.name} · {preset.title}", style="bold")
    if preset.source:
        yield Text(f"source  {preset.source}")
    if preset.description:
        yield Text(f"\n{preset.description}")
    totals = analysis.totals
    yield Text(f"\n{totals.params:,} parameters, {totals.macs:,} MACs, input {shape_text(preset.network.input)}")
    recipe = " · ".join(f"{key} {toml_text(value)}" for key, value in preset.recipe.to_dict(defaults=False).items())
    yield Text(f"trains with  {recipe or 'the defaults'}")
    for checked in check_published(preset.published, analysis):
        yield Text(published_text(checked))
    if preset.path:
        yield Text(f"file  {preset.path}", style="dim")


DIFFERENCES = {"same": " ", "changed": "≠", "follows": "≈", "only a": "−", "only b": "+"}


def diff_table(a: Preset, b: Preset, comparison: Comparison) -> Table:
    """Layers in pairs: ≠ where settings differ, ≈ where only numbers do, − and + where one network has none."""
    table = _table(
        "", "a", "settings", "output", "b", "settings", "output", "Δ params", "Δ MACs", "Δ RF",
        left=("", "a", "b", "settings"),
        title=f"a: {a.name} · {a.title}\nb: {b.name} · {b.title}",
    )  # fmt: skip
    for pair in comparison.pairs:
        style = {"same": "dim", "follows": "", "changed": "bold"}.get(pair.kind, "yellow")
        deltas = [_delta(pair, key) for key in ("params", "macs", "receptive_field")]
        table.add_row(DIFFERENCES[pair.kind], *_side(pair.a), *_side(pair.b), *deltas, style=style)
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


def diff_totals(a: Preset, b: Preset, comparison: Comparison) -> Table:
    """Both totals and their differences."""
    table = _table("", a.name, b.name, "difference", left=("",))
    for key, (first, second) in comparison.totals.items():
        table.add_row(key.replace("_", " "), f"{first:,}", f"{second:,}", f"{second - first:+,}")
    return table


def _field(row: Row) -> str:
    height, width = row.height.size, row.width.size
    return str(height) if height == width else f"{height}×{width}"
