"""Training metrics: which ones, and how often they are written."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from alexplore.runs.lines import LineReader
from alexplore.runs.metrics import METRICS, Recorded
from alexplore.training.evaluate import EpochResult
from alexplore.training.metrics import CAPACITY, StepLog, Tally, is_recorded, read_steps, record_interval, step_row
from tests.support.examples import examples
from tests.support.runs import events
from tests.support.training import train_here
from tests.training.conftest import MakeRun


@examples(100)
@given(st.integers(1, 10**9), st.integers(1, 512), st.integers(1, 20_000))
def test_an_epoch_has_50_to_1000_metrics_lines(macs: int, batch: int, steps: int) -> None:
    interval = record_interval(macs, batch, steps)
    lines = [step for step in range(1, steps + 1) if is_recorded(step, interval, steps)]
    assert lines[0] == 1
    assert lines[-1] == steps
    assert len(lines) <= 1000 + 16
    assert len(lines) >= min(steps, 50)


def test_every_declared_metric_is_computed(make_run: MakeRun) -> None:
    """The top-5 accuracy only of data sets with more than ten classes."""
    run = make_run(epochs=1)
    train_here(run)
    first, *_ = LineReader(run.metrics_file).read()
    per_step = {key for key in first if key in METRICS}
    assert per_step == {key for key, metric in METRICS.items() if metric.recorded == Recorded.PER_STEP}
    per_epoch = EpochResult(1.0, 1, 1, 1).values(classes=11).keys()
    assert per_epoch == {key for key, metric in METRICS.items() if metric.recorded == Recorded.PER_EPOCH}
    (epoch,) = events(run, "epoch")
    assert {key for key in epoch if key in METRICS} == METRICS.keys() - {"lr", "val/acc5"}


def test_tallies_are_sums_over_images() -> None:
    both = Tally(3.0, 2, 4).plus(Tally(1.0, 1, 4))
    assert both == Tally(4.0, 3, 8)
    assert both.values() == {"train/loss": 0.5, "train/acc": 0.375}
    assert Tally().values() == {"train/loss": 0.0, "train/acc": 0.0}


def test_steps_are_read_together() -> None:
    log = StepLog(torch.device("cpu"))
    good, bad = torch.tensor(0.0), torch.tensor(1.0)
    log.add(step_row(torch.tensor(6.0), torch.tensor(3), good), 4, 1.0)
    log.add(step_row(torch.tensor(2.5), torch.tensor(1), bad), 2, 0.5)
    assert not log.full
    assert read_steps(log.take()) == [(Tally(6.0, 3, 4), False), (Tally(1.25, 1, 2), True)]
    assert read_steps(log.take()) == []
    for _ in range(CAPACITY):
        assert not log.full
        log.add(step_row(torch.tensor(0.0), torch.tensor(0), good), 0, 1.0)
    assert log.full
