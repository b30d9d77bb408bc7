"""What is drawn beside the curves of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.presets.library import load_preset
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.protocol import DatasetEvent, MetricsLine, event_record, metrics_record
from alexplore.runs.status import Status
from alexplore.tui.marked_runs import EPOCHS, MINUTES
from alexplore.tui.plot import Line
from alexplore.tui.run_plots import accuracy_plot, loss_plot, rate_plot
from alexplore.tui.watched_run import Poller, WatchedRun


def watched(folder: Path, preset: str, dataset: str, classes: int = 10, *, synthetic: bool = False) -> WatchedRun:
    """Return a run of a preset that has trained an epoch, with a validation accuracy of 80 %."""
    loaded = load_preset(preset)
    recipe = replace(loaded.recipe, dataset=dataset)
    run: RunDirectory = create_run(RunConfig(preset, loaded.network, recipe), folder, preset)
    with LineWriter(run.metrics_file, attempt=0) as metrics, LineWriter(run.events_file, attempt=0) as events:
        events.append(**event_record(DatasetEvent(dataset, 60, 10, classes, synthetic)))
        metrics.append(**metrics_record(MetricsLine(1, 1.0, {"train/acc": 0.7, "val/acc": 0.8})))
    found = WatchedRun(run)
    found.update(*Poller(run, 0.0).poll(1.0))
    return found


def published(run: WatchedRun, unit: str = EPOCHS) -> list[Line]:
    return [line for line in accuracy_plot(run, unit, raw=False).lines if line.name == "published"]


def test_one_published_result_is_a_level(tmp_path: Path) -> None:
    (line,) = published(watched(tmp_path, "fmnist", "fashion-mnist"))
    assert list(line.y) == [0.884, 0.884]


def test_published_results_of_each_epoch_are_a_curve_over_epochs(tmp_path: Path) -> None:
    run = watched(tmp_path, "fmnist-valid", "fashion-mnist")
    (line,) = published(run)
    assert dict(zip(line.x, line.y, strict=True)) == {1: 0.858, 2: 0.888, 3: 0.895, 4: 0.904, 5: 0.906}
    (line,) = published(run, MINUTES)
    assert list(line.y) == [0.906, 0.906]


@pytest.mark.parametrize(
    "other",
    [{"dataset": "mnist"}, {"dataset": "fashion-mnist", "synthetic": True}, {"dataset": "fashion-mnist", "classes": 3}],
)
def test_results_on_other_images_are_not_drawn(tmp_path: Path, other: dict[str, object]) -> None:
    assert published(watched(tmp_path, "fmnist", **other)) == []  # type: ignore[arg-type]


def test_a_live_training_is_marked_on_the_axis_of_epochs(tmp_path: Path) -> None:
    run = watched(tmp_path, "fmnist", "fashion-mnist")
    assert run.snapshot is not None
    for state, marked in (("running", 1.5), ("paused", 1.5), ("stopped", None)):
        run.snapshot = replace(run.snapshot, status=Status(state, epoch=1.5))
        for plot in (accuracy_plot, loss_plot):
            assert plot(run, EPOCHS, raw=False).now == marked
            assert plot(run, MINUTES, raw=False).now is None
        assert rate_plot(run, EPOCHS).now == marked
