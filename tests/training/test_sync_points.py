"""Sync points: when they are, and what the ranks agree on."""

from __future__ import annotations

import itertools
import time

import pytest

from alexplore.runs.control import write_request
from alexplore.training.parallel.ranks import SINGLE_RANK
from alexplore.training.sync_points import INTERVAL_SECONDS, AgreedActions, SyncPoints
from tests.support.training import QuietSignals
from tests.training.conftest import MakeRun


def steps_to_next(sync_points: SyncPoints) -> int:
    """Take steps up to a sync point, and return how many."""
    steps = 1
    while not sync_points.step():
        steps += 1
    return steps


@pytest.mark.parametrize("step_seconds", [0.001, 0.03, 2.0])
def test_they_come_about_as_often_as_intended(step_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    sync_points = SyncPoints(SINGLE_RANK, None, QuietSignals())
    found = []
    for _ in range(8):
        steps = steps_to_next(sync_points)
        found.append(steps)
        now += steps * step_seconds
        sync_points.agree()
    assert found[0] == 1  # the first step shows what is asked for
    assert all(later <= 4 * earlier for earlier, later in itertools.pairwise(found))
    assert found[-1] == max(1, round(INTERVAL_SECONDS / step_seconds))


def test_requests_and_signals_are_agreed_on(make_run: MakeRun) -> None:
    run, signals = make_run(), QuietSignals()
    sync_points = SyncPoints(SINGLE_RANK, run, signals)
    assert sync_points.agree() == AgreedActions()
    assert sync_points.agree(checkpoint=True) == AgreedActions(checkpoint=True)
    pause, save = write_request(run, "pause"), write_request(run, "checkpoint")
    assert sync_points.agree() == AgreedActions(checkpoint=True, paused=True, requests=(pause, save))
    assert sync_points.agree() == AgreedActions(paused=True)  # until it is asked to resume
    resume = write_request(run, "resume")
    assert sync_points.agree() == AgreedActions(requests=(resume,))
    stop = write_request(run, "stop")
    assert sync_points.agree() == AgreedActions(stop=True, requests=(stop,))
    signals.stop = True
    assert sync_points.agree() == AgreedActions(stop=True)
