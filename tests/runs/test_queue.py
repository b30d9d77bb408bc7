"""The queue: its order in files, and which runs a runner starts when."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from alexplore.core.processes import StartError
from alexplore.network.graph import read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs import queue_runner, service, status
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import RunDirectory, RunError, create_run, list_runs
from alexplore.runs.queue import Item, Queue
from alexplore.runs.queue_runner import Runner, gpus_needed
from alexplore.runs.status import Status, write_status
from tests.support.networks import SMALL

CPU = RunConfig("small", read_network(SMALL), Recipe(dataset="synthetic"), Hardware("cpu"))


def on_gpus(count: int | None) -> RunConfig:
    return replace(CPU, hardware=Hardware("auto", count))


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "runs")


def names(items: list[Item]) -> list[str]:
    return [item.name for item in items]


def add(queue: Queue, *called: str, config: RunConfig = CPU) -> None:
    for name in called:
        queue.add(config, name)


def test_runs_wait_in_the_order_in_which_they_came(queue: Queue) -> None:
    add(queue, "c", "a", "b")
    assert names(queue.waiting()) == ["c", "a", "b"]
    assert list_runs(queue.runs) == []  # the queue is no run
    assert queue.waiting()[0].config == CPU


@pytest.mark.parametrize(
    ("name", "place", "order"),
    [("c", 1, "cabd"), ("a", 2, "bacd"), ("a", 99, "bcda"), ("b", 2, "abcd"), ("d", 3, "abdc")],
)
def test_moving(queue: Queue, name: str, place: int, order: str) -> None:
    add(queue, *"abcd")
    queue.move(name, place)
    assert names(queue.waiting()) == list(order)
    add(queue, "e")
    assert names(queue.waiting()) == [*order, "e"]


def test_a_name_is_given_once(queue: Queue) -> None:
    add(queue, "a")
    with pytest.raises(RunError, match="'a' already"):
        add(queue, "a")
    create_run(CPU, queue.runs, "b")
    with pytest.raises(RunError, match="exists"):
        add(queue, "b")


def test_removing_by_the_beginning_of_a_name(queue: Queue) -> None:
    add(queue, "night-1", "night-2", "day")
    queue.remove("da")
    with pytest.raises(RunError, match="begins 2 runs"):
        queue.remove("night")
    with pytest.raises(RunError, match="no run 'dya' waits"):
        queue.remove("dya")
    assert names(queue.waiting()) == ["night-1", "night-2"]


def test_another_run_is_not_taken_for_one_that_has_started_meanwhile(queue: Queue) -> None:
    add(queue, "rate=0.1", "rate=0.15")
    queue.claim(queue.waiting()[0], ())
    for change in (queue.remove, lambda name: queue.move(name, 1)):
        with pytest.raises(RunError, match=r"rate=0\.1 does not wait in the queue: it has been started"):
            change("rate=0.1")
    assert names(queue.waiting()) == ["rate=0.15"]


def test_another_run_is_not_taken_for_one_that_was_removed_meanwhile(queue: Queue) -> None:
    add(queue, "rate=0.1", "rate=0.15")
    queue.remove("rate=0.1")
    for change in (queue.remove, lambda name, whole: queue.move(name, 1, whole=whole)):
        with pytest.raises(RunError, match=r"rate=0\.1 does not wait in the queue any more"):
            change("rate=0.1", whole=True)
    assert names(queue.waiting()) == ["rate=0.15"]


def test_runs_wait_in_their_order_also_if_the_clock_is_set_back(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    add(queue, "a")
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    add(queue, "b", "c")
    assert names(queue.waiting()) == ["a", "b", "c"]


def test_damaged_and_foreign_files_are_left_out(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    add(queue, "a", "b")
    items = queue.folder / "items"
    first = sorted(items.iterdir())[0]
    good = json.loads(first.read_text())
    changes: tuple[dict[str, object], ...] = (
        {"name": "../x"},
        {"config": {}},
        {"command": 3},
        {"gpus": [1]},
        {"starts": "x"},
    )
    for number, change in enumerate(changes):
        (items / f"{number}.json").write_text(json.dumps({**good, **change}))
    (items / "torn.json").write_text(first.read_text()[:100])
    (items / "link.json").symlink_to(first)
    (items / "folder.json").mkdir()
    (queue.folder / "order.json").write_text('{"ids": [3, {}, "none"]}')
    assert names(queue.waiting()) == ["a", "b"]
    monkeypatch.setattr(os, "getuid", lambda: first.stat().st_uid + 1)
    assert queue.waiting() == []  # another user's: its command would be run


# Runners


class Prepared:
    """Stands for a worker that imports torch before there is a run for it."""

    made: ClassVar[list[Prepared]] = []

    def __init__(self) -> None:
        self.taken = self.ended = False
        self.made.append(self)

    def end(self) -> None:
        self.ended = True


class Workers:
    """Stands for the workers that a runner starts: which live, and what they were given."""

    def __init__(self) -> None:
        self.live: set[str] = set()
        self.started: list[str] = []
        self.environments: dict[str, Mapping[str, str]] = {}

    def start(
        self, run: RunDirectory, environment: Mapping[str, str] | None = None, waiting: Prepared | None = None
    ) -> Workers:
        if waiting is not None:
            waiting.taken = True
        self.live.add(run.name)
        self.started.append(run.name)
        self.environments[run.name] = environment or {}
        run.lock_file.touch()
        write_status(run, Status("running", os.getpid(), updated=time.time()))
        return self

    def restart(
        self,
        run: RunDirectory,
        changes: None = None,
        environment: Mapping[str, str] | None = None,
        waiting: Prepared | None = None,
    ) -> Workers:
        return self.start(run, environment, waiting)

    def poll(self) -> None:
        return None

    def end(self, queue: Queue, name: str, state: str = "finished") -> None:
        self.live.remove(name)
        if state != "crashed":
            write_status(RunDirectory(queue.runs / name), Status(state, updated=time.time()))


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    made = Workers()
    monkeypatch.setattr(service, "start", made.start)
    monkeypatch.setattr(service, "restart", made.restart)
    for module in (status, queue_runner):
        monkeypatch.setattr(module, "is_locked", lambda run: run.name in made.live)
    monkeypatch.setattr(queue_runner, "visible_gpus", lambda: ())
    monkeypatch.setattr(queue_runner, "WaitingWorker", Prepared)
    monkeypatch.setattr(Prepared, "made", [])
    return made


def test_one_run_at_a_time_on_the_cpu(queue: Queue, workers: Workers) -> None:
    add(queue, "a", "b", "c")
    runner = Runner(queue)
    assert runner.work()
    assert workers.started == ["a"]
    assert runner.work()
    assert workers.started == ["a"]
    workers.end(queue, "a", "failed")
    assert runner.work()
    assert workers.started == ["a", "b"]
    queue.move("c", 1)
    workers.end(queue, "b", "stopped")
    assert runner.work()
    workers.end(queue, "c")
    assert not runner.work()
    assert workers.started == ["a", "b", "c"]
    assert queue.running() == []


def test_while_a_run_is_trained_a_worker_is_prepared_for_the_next(queue: Queue, workers: Workers) -> None:
    """So the hardware does not wait for the import of torch between two runs."""
    add(queue, "a", "b", "c")
    runner = Runner(queue)
    runner.work()
    runner.work()
    (first,) = Prepared.made
    workers.end(queue, "a")
    runner.work()
    assert first.taken
    _, second = Prepared.made
    queue.pause(paused=True)
    runner.work()
    assert (second.taken, second.ended) == (False, True)
    queue.pause(paused=False)
    runner.work()
    workers.end(queue, "b")
    runner.work()  # starts the last one
    runner.work()
    workers.end(queue, "c")
    assert not runner.work()
    assert [one.taken for one in Prepared.made] == [True, False, True]


def test_a_run_that_was_started_otherwise_is_waited_for(queue: Queue, workers: Workers) -> None:
    add(queue, "a")
    workers.start(create_run(CPU, queue.runs, "by hand"))
    runner = Runner(queue)
    assert runner.work()
    assert workers.started == ["by hand"]
    write_status(RunDirectory(queue.runs / "by hand"), Status("paused"))  # may stay so for days
    assert runner.work()
    assert workers.started == ["by hand", "a"]


def test_a_paused_queue_starts_nothing(queue: Queue, workers: Workers) -> None:
    add(queue, "a")
    queue.pause(paused=True)
    assert not Runner(queue).work()
    queue.pause(paused=False)
    assert Runner(queue).work()
    assert workers.started == ["a"]


def test_what_crashed_without_a_runner_is_resumed(queue: Queue, workers: Workers) -> None:
    add(queue, "a", "b")
    Runner(queue).work()
    workers.end(queue, "a", "crashed")  # the machine went down, and the runner with it
    Runner(queue).work()
    assert workers.started == ["a", "a"]
    runner = Runner(queue)  # killed, but the worker lives
    runner.work()
    assert workers.started == ["a", "a"]
    workers.end(queue, "a", "crashed")
    for _ in range(3):
        Runner(queue).work()
        if "a" in workers.live:
            workers.end(queue, "a", "crashed")
    assert workers.started == ["a", "a", "a", "b"]  # not for ever


def test_what_crashes_under_its_eyes_is_not(queue: Queue, workers: Workers) -> None:
    add(queue, "a", "b")
    runner = Runner(queue)
    runner.work()
    workers.end(queue, "a", "crashed")
    runner.work()
    assert workers.started == ["a", "b"]


def test_a_runner_killed_before_the_run_was_made_makes_it(queue: Queue, workers: Workers) -> None:
    add(queue, "a")
    queue.claim(queue.waiting()[0], ())
    Runner(queue).work()
    assert workers.started == ["a"]


def test_a_run_that_can_not_be_started_does_not_stop_the_queue(
    queue: Queue, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RunError("damaged")

    add(queue, "a", "b")
    create_run(CPU, queue.runs, "a")
    monkeypatch.setattr(service, "restart", refuse)
    runner = Runner(queue)
    runner.work()
    runner.work()
    assert workers.started == ["b"]
    assert [(item.name, item.reason) for item in queue.refused()] == [("a", "damaged")]
    queue.remove("a")
    assert queue.refused() == []


def test_a_run_whose_command_can_not_be_started_is_trained_without_it(
    queue: Queue, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StartError("could not start it: Cannot allocate memory")

    monkeypatch.setattr(queue_runner, "start_on_end", refuse)
    queue.add(CPU, "a", command="true", occasions=("finished",))
    Runner(queue).work()
    assert workers.live == {"a"}
    assert (names(queue.running()), queue.refused()) == (["a"], [])


def test_gpus_are_filled_in_order(queue: Queue, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_runner, "visible_gpus", lambda: ("0", "1", "2"))
    add(queue, "one", config=on_gpus(1))
    add(queue, "three", config=on_gpus(None))
    add(queue, "two", config=on_gpus(2))
    add(queue, "cpu", "cpu2")
    runner = Runner(queue)
    runner.work()
    assert workers.started == ["one", "cpu"]  # `two` would fit, but then `three` might wait for ever
    assert workers.environments == {"one": {"CUDA_VISIBLE_DEVICES": "0"}, "cpu": {}}
    workers.end(queue, "one")
    runner.work()
    assert workers.environments["three"] == {"CUDA_VISIBLE_DEVICES": "0,1,2"}
    workers.end(queue, "three")
    runner.work()
    assert workers.environments["two"] == {"CUDA_VISIBLE_DEVICES": "0,1"}


@pytest.mark.parametrize(
    ("config", "there", "needed"),
    [(CPU, 4, 0), (on_gpus(None), 4, 4), (on_gpus(2), 4, 2), (on_gpus(8), 4, 4), (on_gpus(2), 0, 0)],
)
def test_gpus_that_a_run_takes(config: RunConfig, there: int, needed: int) -> None:
    assert gpus_needed(config, there) == needed


def test_data_that_can_not_be_looked_at_do_not_stop_the_queue(
    queue: Queue, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = service.plan

    def stale(config: RunConfig, runs: Path) -> service.Plan:
        if config.data.folder is not None:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), config.data.folder)
        return plan(config, runs)

    monkeypatch.setattr(service, "plan", stale)
    add(queue, "a", config=replace(CPU, data=DataSource(folder="/mnt/nas")))
    add(queue, "b")
    runner = Runner(queue)
    runner.work()
    runner.work()
    assert workers.started == ["b"]
    assert [(item.name, item.reason) for item in queue.refused()] == [("a", f"/mnt/nas: {os.strerror(errno.ESTALE)}")]


@pytest.mark.parametrize("renamed", [True, False])
def test_a_run_that_is_removed_or_renamed_is_not_trained_again(queue: Queue, workers: Workers, renamed: bool) -> None:
    add(queue, "a", "b")
    Runner(queue).work()
    workers.end(queue, "a", "crashed")  # the machine went down, and the runner with it
    run = RunDirectory(queue.runs / "a")
    if renamed:
        service.rename(run, "c")
    else:
        service.remove(run)
    runner = Runner(queue)
    runner.work()
    runner.work()
    assert workers.started == ["a", "b"]
    assert names(queue.running()) == ["b"]


def test_a_name_that_another_run_took_meanwhile_does_not_start_that_run(queue: Queue, workers: Workers) -> None:
    add(queue, "night")
    other = create_run(replace(CPU, recipe=replace(CPU.recipe, lr=0.5)), queue.runs, "night")
    write_status(other, Status("stopped", updated=1.0))
    Runner(queue).work()
    assert workers.started == []
    ((name, reason),) = [(item.name, item.reason) for item in queue.refused()]
    assert (name, reason) == ("night", "another run is called night meanwhile")
