"""The marked runs and their curves, without the app."""

from __future__ import annotations

from pathlib import Path

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineWriter
from alexplore.tui.marked_runs import MARKERS, MarkedRuns, OverlayReader


def validate(run: RunDirectory, epoch: int, accuracy: float) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        writer.append(step=4 * epoch, epoch=epoch, **{"val/loss": 0.5, "val/acc": accuracy})


def test_a_run_keeps_its_marker_while_it_is_marked() -> None:
    marked = MarkedRuns()
    for name in ("a", "b", "c"):
        marked.toggle(name)
    assert [marked.marker(name) for name in "abc"] == list(MARKERS[:3])
    marked.toggle("a")
    assert [marked.marker(name) for name in "abc"] == [" ", MARKERS[1], MARKERS[2]]
    marked.toggle("d")
    assert marked.marker("d") == MARKERS[0]


def test_more_runs_than_markers_share_them() -> None:
    marked = MarkedRuns()
    names = [f"run{number}" for number in range(len(MARKERS) + 1)]
    for name in names:
        marked.toggle(name)
    assert marked.marker(names[-1]) == MARKERS[0]


def test_runs_that_are_gone_are_not_marked_any_more() -> None:
    marked = MarkedRuns()
    marked.toggle("a")
    marked.toggle("b")
    marked.keep(["b", "c"])
    assert "a" not in marked
    assert "b" in marked
    marked.keep([])
    assert not marked


def test_the_overlay_follows_the_runs(config: RunConfig, tmp_path: Path) -> None:
    first, second = (create_run(config, tmp_path, name) for name in ("first", "second"))
    validate(first, 1, 0.75)
    marked, reader = MarkedRuns(), OverlayReader()
    marked.toggle("second")
    marked.toggle("first")
    runs = [first, second]
    before = reader.read(marked.marked(runs))
    assert [(one.name, one.number, one.note, list(one.curve.values)) for one in before.curves] == [
        ("second", 0, "no epoch yet", []),
        ("first", 1, "", [0.75]),
    ]
    assert [curve.label for curve in before.curves] == ["second · no epoch yet", "first"]
    assert before.epochs == 1.0
    assert reader.read(marked.marked(runs)) == before

    validate(first, 2, 0.875)
    validate(first, 3, 0.8)
    validate(second, 1, 0.5)
    after = reader.read(marked.marked(runs))
    assert [list(curve.curve.values) for curve in after.curves] == [[0.5], [0.75, 0.875, 0.8]]
    assert after.epochs == 3.0

    marked.toggle("second")
    assert [curve.name for curve in reader.read(marked.marked(runs)).curves] == ["first"]


def test_a_run_that_can_not_be_read_is_named(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path, "damaged")
    run.config_file.write_text("{")
    marked = MarkedRuns()
    marked.toggle("damaged")
    overlay = OverlayReader().read(marked.marked([run]))
    assert [curve.label for curve in overlay.curves] == ["damaged · can't be read"]
    assert overlay.epochs == 1.0
