"""A network as one HTML page: picture, table, totals, and the arithmetic behind each number, folded.

The page loads nothing from a server, follows the reader's light or dark theme, and is smaller than `LARGEST_BYTES`. A
page that would be larger leaves out, one after the other, the arithmetic of layers without weights, all arithmetic,
the names in the picture, and the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import NamedTuple

from alexplore.core.inert import inert
from alexplore.export.graph_picture import graph_picture
from alexplore.network.analysis import Analysis
from alexplore.network.formula import Formula
from alexplore.network.formulas import explain, explain_totals
from alexplore.network.quantities import TOTALS, columns, layer_value, total
from alexplore.network.row import Row
from alexplore.network.shapes import shape_text
from alexplore.presets.preset import Preset

LARGEST_BYTES = 200_000


class Detail(NamedTuple):
    """What a page contains besides the table and the totals."""

    arithmetic: str = "all"
    """Of which layers the arithmetic is written out: "all", those with "weights", or "none"."""

    names: bool = True
    picture: bool = True


DETAILS = (Detail(), Detail("weights"), Detail("none"), Detail("none", names=False), Detail("none", picture=False))

STYLE = """\
:root{color-scheme:light dark;--text:#1d2733;--back:#fff;--line:#c9d1d9;--soft:#5b6672;--weights:#2563b8;--pool:#b25d00;
--norm:#6d4bb5;--merge:#187a3c;--other:#7a8591;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--text:#e3e8ee;--back:#14181d;--line:#3a434d;--soft:#9aa6b2;--weights:#6aa6f2;
--pool:#e39a4a;--norm:#b39af0;--merge:#5fc686;--other:#8b96a3;--bad:#ff8a80}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:75rem;margin:2rem auto;
padding:0 1rem}h1{font-size:1.5rem;margin:0}p{color:var(--soft);margin:.3rem 0 1rem}.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.2rem .7rem;text-align:right;
border-bottom:1px solid var(--line);white-space:nowrap}th:nth-child(-n+4),td:nth-child(-n+4){text-align:left}
tr.bad td{color:var(--bad);white-space:normal}details{margin:.2rem 0}summary{cursor:pointer}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.3rem 0 .8rem 1.2rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
svg{display:block}svg text{font:11px system-ui,sans-serif;fill:var(--text)}svg path{fill:none;stroke:var(--soft)}
.weights{fill:var(--weights)}.pool{fill:var(--pool)}.norm,.activation{fill:var(--norm)}.merge{fill:var(--merge)}
.other,.input{fill:var(--other)}
"""


def export(preset: Preset, analysis: Analysis) -> str:
    """Return the text of a page, in the most detail with which it is small enough."""
    for detail in DETAILS:
        text = "".join(_page(preset, analysis, detail))
        if len(text.encode()) < LARGEST_BYTES:
            break
    return text


def _page(preset: Preset, analysis: Analysis, detail: Detail) -> Iterator[str]:
    title = preset.title or preset.name
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{_text(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n"
    source = f" · {preset.source}" if preset.source else ""
    yield f"<p>{_text(preset.name)} · input {shape_text(analysis.network.input)}{_text(source)}</p>\n"
    if detail.picture:
        yield f'<div class="wide">\n{graph_picture(analysis, names=detail.names)}</div>\n'
    yield from _table(analysis)
    yield from _totals(preset, analysis, detail)
    yield "<h2>Arithmetic</h2>\n"
    for row in analysis.rows:
        if detail.arithmetic == "all" or (detail.arithmetic == "weights" and row.params):
            yield from _arithmetic(row, analysis)
    if detail.arithmetic != "all":
        rest = "of the other layers " * (detail.arithmetic == "weights")
        yield (
            f"<p>The arithmetic {rest}would make this page too large: <code>alexplore shapes {_text(preset.name)} "
            "--explain</code> prints it.</p>\n"
        )
    yield "<p>Written by alexplore.</p>\n</body>\n</html>\n"


def _table(analysis: Analysis) -> Iterator[str]:
    quantities = columns(analysis)
    branches = not analysis.network.is_chain
    heads = ("#", "layer", "type", "settings", *(["reads"] * branches), *(one.title for one in quantities))
    yield '<div class="wide">\n<table>\n<thead><tr>'
    yield "".join(f"<th>{_text(head)}" for head in heads) + "</thead>\n<tbody>\n"
    for row in analysis.rows:
        layer = row.layer
        reads = [" ".join(analysis.network.source_names(row.index - 1))] * branches
        numbers = [one.text(layer_value(one, row)) for one in quantities]
        cells = (str(row.index), layer.name, layer.type, layer.summary(), *reads, *numbers)
        yield ('<tr class="bad">' if row.error else "<tr>") + "".join(f"<td>{_text(cell)}" for cell in cells) + "\n"
        if row.error:
            yield f'<tr class="bad"><td colspan="{len(heads)}">✗ {_text(row.error)}\n'
    yield "</tbody>\n</table>\n</div>\n"


def _totals(preset: Preset, analysis: Analysis, detail: Detail) -> Iterator[str]:
    yield "<h2>Totals</h2>\n"
    if analysis.totals.partial:
        yield "<p>Of the layers that could be computed.</p>\n"
    values = ((one.title or one.key, f"{total(one, analysis):,}") for one in TOTALS)
    yield _list((name, value, "") for name, value in values)
    if detail.arithmetic != "none" and not analysis.broken:
        recipe = preset.recipe
        formulas = explain_totals(analysis, 1, recipe.optimizer_state, recipe.activation_bits)
        yield f"<details><summary>how they are calculated</summary>{_formulas(formulas)}</details>\n"


def _arithmetic(row: Row, analysis: Analysis) -> Iterator[str]:
    if row.output is None:
        return
    summary = " · ".join(filter(None, (row.layer.type, row.layer.summary())))
    yield f"<details><summary><b>{_text(row.layer.name)}</b> {_text(summary)}</summary>"
    yield _formulas(explain(row, analysis.network)) + "</details>\n"


def _formulas(formulas: Iterable[Formula]) -> str:
    return _list((one.quantity, str(one.text), one.note) for one in formulas)


def _list(entries: Iterable[tuple[str, str, str]]) -> str:
    lines = (
        f"<dt>{_text(name)}<dd>{_text(value)}" + (f" <small>({_text(note)})</small>" if note else "")
        for name, value, note in entries
    )
    return f"<dl>{''.join(lines)}</dl>\n"


def _text(text: str) -> str:
    """Return a text as it is written in a page."""
    return escape(inert(text))
