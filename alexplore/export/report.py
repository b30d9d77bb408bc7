"""A network's numbers as JSON, CSV and Markdown: the columns are `alexplore.network.quantities`."""

from __future__ import annotations

from typing import Any

from alexplore.core.settings import toml_text
from alexplore.network.analysis import Analysis
from alexplore.network.quantities import COLUMNS, NOTHING, OF_LAYERS, TOTALS, Value, layer_value, total_value
from alexplore.network.row import Row
from alexplore.presets.preset import Preset

OF_TOWERS = ("exchange_bytes",)
"""Totals that `shapes --json` leaves to the layers: few networks have towers."""


def shapes_dict(preset: Preset, analysis: Analysis, batch: int = 1) -> dict[str, Any]:
    """Return what `alexplore shapes --json` prints.

    `batch` scales `activation_bytes` and `training_bytes` alone; training is estimated for the recipe's optimizer and
    precision. Receptive field and jump are a number, or [height, width] where these differ. What can't be computed is
    null; `partial` tells that the totals leave it out.
    """
    recipe = preset.recipe
    memory = analysis.memory(batch, recipe.optimizer_state, recipe.activation_bits)
    return {
        "preset": preset.name,
        "input": list(analysis.network.input),
        "batch": batch,
        "layers": [_layer(row, analysis, batch) for row in analysis.rows],
        "totals": {
            **{one.key: total_value(one, analysis, batch) for one in TOTALS if one.key not in OF_TOWERS},
            "training_bytes": memory.total,
            "partial": analysis.totals.partial,
        },
    }


def to_json(preset: Preset, analysis: Analysis, batch: int = 1) -> str:
    """Return `shapes_dict` as text, a line for each layer."""
    import json

    content = shapes_dict(preset, analysis, batch)
    layers = ",\n".join("  " + json.dumps(layer) for layer in content.pop("layers"))
    totals = json.dumps(content.pop("totals"))
    head = json.dumps(content)[:-1]
    return f'{head},\n "layers": [\n{layers}\n ],\n "totals": {totals}}}'


def to_csv(analysis: Analysis, batch: int = 1) -> str:
    """Return a line for each layer under a line of headings; sizes as 96x55x55, empty where nothing was computed."""
    import csv
    import io

    text = io.StringIO()
    rows = [{**_layer(row, analysis, batch), "settings": _settings_text(row)} for row in analysis.rows]
    columns = list(rows[0]) if rows else []
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for values in rows:
        writer.writerow(_cell(key, value) for key, value in values.items())
    return text.getvalue()


def _cell(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return (" " if key == "inputs" else "x").join(map(str, value))
    return value


def to_markdown(analysis: Analysis, batch: int = 1) -> str:
    """Return a table with the settings and the main quantities of each layer, and the totals."""
    first, *others = COLUMNS  # the first takes what is wrong with a layer
    columns = [first, *(one for one in others if any(layer_value(one, row) for row in analysis.rows))]
    titles = ["#", "layer", "type", "settings", *(quantity.title for quantity in columns)]
    lines = ["| " + " | ".join(titles) + " |", "|--:|:--|:--|:--|" + "--:|" * len(columns)]
    for row in analysis.rows:
        cells = [str(row.index), row.layer.name, row.layer.type, _settings_text(row)]
        values = [_number_text(layer_value(quantity, row, batch)) for quantity in columns]
        if row.error:
            values[0] = row.error
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in (*cells, *values)) + " |")
    totals = (_number_text(total_value(quantity, analysis, batch), "") for quantity in columns)
    partial = "total of what could be computed" if analysis.totals.partial else "total"
    return "\n".join([*lines, f"| | {partial} | | | " + " | ".join(totals) + " |"]) + "\n"


def _number_text(value: Value, nothing: str = NOTHING) -> str:
    """Return an exact number with thousands' commas, or a shape."""
    if value is None:
        return nothing
    return "×".join(map(str, value)) if isinstance(value, tuple) else f"{value:,}"


def _settings_text(row: Row) -> str:
    """Return what differs from the defaults: `out_channels = 96, kernel_size = 11`."""
    settings = row.layer.settings(defaults=False)
    return ", ".join(f"{key} = {toml_text(value)}" for key, value in settings.items())


def _layer(row: Row, analysis: Analysis, batch: int) -> dict[str, Any]:
    numbers = ((quantity.key, layer_value(quantity, row, batch)) for quantity in OF_LAYERS)
    return {
        "index": row.index,
        "name": row.layer.name,
        "type": row.layer.type,
        "inputs": list(analysis.network.source_names(row.index - 1)),
        "settings": row.layer.settings(),
        **{key: list(value) if isinstance(value, tuple) else value for key, value in numbers},
        "error": row.error,
    }
