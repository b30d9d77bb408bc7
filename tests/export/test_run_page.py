"""A run as an HTML page: it holds what it should, escapes everything and loads nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from alexplore.export.line_chart import ChartLine, line_chart, ticks
from alexplore.export.run_page import MOST_ROWS, run_page
from alexplore.presets.library import load_preset
from alexplore.runs.config import RunConfig
from alexplore.runs.curves import Curve
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.inside import Confusion, InsideEpoch, inside_file, save_epoch
from alexplore.runs.lines import LineWriter
from alexplore.runs.status import Status, write_status
from tests.support.hostile import HOSTILE, check_inert

LARGEST_PAGE = 2**20


class Page(HTMLParser):
    """Collects tags and texts; fails when a tag is closed that was not the last one opened."""

    VOID = ("meta", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"] and data.strip():
            self.texts.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def write_run(folder: Path, config: RunConfig, name: str = "alpha", epochs: int = 3) -> RunDirectory:
    run = create_run(config, folder, name)
    with LineWriter(run.metrics_file, attempt=0) as metrics, LineWriter(run.events_file, attempt=0) as events:
        for epoch in range(1, epochs + 1):
            values = {"val/loss": 1.5 / epoch, "val/acc": 1 - 0.5 / epoch}
            metrics.append(step=4 * epoch, epoch=float(epoch), lr=0.01, **{"train/loss": 2.0 / epoch})
            metrics.append(step=4 * epoch, epoch=float(epoch), **values)
            events.append(event="epoch", epoch=epoch, step=4 * epoch, seconds=60.0 * epoch, **values)
    write_status(run, Status("finished", step=4 * epochs, epoch=float(epochs), updated=1.0))
    return run


def confused(classes: int, name: str = "class") -> InsideEpoch:
    counts = np.arange(classes * classes, dtype=np.uint32).reshape(classes, classes)
    matrix = Confusion(tuple(range(classes)), counts, tuple(int(row.sum()) for row in counts))
    return InsideEpoch(3, 12, classes={number: f"{name} {number}" for number in range(classes)}, confusion=matrix)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    preset = load_preset("fmnist-28")
    return write_run(tmp_path / "runs", RunConfig(preset.name, preset.network, replace(preset.recipe, lr=0.0123)))


def test_a_page_has_curves_recipe_network_epochs_and_confusion(run: RunDirectory) -> None:
    save_epoch(run, confused(3))
    page = Page(run_page(run))
    assert page.count("svg") == 3
    text = "|".join(page.texts)
    network = load_preset("fmnist-28").network
    for wanted in ("alpha", "0.0123", "best validation 83.3% at epoch 3", "3:00", "class 2", "Confusion matrix"):
        assert wanted in text, wanted
    for layer in network.layers:
        assert layer.name in page.texts
    matrix = page.texts[page.texts.index("class 0", page.texts.index("class 2") + 1) :]
    assert matrix[:10] == ["class 0", "1", "2", "class 1", "3", "4", "5", "class 2", "6", "7"]  # 0 is left blank


def test_it_loads_nothing_and_runs_nothing(run: RunDirectory) -> None:
    page = Page(run_page(run))
    assert not any({"src", "href", "onload", "style"} & set(attributes) for _, attributes in page.tags)
    assert page.count("script") == page.count("link") == page.count("img") == 0
    policies = [attributes.get("content") or "" for tag, attributes in page.tags if tag == "meta"]
    assert any("default-src 'none'" in policy for policy in policies)


def test_every_text_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>&\"'" + HOSTILE
    preset = load_preset("fmnist-28")
    run = write_run(tmp_path / "runs", RunConfig(evil, preset.network, preset.recipe), name="<b>&amp;")
    write_status(run, Status("failed", step=1, epoch=1.0, updated=1.0, reason=evil))
    save_epoch(run, confused(2, name=evil))
    content = run_page(run)
    check_inert(content)
    page = Page(content)
    assert page.count("script") == page.count("b") == 0
    text = "".join(page.texts)
    assert "<script>alert(1)</script>&\"'" in text
    assert "<b>&amp;" in page.texts


def test_a_large_page_stays_below_a_mebibyte(tmp_path: Path) -> None:
    preset = load_preset("paper")
    run = write_run(tmp_path / "runs", RunConfig(preset.name, preset.network, preset.recipe), epochs=3 * MOST_ROWS)
    save_epoch(run, confused(100))
    content = run_page(run)
    assert len(content.encode()) < LARGEST_PAGE
    assert "… 1,000 rows …" in content
    Page(content)


def test_a_run_without_anything_and_one_with_a_damaged_record_have_a_page(run: RunDirectory, tmp_path: Path) -> None:
    inside_file(run, 3).parent.mkdir(exist_ok=True)
    inside_file(run, 3).write_bytes(b"damaged")
    assert "Confusion matrix" not in run_page(run)
    preset = load_preset("paper")
    empty = create_run(RunConfig(preset.name, preset.network, preset.recipe), tmp_path / "runs", "empty")
    assert Page(run_page(empty)).count("svg") == 0


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.0, 3.0), (-0.013, 2.4), (1e-9, 3e-9), (0.0, 1e12), (5.0, 5.0)]
)
def test_ticks_are_few_round_numbers_in_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert len(found) <= 6
    assert all(low - 1e-9 * abs(low) <= tick <= high * (1 + 1e-9) for tick in found)
    if high > low:
        assert len(found) >= 2


def test_a_chart_leaves_out_what_is_not_finite_and_keeps_peaks() -> None:
    values = [1.0] * 5000
    values[1234], values[77] = 9.0, math.nan
    chart = line_chart("loss", [ChartLine("a", Curve([float(n) for n in range(5000)], values), "one")], "{:.1f}".format)
    (points,) = [part.split('"')[0] for part in chart.split('points="')[1:]]
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert len(places) < 700
    assert len({y for _, y in places}) == 2
    assert line_chart("loss", [ChartLine("a", Curve(), "one")], str) == ""
