"""A network's numbers as JSON, CSV and Markdown."""

from __future__ import annotations

from typing import Any

from alexplore.core.settings import toml_text
from alexplore.network.analysis import Analysis, Row
from alexplore.network.shapes import shape_text
from alexplore.presets.preset import Preset

COLUMNS = (
    "index", "name", "type", "settings", "output", "params", "trainable_params", "macs", "connections", "neurons",
    "activation_bytes", "receptive_field", "jump", "exchange_bytes", "error",
)  # fmt: skip


def shapes_dict(preset: Preset, analysis: Analysis, batch: int = 1) -> dict[str, Any]:
    """What `alexplore shapes --json` prints.

    `batch` scales `activation_bytes` and `training_bytes` alone; training is reckoned with the recipe's optimizer and
    precision. Receptive field and jump are a number, or [height, width] where these differ. What can't be computed is
    null.
    """
    totals, recipe = analysis.totals, preset.recipe
    return {
        "preset": preset.name,
        "input": list(analysis.network.input),
        "batch": batch,
        "layers": [_layer(row, batch) for row in analysis.rows],
        "totals": {
            "params": totals.params,
            "trainable_params": totals.trainable_params,
            "macs": totals.macs,
            "neurons": totals.neurons,
            "connections": totals.connections,
            "weight_bytes": totals.weight_bytes,
            "activation_bytes": batch * totals.activation_bytes,
            "training_bytes": analysis.memory(batch, recipe.optimizer, recipe.momentum, recipe.activation_bits).total,
        },
    }


def to_json(preset: Preset, analysis: Analysis, batch: int = 1) -> str:
    """`shapes_dict` as text, a line for each layer."""
    import json

    content = shapes_dict(preset, analysis, batch)
    layers = ",\n".join("  " + json.dumps(layer, ensure_ascii=False) for layer in content.pop("layers"))
    totals = json.dumps(content.pop("totals"))
    head = json.dumps(content, ensure_ascii=False)[:-1]
    return f'{head},\n "layers": [\n{layers}\n ],\n "totals": {totals}}}'


def to_csv(analysis: Analysis, batch: int = 1) -> str:
    """A line for each layer under a line of headings; sizes as 96x55x55, empty where nothing was computed."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in analysis.rows:
        values = {**_layer(row, batch), "settings": _settings(row)}
        writer.writerow("x".join(map(str, v)) if isinstance(v, list) else v for v in values.values())
    return text.getvalue()


def to_markdown(analysis: Analysis, batch: int = 1) -> str:
    """A table: settings, output, parameters, MACs, receptive field and activations of each layer, and the totals."""
    lines = [
        "| # | layer | type | settings | output | params | MACs | receptive field | activation bytes |",
        "|--:|:--|:--|:--|--:|--:|--:|--:|--:|",
    ]
    for row in analysis.rows:
        cells = [str(row.index), row.layer.name, row.layer.type, _settings(row)]
        if row.output is None:
            cells += [row.error or "–", "–", "–", "–", "–"]
        else:
            field = _both(row.height.size, row.width.size)
            cells += [
                shape_text(row.output),
                f"{row.params:,}",
                f"{row.macs:,}",
                shape_text(tuple(field)) if isinstance(field, list) else f"{field:,}",
                f"{batch * row.activation_bytes:,}",
            ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    totals = analysis.totals
    sums = f"{totals.params:,} | {totals.macs:,} | | {batch * totals.activation_bytes:,}"
    return "\n".join([*lines, f"| | total | | | | {sums} |"]) + "\n"


def _settings(row: Row) -> str:
    """`out_channels = 96, kernel_size = 11`: what differs from the defaults."""
    settings = row.layer.settings(defaults=False)
    return ", ".join(f"{key} = {toml_text(value)}" for key, value in settings.items())


def _layer(row: Row, batch: int) -> dict[str, Any]:
    computed = row.output is not None

    def number(value: int) -> int | None:
        return value if computed else None

    return {
        "index": row.index,
        "name": row.layer.name,
        "type": row.layer.type,
        "settings": row.layer.settings(),
        "output": None if row.output is None else list(row.output),
        "params": number(row.params),
        "trainable_params": number(row.trainable_params),
        "macs": number(row.macs),
        "connections": number(row.connections),
        "neurons": number(row.neurons),
        "activation_bytes": number(batch * row.activation_bytes),
        "receptive_field": _both(row.height.size, row.width.size) if computed else None,
        "jump": _both(row.height.jump, row.width.jump) if computed else None,
        "exchange_bytes": number(row.exchange_bytes),
        "error": row.error,
    }


def _both(height: int, width: int) -> int | list[int]:
    return height if height == width else [height, width]
