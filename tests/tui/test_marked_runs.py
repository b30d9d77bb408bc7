"""The marked runs and their curves, without the app."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.status import Status, write_status
from alexplore.tui.marked_runs import MARKERS, MINUTES, MarkedRuns, OverlayReader


def validate(run: RunDirectory, epoch: int, accuracy: float) -> None:
    with LineWriter(run.metrics_file, attempt=0) as writer:
        writer.append(step=4 * epoch - 1, epoch=epoch - 0.25, **{"train/loss": 2.0 * epoch})
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
    marked.rename("d", "e")
    assert (marked.marker("d"), marked.marker("e")) == (" ", MARKERS[0])


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
    """Also a run that had no epoch when it was marked."""
    first, second = (create_run(config, tmp_path, name) for name in ("first", "second"))
    validate(first, 1, 0.75)
    marked, reader = MarkedRuns(), OverlayReader()
    marked.toggle("second")
    marked.toggle("first")
    runs = [first, second]
    before = reader.read(marked.marked(runs))
    assert [(one.name, one.number, one.note, list(one.curve.values)) for one in before.runs] == [
        ("second", 0, "no epoch yet", []),
        ("first", 1, "", [0.75]),
    ]
    assert reader.read(marked.marked(runs)).looks_like(before)

    validate(first, 2, 0.875)
    validate(first, 3, 0.8)
    validate(second, 1, 0.5)
    after = reader.read(marked.marked(runs))
    assert not after.looks_like(before)
    plot = after.plot()
    assert [(line.name, list(line.x), list(line.y), line.marker) for line in plot.lines] == [
        ("second", [1], [0.5], "●"),
        ("first", [1, 2, 3], [0.75, 0.875, 0.8], "▲"),
    ]
    assert (plot.end, plot.percent, plot.value_text(0.875)) == (3.0, True, "87.5%")

    marked.toggle("second")
    assert [run.name for run in reader.read(marked.marked(runs)).runs] == ["first"]


def test_a_run_that_is_trained_says_so_at_its_end(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(config, tmp_path, "alpha")
    validate(run, 1, 0.5)
    write_status(run, Status("running", step=4, epoch=1.0, updated=1.0))
    monkeypatch.setattr("alexplore.runs.status.is_locked", lambda _: True)
    assert [line.name for line in OverlayReader().read([(run, 0)]).plot().lines] == ["alpha (running)"]


def test_a_run_that_can_not_be_read_is_named(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path, "damaged")
    run.config_file.write_text("{")
    overlay = OverlayReader().read([(run, 0)])
    assert [(line.name, line.note) for line in overlay.plot().lines] == [("damaged", "can't be read")]
    assert overlay.plot().end == 1.0
    assert overlay.differences == ()


def test_other_metrics_and_minutes(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path, "alpha")
    for epoch in (1, 2):
        validate(run, epoch, epoch / 10)
    reader = OverlayReader()
    overlay = reader.read([(run, 0)])
    shown = [overlay.metric]
    for _ in range(3):
        overlay = reader.read([(run, 0)], overlay.next_metric())
        shown.append(overlay.metric)
    assert shown == ["val/acc", "val/loss", "train/loss", "val/acc"]
    losses = reader.read([(run, 0)], "train/loss")
    assert list(losses.runs[0].curve.values) == [2.0, 4.0]  # smoothing leaves two points alone
    assert list(losses.plot(MINUTES).lines[0].x) == list(losses.runs[0].curve.minutes)
    assert losses.plot(MINUTES).unit == "min"


def test_what_differs_between_the_runs(config: RunConfig, tmp_path: Path) -> None:
    other = replace(config, recipe=replace(config.recipe, lr=0.5))
    marked = [(create_run(one, tmp_path, name), n) for n, (one, name) in enumerate(((config, "a"), (other, "b")))]
    rows = {row.name: row.texts for row in OverlayReader().read(marked).differences}
    assert rows["lr"] == ("0.005", "0.5")
    assert "seed" not in rows


def test_runs_that_differ_only_in_their_seed_have_a_mean_and_a_band(config: RunConfig, tmp_path: Path) -> None:
    configs = [replace(config, recipe=replace(config.recipe, seed=seed)) for seed in range(3)]
    configs.append(replace(config, recipe=replace(config.recipe, lr=0.5)))
    values = ([0.5, 0.7], [0.6, 0.8], [0.7], [0.9, 0.9])
    marked = []
    for number, (one, accuracies) in enumerate(zip(configs, values, strict=True)):
        run = create_run(one, tmp_path, f"run{number}")
        for epoch, accuracy in enumerate(accuracies, 1):
            validate(run, epoch, accuracy)
        marked.append((run, number))
    overlay = OverlayReader().read(marked)
    assert overlay.has_seeds
    mean, single = overlay.plot(by_seed=True).lines
    assert mean.name == "run0 and 2 more seeds"
    assert list(mean.y) == pytest.approx([0.6, 0.75])
    assert list(mean.band) == [(0.5, 0.7), (0.7, 0.8)]
    assert (single.name, list(single.band)) == ("run3", [])
    assert len(overlay.plot().lines) == 4
    assert not OverlayReader().read(marked[2:]).has_seeds
