"""Changes under way, and evaluations: what they change, what they leave, and that a killed run makes them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from alexplore.runs.control import write_request
from alexplore.runs.directory import RunDirectory
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.sync_points import SyncPoints
from tests.support.runs import change_run, events, metrics
from tests.support.training import train_here
from tests.training.conftest import MakeRun
from tests.training.test_resume import Killed, assert_same_end, weights

EPOCH = 5  # steps


class Script:
    """What happens at which batch, counted over all attempts."""

    def __init__(self) -> None:
        self.batches = 0
        self.deaths: set[int] = set()
        self.requests: dict[int, tuple[RunDirectory, str, Mapping[str, Any]]] = {}

    def play(self) -> None:
        self.batches += 1
        if self.batches in self.requests:
            write_request(*self.requests[self.batches])
        if self.batches in self.deaths:
            raise Killed


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Return a script that is played at every batch; every step is a sync point."""
    made, plain, step = Script(), Preprocess.draw, SyncPoints.step

    def draw(self: Preprocess, count: int, seed: int, before: int = 0) -> tuple[Tensor, ...]:
        made.play()
        return plain(self, count, seed, before)

    monkeypatch.setattr(Preprocess, "draw", draw)
    monkeypatch.setattr(SyncPoints, "step", lambda self: step(self) or True)
    return made


CHANGES: Mapping[str, Any] = {"lr": 0.01, "epochs": 4}


def test_it_counts_from_the_next_step_on(make_run: MakeRun, script: Script) -> None:
    run = make_run(epochs=2, schedule="cosine")
    script.requests[7] = run, "set", CHANGES
    assert train_here(run) == "finished"
    assert run.config().recipe.epochs == 4
    assert max(step for _, step in metrics(run)) == 4 * EPOCH
    assert [(event["step"], event["after"]) for event in events(run, "change")] == [(7, CHANGES)]
    assert [event["step"] for event in events(run, "control")] == [7]
    planned = make_run("planned", epochs=2, schedule="cosine")  # the same, known from the beginning
    planned.config_file.write_text(planned.config().steered(7, CHANGES).to_json())
    assert train_here(planned) == "finished"
    assert_same_end(run, planned)
    unchanged = make_run("unchanged", epochs=2, schedule="cosine")
    assert train_here(unchanged) == "finished"
    rates, before = (
        {step: value for (key, step), value in metrics(one).items() if key == "lr"} for one in (run, unchanged)
    )
    assert [rates[step] for step in range(1, 8)] == [before[step] for step in range(1, 8)]
    assert all(rates[step] > before[step] for step in range(8, 11))


def test_a_run_killed_after_a_change_makes_it_again(make_run: MakeRun, script: Script) -> None:
    whole, parts = (make_run(name, epochs=2, schedule="cosine", warmup_epochs=0.5) for name in ("whole", "parts"))
    whole.config_file.write_text(whole.config().steered(7, CHANGES).to_json())
    assert train_here(whole) == "finished"
    start = script.batches
    script.requests[start + 7] = parts, "set", CHANGES
    script.deaths = {start + 9, start + 10, start + 13}  # after the change, before it is due again, and after it again
    for _ in range(3):
        with pytest.raises(Killed):
            train_here(parts)
    assert train_here(parts) == "finished"
    assert_same_end(parts, whole)
    made = [(event["attempt"], event["step"], event.get("repeated", False)) for event in events(parts, "change")]
    assert made == [(0, 7, False), (2, 7, True), (3, 7, True)]


def test_resuming_with_another_rate_replaces_the_change(make_run: MakeRun, script: Script) -> None:
    run = make_run(epochs=2)
    script.requests[7] = run, "set", {"lr": 0.01}
    script.deaths = {9}
    with pytest.raises(Killed):
        train_here(run)
    change_run(run, {"lr": 0.5})
    assert train_here(run) == "finished"
    assert [value for (key, step), value in metrics(run).items() if key == "lr" and step > EPOCH] == [0.5] * EPOCH


def test_what_is_not_allowed_is_refused_by_the_worker_too(make_run: MakeRun, script: Script) -> None:
    run = make_run()
    script.requests = {
        2: (run, "set", {"lr": -1}),
        3: (run, "set", {"seed": 1}),
        7: (run, "set", {"epochs": 1}),
        8: (run, "set", {}),
    }
    before = run.config()
    assert train_here(run) == "finished"
    refused = [event["error"] for event in events(run, "control")]
    assert [error.split(" ")[0] for error in refused] == ["lr:", "seed", "epochs:", "nothing"]
    assert run.config() == before
    assert not events(run, "change")


def test_a_change_that_can_not_be_recorded_is_refused(
    make_run: MakeRun, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    run = make_run()
    script.requests[2] = run, "set", {"lr": 0.5}
    monkeypatch.setattr("alexplore.training.steering.write_atomically", full)
    assert train_here(run) == "finished"
    assert [event["error"] for event in events(run, "control")] == [
        "config.json can't be written: No space left on device"
    ]
    assert {value for (key, _), value in metrics(run).items() if key == "lr"} == {0.003}


def test_evaluating_changes_no_bit(make_run: MakeRun, script: Script) -> None:
    plain, run = make_run("plain"), make_run()
    assert train_here(plain) == "finished"
    start = script.batches
    script.requests = {start + 3: (run, "evaluate", {}), start + 8: (run, "evaluate", {})}
    assert train_here(run) == "finished"
    ours, theirs = weights(run), weights(plain)
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())
    added = metrics(run).keys() - metrics(plain).keys()
    assert added == {(key, step) for key in ("val/loss", "val/acc") for step in (3, 8)}
    assert [event["step"] for event in events(run, "evaluation")] == [3, 8]
    assert [event["step"] for event in events(run, "control")] == [3, 8]


def test_the_value_is_that_of_the_weights_at_the_step(make_run: MakeRun, script: Script) -> None:
    run = make_run()
    script.requests[EPOCH] = run, "evaluate", {}  # the last step of the epoch, which is evaluated anyway
    assert train_here(run) == "finished"
    first, epoch = events(run, "evaluation")[0], events(run, "epoch")[0]
    assert (first["val/loss"], first["val/acc"]) == (epoch["val/loss"], epoch["val/acc"])


def test_evaluating_in_a_pause(make_run: MakeRun, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    script.requests[3] = run, "pause", {}
    left = [("evaluate", 3), ("resume", 3)]
    monkeypatch.setattr("alexplore.training.loop.time.sleep", lambda _: left and write_request(run, left.pop(0)[0]))
    assert train_here(run) == "finished"
    assert [(event["action"], event["step"]) for event in events(run, "control")] == [
        ("pause", 3), ("evaluate", 3), ("resume", 3),
    ]  # fmt: skip


def test_stopping_after_the_epoch(make_run: MakeRun, script: Script) -> None:
    run = make_run(epochs=3)
    script.requests[7] = run, "stop_after_epoch", {}
    assert train_here(run) == "stopped"
    assert events(run, "end")[-1]["step"] == 2 * EPOCH
    assert train_here(run) == "finished"


def test_stopping_after_the_epoch_can_be_taken_back(make_run: MakeRun, script: Script) -> None:
    run = make_run()
    script.requests = {2: (run, "stop_after_epoch", {}), 3: (run, "resume", {})}
    assert train_here(run) == "finished"
