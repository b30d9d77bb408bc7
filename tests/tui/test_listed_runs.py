"""The list of runs, without the app."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.runs.listing import ListedRun
from alexplore.runs.messages import STATE_GLYPHS
from alexplore.runs.protocol import EpochEvent
from alexplore.runs.queue import Item
from alexplore.runs.status import Status
from alexplore.runs.summary import Summary
from alexplore.tui.listed_runs import ORDERS, GroupLine, ListedRuns, RunLine, best_of_their_data
from alexplore.tui.marked_runs import MarkedRuns
from alexplore.tui.widgets.run_table import COLUMNS

Make = dict[str, ListedRun]


@pytest.fixture
def listed(config: RunConfig) -> ListedRuns:
    """Runs, the newest first: c, a, b, d."""

    def run(name: str, preset: str, data: str, state: str, best: float | None, loss: float | None) -> ListedRun:
        changed = replace(config, preset=preset, recipe=replace(config.recipe, dataset=data))
        best_epoch = None if best is None else EpochEvent(1, 4, {"val/acc": best})
        latest = {} if loss is None else {"train/loss": loss}
        return ListedRun(Summary(RunDirectory(Path(name)), Status(state, epoch=1.0), changed, latest, best_epoch))

    found = ListedRuns()
    found.runs = [
        run("c", "paper", "cifar10", "finished", 0.6, 0.9),
        run("a", "fmnist-28", "fashion-mnist", "running", 0.8, 0.5),
        run("b", "fmnist-28", "fashion-mnist", "finished", 0.9, 0.3),
        run("d", "paper", "fashion-mnist", "failed", None, None),
    ]
    return found


def names(listed: ListedRuns) -> str:
    return "".join(run.name for run in listed.shown())


@pytest.mark.parametrize("state", [*STATE_GLYPHS, "of another version"])
def test_every_state_has_a_place_in_the_order_of_states(listed: ListedRuns, state: str) -> None:
    one = listed.runs[0]
    listed.runs = [*listed.runs, replace(one, summary=replace(one.summary, status=Status(state)))]
    listed.sort_by_column("state")
    assert len(listed.shown()) == 5


def test_what_waits_comes_first_in_its_order_and_is_filtered(listed: ListedRuns, config: RunConfig) -> None:
    def waiting(name: str, place: int, status: str = "waiting") -> ListedRun:
        item = Item(name, name, config)
        return ListedRun(Summary(RunDirectory(Path(name)), Status(status), config), item=item, place=place)

    listed.queued = [waiting("y", 1), waiting("x", 2), waiting("z", 0, "refused")]
    marked = MarkedRuns()
    assert listed.title == "Runs · 4 · 2 waiting"
    listed.sort_by_column("run")
    shown = [line.run.name for line in listed.lines(marked) if isinstance(line, RunLine)]
    assert shown == ["y", "x", "z", "a", "b", "c", "d"]
    listed.grouped = True
    assert next(line.text for line in listed.lines(marked) if isinstance(line, GroupLine)) == "queue · 3 runs"
    listed.filter_by("state:waiting x")
    assert [line.run.name for line in listed.lines(marked) if isinstance(line, RunLine)] == ["x"]
    assert listed.filter_note.startswith("1 of 7")


def test_every_column_but_the_markers_sorts(listed: ListedRuns) -> None:
    for column in COLUMNS[1:]:
        before = listed.order, listed.descending
        listed.sort_by_column(column.title)
        assert (listed.order, listed.descending) != before, column.title
    listed.sort_by_column("data")
    shown = [line.run.dataset for line in listed.lines(MarkedRuns()) if isinstance(line, RunLine)]
    assert shown == ["cifar10", "fashion-mnist", "fashion-mnist", "fashion-mnist"]


def test_orders_and_their_reverse_keep_unknown_values_last(listed: ListedRuns) -> None:
    found = {}
    for _ in ORDERS:
        found[listed.order.name] = names(listed)
        listed.next_order()
    assert listed.order is ORDERS[0]
    assert found["newest"] == "cabd"
    assert found["best"] == "bacd"
    assert found["loss"] == "bacd"
    assert found["name"] == "abcd"
    assert found["state"] == "acbd"
    listed.sort_by_column("best")
    listed.reverse()
    assert names(listed) == "cabd"
    listed.sort_by_column("age")
    listed.sort_by_column("age")
    assert (names(listed), listed.order_text) == ("dbac", "newest ▴")
    listed.sort_by_column("")
    assert names(listed) == "dbac"


def test_the_filter_says_how_many_and_what_is_wrong(listed: ListedRuns) -> None:
    assert listed.title == "Runs · 4"
    listed.filter_by("state:finished")
    assert (names(listed), listed.title) == ("cb", "Runs · 2 of 4")
    assert listed.filter_note == "2 of 4 · esc clears"
    listed.filter_by("zzz")
    assert listed.filter_note == "no run matches · esc clears"
    listed.filter_by("sate:finished")
    assert "did you mean state" in listed.filter_note
    assert names(listed) == "cabd"


def test_groups_have_headings_and_keep_the_order(listed: ListedRuns) -> None:
    listed.grouped = True
    listed.sort_by_column("best")
    lines = listed.lines(MarkedRuns())
    assert [line.text if isinstance(line, GroupLine) else line.run.name for line in lines] == [
        "fmnist-28 · 2 runs · best 90.0%", "b", "a", "paper · 2 runs · best 60.0%", "c", "d",
    ]  # fmt: skip


def test_the_best_of_a_data_set_is_marked_where_there_are_several(listed: ListedRuns) -> None:
    assert best_of_their_data(listed.runs) == {"b"}
    marked = MarkedRuns()
    marked.toggle("a")
    lines = [line for line in listed.lines(marked) if isinstance(line, RunLine)]
    assert [(line.run.name, line.marker, line.series, line.best) for line in lines] == [
        ("c", " ", "", False), ("a", "●", "series-1", False), ("b", " ", "", True), ("d", " ", "", False),
    ]  # fmt: skip
