"""Tables of a network's numbers for the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from alexplore.network.analysis import Analysis
from alexplore.network.memory import TrainingMemory
from alexplore.network.presets import Preset
from alexplore.network.shape import shape_text
from alexplore.network.words import bytes_text, count_text, settings_text, short_count

NOTHING = "–"
MACS_NOTE = "MACs: multiplications by weights; biases, pooling, normalisation and activations count 0."


def shapes_table(preset: Preset, analysis: Analysis) -> Table:
    """A row for each layer, as torchinfo's summary has them."""
    network = preset.network
    table = Table(
        title=f"{preset.name} · {preset.title or 'network'} · input {shape_text(network.input)}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        padding=(0, 1),
    )
    exchanges = network.towers > 1
    for heading in ("#", "layer", "type", "settings", "output", "params", "MACs", "RF"):
        table.add_column(heading, justify="left" if heading in ("layer", "type", "settings") else "right")
    if exchanges:
        table.add_column("exchange", justify="right")
    for row in analysis.rows:
        layer = row.layer
        head = (str(row.index), layer.name, layer.type, settings_text(layer))
        if row.error:
            table.add_row(*head, "✗", NOTHING, NOTHING, NOTHING, style="red")
        elif row.output is None:
            table.add_row(*head, NOTHING, NOTHING, NOTHING, NOTHING, style="dim")
        else:
            field = row.height.size if row.height.size == row.width.size else f"{row.height.size}×{row.width.size}"
            cells = [shape_text(row.output), count_text(row.params), count_text(row.macs), str(field)]
            if exchanges:
                cells.append(bytes_text(row.exchange_bytes) if row.exchange_bytes else NOTHING)
            table.add_row(*head, *cells)
    return table


def totals_lines(analysis: Analysis, memory: TrainingMemory, batch: int) -> list[str]:
    """What stands under the table."""
    totals = analysis.totals
    frozen = totals.params - totals.trainable_params
    buffers = f", {totals.buffers:,} running statistics" if totals.buffers else ""
    lines = [
        f"parameters   {totals.params:,}" + (f" ({frozen:,} frozen)" if frozen else "") + buffers,
        f"MACs         {totals.macs:,} ({short_count(totals.flops)} floating-point operations)",
        f"neurons      {totals.neurons:,}, connections {totals.connections:,}",
        f"weights      {bytes_text(totals.weight_bytes)}, activations {bytes_text(totals.activation_bytes)} an image",
        f"training     {bytes_text(memory.total)} at batch {batch}: weights {bytes_text(memory.weights)}, gradients "
        f"{bytes_text(memory.gradients)}, optimizer {bytes_text(memory.optimizer)}, activations "
        f"{bytes_text(memory.activations)}",
    ]
    if totals.exchange_bytes:
        lines.append(f"exchange     {bytes_text(totals.exchange_bytes)} between towers in a forward pass of an image")
    return [*lines, MACS_NOTE]
