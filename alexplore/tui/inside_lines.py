"""The lines of the screen Inside: its list, and the drawing for the selected line. No Textual."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

from numpy.typing import NDArray

from alexplore.core.inert import inert_line
from alexplore.render.bars import BARS, bar, histogram_lines
from alexplore.render.inside_pictures import GAP, confusion_picture, heat_strip, heated, kernel_picture, maps_picture
from alexplore.render.predictions import bars
from alexplore.render.wrapping import wrap_cells
from alexplore.runs.inside import Confusion, LayerHistogram, Mistake, ShownImage
from alexplore.runs.layer_view import LayerView
from alexplore.runs.look import Look
from alexplore.runs.metrics import LAYER_METRICS
from alexplore.tui.columns import Claim, fit, share_width
from alexplore.tui.inside_state import InsideState
from alexplore.tui.picture_lines import GAP as BESIDE_GAP
from alexplore.tui.picture_lines import Draw, Drawn, Line, Part, beside, half_block_lines, width_of
from alexplore.tui.unit_lines import unit_drawn

COLOUR_CAPTION = "red, green and blue: the weights of the three channels, from a kernel's smallest to its largest"
STRIP_BYTES = 2000  # of a heat strip, of which a layer may have two
BESIDE_BYTES = 1200  # of the image beside its maps
MAPS_BYTES = 3800  # of feature maps: wiping the kernels, which may have filled the screen, takes bytes too
KERNEL_BYTES = 7500
LOOKED_BYTES, LOOKED_MAPS_BYTES = 3500, 5500  # of a classified image, and of its maps
HISTOGRAM_LINES = 8  # of a histogram at most: a quarter of its room
EQUAL_ROWS = 1.5  # arrangements with rows of equal length count as this much larger
FREQUENT = 0.05  # share of a class's images from which on a confusion is marked


@dataclass(frozen=True)
class Row:
    """A line of the list; `kind` gives its colour, and `copied` is its text for the clipboard."""

    text: str
    kind: str = ""
    copied: str = ""


@dataclass(frozen=True)
class Listed:
    """The content of the list: its title, a line above the rows, and the rows."""

    title: str
    header: str
    rows: Sequence[Row]


def sparkline(values: Sequence[float], width: int) -> str:
    """Return values as bars scaled from the smallest to the largest; too many values are averaged over spans."""
    finite = [value for value in values if isfinite(value)]
    if not finite:
        return " " * width
    count = min(width, len(finite))
    ends = [len(finite) * number // count for number in range(count + 1)]
    means = [sum(finite[a:b]) / (b - a) for a, b in pairwise(ends)]
    low, high = min(means), max(means)
    if high == low:
        return BARS[3] * count
    return "".join(bar((mean - low) / (high - low)) for mean in means)


# The lists


def listed(state: InsideState, width: int) -> Listed:
    """Return the list of a view, for lines `width` cells wide."""
    return LISTS[state.view](state, width)


def _layer_claims(*, suspicious: bool) -> Mapping[str, Sequence[Claim]]:
    """Return the widths that columns claim; the column of reasons is there only if a layer is suspicious."""
    claims: dict[str, Sequence[Claim]] = {"": (Claim(0, 1),), "layer": (Claim(0, 8),)}
    for rank, (key, metric) in enumerate(LAYER_METRICS.items()):
        claims[metric.heading] = (Claim(1 + rank, 8),)
        claims[f"{key} over"] = (Claim(5 + rank, 8), Claim(9, 16))
    claims["dead"] = (Claim(4, 6),)
    return claims | ({"why": (Claim(4.5, 14), Claim(11, 80))} if suspicious else {})


def _layers(state: InsideState, width: int) -> Listed:
    views = state.layers()
    suspicious = sum(bool(view.reasons) for view in views)
    widths = share_width(_layer_claims(suspicious=suspicious > 0), width - 1)
    rows = []
    for view in views:
        cells = _layer_cells(state, view, widths)
        text = " ".join(fit(cells[name], room, left=_is_left(name)) for name, room in widths.items())
        copied = f"{view.layer}: {', '.join(_figures(view))}"
        rows.append(Row(text, "careful" if view.reasons else "", "; ".join([copied, *view.reasons])))
    header = " ".join(
        fit("" if name.endswith(" over") else name, room, left=_is_left(name)) for name, room in widths.items()
    )
    return Listed(f"layers · {suspicious} suspicious" if suspicious else "layers", header, rows)


def _is_left(name: str) -> bool:
    return name in ("", "layer", "why") or name.endswith(" over")


def _layer_cells(state: InsideState, view: LayerView, widths: Mapping[str, int]) -> dict[str, str]:
    cells = {"": "▲" if view.reasons else "", "layer": inert_line(view.layer), "why": "; ".join(view.reasons)}
    for key, metric in LAYER_METRICS.items():
        cells[metric.heading] = view.number(key)
        room = widths.get(f"{key} over", 0)
        cells[f"{key} over"] = sparkline(state.figures(key, view.layer), room) if room else ""
    cells["dead"] = "–" if view.dead_share is None else f"{view.dead_share:.1%}"
    return cells


def _figures(view: LayerView) -> list[str]:
    return [f"{metric.title} {view.number(key)}" for key, metric in LAYER_METRICS.items()]


def _maps(state: InsideState, _: int) -> Listed:
    rows = []
    for maps in state.maps():
        image = state.shown.images[maps.image] if state.shown else None
        name = state.class_name(image.truth) if image else ""
        rows.append(Row(f"{fit(inert_line(maps.layer), 8, left=True)} {name}", copied=f"{maps.layer}, {name}"))
    return Listed("maps", f"{'layer':8} image", rows)


def _confusion(state: InsideState, width: int) -> Listed:
    rows = []
    for pair in state.pairs():
        counts = f"{pair.count:,} of {pair.total:,}"
        words = f"{state.class_name(pair.truth)} → {state.class_name(pair.guess)}"
        kind = "careful" if pair.count >= FREQUENT * pair.total else ""
        rows.append(
            Row(f"{fit(words, max(8, width - 3 - len(counts)), left=True)} {counts}", kind, f"{words}: {counts}")
        )
    return Listed("most confused", "true class → taken for", rows)


def _mistakes(state: InsideState, width: int) -> Listed:
    rows = []
    for one in state.shown.mistakes if state.shown else ():
        words = f"{state.class_name(one.truth)} → {state.class_name(one.guess)}"
        share = f"{one.probabilities[0][1]:.0%}"
        rows.append(Row(f"{fit(words, max(8, width - 7), left=True)} {share:>4}", copied=f"{words} {share}"))
    return Listed("worst mistakes", "true class → guess", rows)


LISTS: Mapping[str, Callable[[InsideState, int], Listed]] = {
    "layers": _layers,
    "kernels": lambda *_: Listed("", "", ()),
    "maps": _maps,
    "confusion": _confusion,
    "mistakes": _mistakes,
}


# The drawings


def drawn(state: InsideState, selected: int, width: int, height: int, draw: Draw = half_block_lines) -> Drawn:
    """Return the drawing for the line `selected` of the list, in `width` × `height` cells, with pictures by `draw`."""
    if state.problem:
        return Drawn(state.view, [[(line, "careful")] for line in _wrapped(f"✗ {inert_line(state.problem)}", width)])
    if state.shown is None and not (state.view == "layers" and state.layers()):
        return Drawn(state.view, [])
    return DRAWINGS[state.view](state, selected, max(1, width), max(1, height), draw)


def _wrapped(text: str, width: int) -> list[str]:
    return wrap_cells(text, max(10, width), break_on_hyphens=False) or [""]


def _layer_history(state: InsideState, selected: int, width: int, height: int, draw: Draw) -> Drawn:
    """Return a layer's figures over the training, and its distributions now and over the epochs."""
    views = state.layers()
    if selected >= len(views):
        return Drawn("", [])
    view = views[selected]
    lines: list[Line] = [[(line, "careful")] for reason in view.reasons for line in _wrapped(f"▲ {reason}", width)]
    room = max(8, width - 20)
    for key, metric in LAYER_METRICS.items():
        values = state.figures(key, view.layer)
        if values:
            lines.append(
                [(f"{metric.heading:9}", "faint"), (f"{view.number(key):>9} ", ""), (sparkline(values, room), "")]
            )
    parts = [
        (title, one, {epoch: past for epoch, layer in state.past(view.layer) if (past := getattr(layer, part))})
        for part, title in (("weights", "weights"), ("activations", "outputs"))
        if (one := getattr(view, part)) is not None
    ]
    room = (height - len(lines)) // max(1, len(parts))
    for title, one, past in parts:
        lines += _distribution(title, one, past, width, room, draw)
    return Drawn(inert_line(view.layer), lines)


def _distribution(
    title: str, now: LayerHistogram, past: Mapping[int, LayerHistogram], width: int, height: int, draw: Draw
) -> list[Line]:
    """Return the current histogram, and a strip of those of the past epochs: large values at the top."""
    dead = "" if now.dead_share is None else f" · {now.dead_share:.0%} dead"
    words = f"mean {now.mean:.2g} ± {now.std:.2g}{dead}"
    lines: list[Line] = [[(f"{title:9}", "faint"), (fit(words, width - 9, left=True), "")]]
    scale = f"±{now.limit:g}"
    bars = max(8, min(len(now.counts), width - len(scale) - 1))
    high = max(1, min(HISTOGRAM_LINES, height // 4))
    lines += [[(line, "")] for line in histogram_lines(now.counts, bars, high)]
    lines[-1] = [*lines[-1], (f" {scale}", "faint")]
    left = height - len(lines) - 2
    if len(past) > 1 and left > 1:
        lines += draw(heat_strip(tuple(past.values()), width, 2 * left), width, left, STRIP_BYTES, blocks=True)
        limit = max(one.limit for one in past.values())
        lines.append([(_strip_caption(min(past), max(past), limit, width), "faint")])
    lines.append([])
    return lines


def _strip_caption(first: int, last: int, limit: float, width: int) -> str:
    """Return what a strip shows, as far as there is room."""
    caption = f"epochs {first} to {last}"
    for words in (f"top +{limit:g}, bottom -{limit:g}", "lighter: more values"):
        if len(caption) + len(words) + 3 <= width:
            caption += f" · {words}"
    return fit(caption, min(len(caption), width), left=True)


def _kernels(state: InsideState, _: int, width: int, height: int, draw: Draw) -> Drawn:
    grid = state.shown.kernels if state.shown else None
    if grid is None:
        return Drawn("kernels", [[("the network has no convolution whose kernels could be shown", "faint")]])
    count, channels, rows, columns = grid.kernels.codes.shape
    each = -(-count // max(1, grid.towers))
    per_row = _per_row(each, rows, columns, width, 2 * (height - 1) // max(1, grid.towers))
    title = f"{inert_line(grid.layer)} · {count} of {grid.total} kernels of {channels}×{rows}×{columns}"
    title += f" · {grid.towers} towers" if grid.towers > 1 else ""
    mean = "" if channels in (1, 3) else "the mean over the channels; "
    caption = f"{mean}a kernel's largest weight is white, its smallest black" if channels != 3 else COLOUR_CAPTION
    picture = draw(kernel_picture(grid, per_row), width, height - 1, KERNEL_BYTES)
    return Drawn(title, [*picture, [(fit(caption, min(len(caption), width), left=True), "faint")]])


def _per_row(count: int, height: int, width: int, columns: int, rows: int) -> int:
    """Return how many of `count` tiles to put in a row, so that they are largest in `columns` × `rows` pixels.

    Pictures are enlarged by whole factors only.
    """

    def size(per_row: int) -> float:
        lines = -(-count // per_row)
        scale = min(columns / (per_row * (width + GAP)), rows / (lines * (height + GAP)))
        scale = int(scale) if scale >= 1 else scale
        return scale * (EQUAL_ROWS if count % per_row == 0 else 1)

    return max(range(1, count + 1), key=size)


def _maps_picture(state: InsideState, selected: int, width: int, height: int, draw: Draw) -> Drawn:
    shown = state.maps()
    if state.shown is None or selected >= len(shown):
        return Drawn("maps", [[("no feature maps were recorded", "faint")]])
    maps = shown[selected]
    image = state.shown.images[maps.image]
    if state.unit is not None and (row := state.row(maps.layer)) is not None:
        return unit_drawn(image.picture, maps, row, state.input_size, state.unit, (width, height), draw)
    size = "×".join(map(str, maps.shape[1:]))
    words = [
        f"{len(maps.maps)} of {maps.shape[0]} maps of {size}",
        "white: a map's largest value",
        f"image: {state.class_name(image.truth)}",
        f"guess: {state.class_name(image.guess)} {image.probabilities[0][1]:.0%}",
    ]
    lines: list[Line] = []
    if height >= 20:
        lines += beside(draw(image.picture, 14, 7, BESIDE_BYTES), [[(word, "")] for word in words])
    else:
        lines += [[(line, "faint")] for line in _wrapped(" · ".join(words), width)]
    left = height - len(lines) - 1
    count, rows, columns = maps.maps.codes.shape
    picture = maps_picture([maps], _per_row(count, rows, columns, width, 2 * left))
    return Drawn(inert_line(maps.layer), [*lines, [], *draw(picture, width, left, MAPS_BYTES)])


def _matrix(state: InsideState, selected: int, width: int, height: int, draw: Draw) -> Drawn:
    confusion = state.confusion
    if confusion is None:
        return Drawn("confusion", [[("no confusion matrix was recorded: it is counted up to 1,000 classes", "faint")]])
    pairs = state.pairs()
    pair = (pairs[selected].truth, pairs[selected].guess) if selected < len(pairs) else None
    for counts, unit in ((confusion.counts, ""), (confusion.percentages, ", in %")):
        numbers = _numbers(state, confusion, counts, pair, width)
        caption = _wrapped(f"a row for each true class, a column for each guess{unit}", width)
        if numbers is not None and len(numbers) + len(caption) <= height:
            return Drawn("confusion", [*numbers, *([(line, "faint")] for line in caption)])
    caption = _wrapped("a row for each true class, a column for each guess · blue: right, red: wrong", width)
    picture = draw(confusion_picture(confusion, 1), width, height - len(caption))
    return Drawn("confusion", [*picture, *([(line, "faint")] for line in caption)])


def _numbers(
    state: InsideState, confusion: Confusion, counts: NDArray[Any], pair: tuple[int, int] | None, width: int
) -> list[Line] | None:
    """Return the matrix as numbers, with the selected pair in brackets; None if there is no room for it.

    The titles of its columns are the names of the classes where these fit, else numbers, which its rows have, too.
    """
    titles = [state.class_name(number) for number in confusion.classes]
    names = titles
    most = len(str(int(counts.max(initial=0))))
    cells = 2 + max(most, *map(len, titles))
    if max(map(len, names)) + cells * len(titles) + 1 > width:
        titles = [str(number) for number in confusion.classes]
        names = [f"{number} {name}" for number, name in zip(titles, names, strict=True)]
        cells = 2 + max(most, *map(len, titles))
    room = min(max(map(len, names)), width - cells * len(names) - 1)
    if room < 4:
        return None
    lines: list[Line] = [[(" " * room + "".join(f"{title:>{cells - 1}} " for title in titles), "faint")]]
    for i, name in enumerate(names):
        parts: list[Part] = [(fit(name, room, left=True), "")]
        for j, (number, count) in enumerate(zip(counts[i].tolist(), confusion.counts[i].tolist(), strict=True)):
            text = str(number) if number else "·"
            chosen = pair == (confusion.classes[i], confusion.classes[j])
            frequent = i != j and count >= FREQUENT * confusion.images[i] and count > 0
            kind = "careful" if frequent else "" if number else "faint"
            parts.append((f"[{text}]".rjust(cells) if chosen else f"{text:>{cells - 1}} ", kind))
        lines.append(parts)
    return lines


def _mistake(state: InsideState, selected: int, width: int, height: int, draw: Draw) -> Drawn:
    mistakes = state.shown.mistakes if state.shown else ()
    if selected >= len(mistakes):
        return Drawn("mistake", [[("no mistake was recorded", "faint")]])
    one = mistakes[selected]
    texts = _answers(state, one, width)
    blocks = draw(one.picture, width, height - len(texts) - 1)
    where = inert_line(one.name) if one.name else f"validation image {one.index}"
    return Drawn(where, [*blocks, [], *texts])


def _answers(state: InsideState, one: ShownImage, width: int) -> list[Line]:
    guesses = bars([(state.class_name(number), share) for number, share in one.probabilities], width)
    loss = f" · loss {one.loss:.2f}" if isinstance(one, Mistake) else ""
    return [
        [("truth ", "faint"), (f"{state.class_name(one.truth)}{loss}", "")],
        *([(fit(line, min(len(line), width), left=True), "")] for line in guesses),
    ]


def looked(found: Look, width: int, height: int, draw: Draw = half_block_lines) -> Drawn:
    """Return an image with its Grad-CAM heat map, its classes beside it, and the maps of a layer below."""
    picture = found.picture if found.heat is None else heated(found.picture, found.heat)
    channels, rows, columns = found.shape
    room = max(1, 5 * height // 9)
    image = draw(picture, min(2 * room, width // 2), room, LOOKED_BYTES)
    words = [
        *([f"truth {inert_line(found.truth)}"] if found.truth is not None else []),
        *bars(found.classes, width - width_of(image) - BESIDE_GAP),
        *(["", f"yellow and red: evidence for {inert_line(found.cam)} (Grad-CAM)"] if found.cam else []),
    ]
    above = beside(image, [[(word, "")] for word in words])
    left = height - len(above) - 1
    drawing = maps_picture([found.feature_maps], _per_row(channels, rows, columns, width, 2 * max(1, left)))
    below = draw(drawing, width, left, LOOKED_MAPS_BYTES) if left > 1 else []
    return Drawn(f"{channels} maps of {rows}×{columns} of {inert_line(found.layer)}", [*above, [], *below])


DRAWINGS: Mapping[str, Callable[[InsideState, int, int, int, Draw], Drawn]] = {
    "layers": _layer_history,
    "kernels": _kernels,
    "maps": _maps_picture,
    "confusion": _matrix,
    "mistakes": _mistake,
}
