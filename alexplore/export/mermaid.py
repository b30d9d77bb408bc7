"""A network as a Mermaid flowchart; towers stand side by side, with an arrow wherever they exchange maps."""

from __future__ import annotations

from collections.abc import Iterator

from alexplore.core.inert import inert
from alexplore.network.analysis import Analysis
from alexplore.network.graph import IMAGE
from alexplore.network.row import Row
from alexplore.network.shapes import shape_text
from alexplore.presets.preset import Preset


def export(preset: Preset, analysis: Analysis) -> str:
    """Return the text of a chart, from the input at the top to the last layer."""
    towers = analysis.network.towers
    split = all(row.output is None or row.output[0] % towers == 0 for row in analysis.rows)
    return "\n".join(["flowchart TD", *_lines(preset, analysis, towers if split else 1)]) + "\n"


def _lines(preset: Preset, analysis: Analysis, towers: int) -> Iterator[str]:
    title = preset.title or preset.name
    yield f'    input["{_text(title)}<br/>{shape_text(analysis.network.input)}"]'
    nodes = {IMAGE: ["input"] * towers}
    for row in analysis.rows:
        own = [f"layer{row.index}" + (f"_{tower + 1}" if towers > 1 else "") for tower in range(towers)]
        nodes[row.index - 1] = own
        for tower, node in enumerate(own):
            yield f'    {node}["{_label(row, towers)}"]'
            yield from (f"    {nodes[source][tower]} --> {node}" for source in row.sources)
        if row.exchange_bytes:
            yield from (
                f"    {other} -.-> {node}"
                for i, other in enumerate(nodes[row.sources[0]])
                for j, node in enumerate(own)
                if i != j
            )


def _label(row: Row, towers: int) -> str:
    layer = row.layer
    lines = [f"<b>{layer.name}</b> {layer.type}", _text(layer.summary())]
    if row.error:
        lines.append(f"✗ {_text(row.error)}")
    elif row.output is not None:
        lines.append(shape_text((row.output[0] // towers, *row.output[1:])))
    return "<br/>".join(line for line in lines if line)


def _text(text: str) -> str:
    """Return a text, escaped for a quoted label."""
    return inert(text).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("\n", " ")
