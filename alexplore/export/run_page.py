"""A run as one HTML page: its curves, recipe, network, epochs and confusion matrix. It loads nothing.

Every text comes from files that other people may have made, and is escaped.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from alexplore.core.errors import AlexploreError
from alexplore.core.formatting import count_text, duration_text
from alexplore.core.inert import inert_line
from alexplore.core.settings import toml_text
from alexplore.export.line_chart import ChartLine, line_chart
from alexplore.network.analysis import analyse
from alexplore.network.quantities import COLUMNS, layer_value
from alexplore.presets.recipe import used_settings
from alexplore.runs.curves import Curve
from alexplore.runs.directory import RunDirectory
from alexplore.runs.messages import progress_text, state_text
from alexplore.runs.metrics import METRICS
from alexplore.runs.protocol import EpochEvent, StartEvent
from alexplore.runs.watch import Snapshot, Watch

if TYPE_CHECKING:
    from alexplore.runs.inside import InsideEpoch

MOST_ROWS = 500
"""Of a table: of a longer one the first and the last rows are shown."""

LONGEST_TEXT = 300

STYLE = """
:root { color-scheme: light dark; --line: #8884; --faint: #888; --one: #2a7de1; --two: #d9622b; --three: #2f9e62; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
table { display: block; overflow-x: auto; }
td, th { padding: 2px 8px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
td:first-child, th:first-child, .left { text-align: left; }
figure { display: inline-block; margin: 0 1em 1em 0; width: 500px; max-width: 100%; } svg { width: 100%; }
figcaption, .note { color: var(--faint); font-size: 13px; }
polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.grid { stroke: var(--line); } .tick { font-size: 11px; fill: var(--faint); }
polyline.one { stroke: var(--one); } polyline.two { stroke: var(--two); } polyline.three { stroke: var(--three); }
polyline.faint { stroke: var(--one); opacity: 0.25; }
circle.one, circle.faint { fill: var(--one); } circle.two { fill: var(--two); } circle.three { fill: var(--three); }
span.one { color: var(--one); } span.two { color: var(--two); } span.three { color: var(--three); }
.matrix td { text-align: center; border: 1px solid var(--line); }
"""
SHADES = 8
"""Of the cells of a confusion matrix."""


def run_page(run: RunDirectory) -> str:
    """Return the page of the current state of a run.

    Raises:
        RunError: its config.json can't be read.
    """
    snapshot = Watch(run).poll()
    parts = [
        _heading(snapshot),
        _charts(snapshot),
        _recipe(snapshot),
        _network(snapshot),
        _confusion(run),
        _epochs(snapshot),
    ]
    shades = "".join(
        f".s{shade} {{ background: rgba(42, 125, 225, {shade / SHADES:.2f}); }}" for shade in range(1, SHADES + 1)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(run.name)}</title>\n<style>{STYLE}{shades}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body>\n</html>\n"
    )


def _heading(snapshot: Snapshot) -> str:
    config, start = snapshot.config, snapshot.last(StartEvent)
    facts = [f"{config.preset} on {config.recipe.dataset}"]
    facts.append(f"{state_text(snapshot.status)} at epoch {progress_text(snapshot)}, step {snapshot.status.step:,}")
    if snapshot.best_epoch is not None:
        facts.append(f"best validation {METRICS['val/acc'].number(snapshot.best)} at epoch {snapshot.best_epoch.epoch}")
    if start is not None:
        facts.append(f"{start.device_name}, {count_text(start.ranks, 'rank')}, {start.precision}")
    if snapshot.epochs:
        facts.append(f"{duration_text(snapshot.epochs[-1].seconds)} of training")
    if config.created is not None:
        facts.append(time.strftime("created %Y-%m-%d %H:%M UTC", time.gmtime(config.created)))
    if snapshot.status.reason:
        facts.append(snapshot.status.reason)
    return f"<h1>{_text(snapshot.run.name)}</h1>\n<p>{'<br>'.join(map(_text, facts))}</p>"


def _charts(snapshot: Snapshot) -> str:
    charts = []
    for name, title in (("loss", "loss"), ("acc", "accuracy")):
        measured, validated = (snapshot.curves.get(f"{part}/{name}", Curve()) for part in ("train", "val"))
        lines = [
            ChartLine("", measured, "faint"),
            ChartLine("training", measured.smoothed(), "one"),
            ChartLine("validation", validated, "two"),
        ]
        charts.append(line_chart(title, lines, METRICS[f"val/{name}"].number))
    rate = ChartLine("learning rate", snapshot.curves.get("lr", Curve()), "three")
    charts.append(line_chart("learning rate", [rate], METRICS["lr"].number))
    return f"<h2>Curves over epochs</h2>\n{''.join(charts)}" if any(charts) else ""


def _recipe(snapshot: Snapshot) -> str:
    config = snapshot.config
    values = config.recipe.to_dict()
    settings = {key: values[key] for key in used_settings(config.recipe) if key in values}
    rows = [(key, toml_text(value)) for key, value in {**settings, **config.options(defaults=False)}.items()]
    return f"<h2>Recipe</h2>\n{_table(('setting', 'value'), rows)}"


def _network(snapshot: Snapshot) -> str:
    analysis = analyse(snapshot.config.network)
    columns = [one for one in COLUMNS if any(layer_value(one, row) for row in analysis.rows)]
    headings = ("layer", "type", "settings", *(one.title for one in columns))
    rows = [
        (row.layer.name, row.layer.type, row.layer.summary(), *(one.text(layer_value(one, row)) for one in columns))
        for row in analysis.rows
    ]
    totals = analysis.totals
    sums = f"{totals.params:,} parameters, {totals.macs:,} MACs, input {'×'.join(map(str, analysis.network.input))}"
    return f"<h2>Network</h2>\n<p>{_text(sums)}</p>\n{_table(headings, rows)}"


def _confusion(run: RunDirectory) -> str:
    """Return the confusion matrix of the last epoch that has one recorded; "" if there is none."""
    epoch = _last_inside(run)
    if epoch is None or epoch.confusion is None:
        return ""
    confusion, names = epoch.confusion, [epoch.class_name(number) for number in epoch.confusion.classes]
    most = max(1, int(confusion.counts.max(initial=0)))
    head = "".join(f"<th>{_text(name, 24)}</th>" for name in names)
    rows = [
        f"<tr><th>{_text(name, 24)}</th>{''.join(_cell(int(count), most) for count in counts)}</tr>"
        for name, counts in zip(names, confusion.counts, strict=True)
    ]
    note = f"validation images after epoch {epoch.epoch}: a row for each true class, a column for each guess"
    table = f'<table class="matrix"><tr><th></th>{head}</tr>{"".join(rows)}</table>'
    return f'<h2>Confusion matrix</h2>\n<p class="note">{note}</p>\n{table}'


def _cell(count: int, most: int) -> str:
    if not count:
        return "<td></td>"
    return f'<td class="s{max(1, round(SHADES * count / most))}">{count}</td>'


def _last_inside(run: RunDirectory) -> InsideEpoch | None:
    from alexplore.runs.inside import load_epoch, recorded_epochs  # loads numpy and safetensors

    for number in reversed(recorded_epochs(run)):
        try:
            epoch = load_epoch(run, number)
        except AlexploreError:  # damaged: try the epoch before it
            continue
        if epoch.confusion is not None:
            return epoch
    return None


def _epochs(snapshot: Snapshot) -> str:
    if not snapshot.epochs:
        return ""
    metrics = [metric for key, metric in METRICS.items() if any(key in epoch.metrics for epoch in snapshot.epochs)]
    headings = ("epoch", "step", *(metric.title for metric in metrics), "time")

    def row(epoch: EpochEvent) -> Sequence[str]:
        values = (metric.number(epoch.metrics.get(metric.key)) for metric in metrics)
        return str(epoch.epoch), f"{epoch.step:,}", *values, duration_text(epoch.seconds)

    return f"<h2>Epochs</h2>\n{_table(headings, [row(epoch) for epoch in snapshot.epochs])}"


def _table(headings: Iterable[str], rows: Sequence[Sequence[str]]) -> str:
    left_out = len(rows) - MOST_ROWS
    if left_out > 0:
        rows = [*rows[: MOST_ROWS // 2], (f"… {left_out:,} rows …",), *rows[-MOST_ROWS // 2 :]]
    head = "".join(f"<th>{_text(heading)}</th>" for heading in headings)
    body = "\n".join(f"<tr>{''.join(f'<td>{_text(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def _text(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text for the page: on one line, without control characters, not too long, escaped."""
    line = inert_line(text)
    return escape(line if len(line) <= longest else f"{line[: longest - 1]}…")
