"""The measured times of a network's layers as a table."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from alexplore.core.formatting import short_count
from alexplore.network.analysis import Analysis
from alexplore.network.shapes import shape_text
from alexplore.render.fitted_table import Column, FittingTable
from alexplore.runs.profile import Profile

WIDE_SPREAD = 0.25
"""Times with at least this spread are marked: other programs were running, or the layer takes very little time."""


def profile_lines(title: str, profile: Profile, analysis: Analysis) -> Iterator[RenderableType]:
    """Yield a row for each layer, and lines about the whole network and the machine."""
    table = FittingTable(
        Column("#"),
        Column("layer", left=True),
        Column("type", rank=4, left=True),
        Column("output", rank=3),
        Column("MACs", rank=2),
        Column("forward ms"),
        Column("backward ms"),
        Column("time"),
        Column("peak", rank=1),
        title=title,
    )
    for row, layer in zip(analysis.rows, profile.layers, strict=True):
        share, output = profile.peak_share(layer), row.output
        table.add(
            str(row.index),
            layer.name,
            layer.type,
            shape_text(output) if output else "–",
            f"{layer.macs:,}" if layer.macs else "–",
            _time_text(layer.forward_seconds, layer.forward_spread),
            _time_text(layer.backward_seconds, layer.backward_spread),
            f"{layer.seconds / profile.sum_seconds:.1%}" if profile.sum_seconds else "–",
            "–" if share is None else f"{share:.0%}",
        )
    yield table
    rate = profile.batch / profile.whole_seconds if profile.whole_seconds else 0.0
    yield Text(
        f"whole network  {1000 * profile.whole_seconds:.2f} ms a batch of {profile.batch}, forward and backward: "
        f"{rate:,.0f} images/s, {profile.whole_peak_share:.0%} of the peak; sum of the layers "
        f"{1000 * profile.sum_seconds:.2f} ms"
    )
    threads = f", {profile.threads} threads" if profile.device == "cpu" else ""
    yield Text(
        f"measured       {profile.device_name}{threads}, {profile.precision}; medians of {profile.rounds} rounds; ~ "
        f"marks times that differ by more than {WIDE_SPREAD:.0%} between rounds"
    )
    if profile.device == "cuda":
        yield Text("               each layer by itself; in training a convolution, ReLU and max pool are one pass")
    yield Text(
        f"peak           {short_count(profile.peak_flops)} operations a second of a large matrix multiplication; the "
        "loss and the optimizer are not in these times"
    )


def _time_text(seconds: float, spread: float) -> str:
    if not seconds:
        return "–"
    return f"{'~' if spread > WIDE_SPREAD else ''}{1000 * seconds:.2f}"
