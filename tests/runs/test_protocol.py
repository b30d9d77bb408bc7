"""Lines of events and metrics: every event declared is written, read and told in words; what is unknown is kept."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from alexplore.runs import protocol
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.export import metrics_csv
from alexplore.runs.lines import VERSION, LineReader, LineWriter
from alexplore.runs.messages import EVENT_TEXTS, event_text
from alexplore.runs.protocol import (
    EVENTS,
    ControlEvent,
    EpochEvent,
    Event,
    MetricsLine,
    StartEvent,
    UnknownEvent,
    WarningEvent,
    event_record,
    metrics_record,
    read_event,
    read_metrics,
)
from alexplore.runs.watch import Watch


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    return create_run(config, tmp_path, "run")


EXAMPLES: Mapping[Any, Any] = {str: "some text", int: 3, float: 0.5, bool: True, Any: [1, "x"]}


def example(kind: type[Event]) -> Event:
    """An event with another value than the default in every field."""
    values: dict[str, Any] = {}
    types = get_type_hints(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        annotation = types[field.name]
        if field.metadata.get("flat"):
            values[field.name] = {"train/loss": 0.25, "val/acc": math.inf}
        elif annotation in EXAMPLES:
            values[field.name] = EXAMPLES[annotation]
        elif type(None) in get_args(annotation):
            values[field.name] = EXAMPLES[get_args(annotation)[0]]
        else:
            values[field.name] = {"key": EXAMPLES[get_args(annotation)[1]]}
    return kind(**values)


def test_the_registry_has_every_kind_of_event() -> None:
    declared = {
        value
        for value in vars(protocol).values()
        if isinstance(value, type) and issubclass(value, Event) and value not in (Event, UnknownEvent)
    }
    assert set(EVENTS.values()) == declared
    assert all(EVENTS[kind.kind] is kind for kind in declared)
    assert set(EVENT_TEXTS) == {*declared, UnknownEvent}


@pytest.mark.parametrize("kind", EVENTS.values(), ids=list(EVENTS))
def test_every_event_is_written_read_and_told(run: RunDirectory, kind: type[Event]) -> None:
    event = example(kind)
    with LineWriter(run.events_file, attempt=2) as writer:
        writer.append(**event_record(event))
    (record,) = LineReader(run.events_file).read()
    assert {"v", "seq", "attempt", "time", "event"} < set(record)
    assert record["event"] == kind.kind
    snapshot = Watch(run).poll()
    (line,) = snapshot.events
    assert line.event == event
    assert (line.head.seq, line.head.attempt, line.head.time) == (0, 2, record["time"])
    assert snapshot.last(kind) == event
    text = event_text(line.event, 10)
    assert text.strip()
    assert "None" not in text
    assert "{" not in text


def test_metrics_of_an_epoch_stand_beside_its_other_keys() -> None:
    record = event_record(EpochEvent(1, 20, {"train/loss": 0.5}, seconds=2.0))
    assert record == {"event": "epoch", "epoch": 1, "step": 20, "train/loss": 0.5, "seconds": 2.0, "damaged": 0}


def test_what_is_none_is_not_written() -> None:
    assert "error" not in event_record(ControlEvent("id", "stop", 3))
    assert event_record(ControlEvent("id", "stop", 3, "no"))["error"] == "no"


def test_a_metric_that_is_not_declared_is_not_written() -> None:
    with pytest.raises(KeyError):
        metrics_record(MetricsLine(1, 0.1, {"train/lost": 1.0}))


def test_metrics_that_are_not_known_are_read_and_exported_behind_the_others(run: RunDirectory) -> None:
    run.metrics_file.write_text(
        json.dumps({"v": 1, "seq": 0, "attempt": 0, "time": 1.0, "step": 3, "epoch": 1, "new": 7, "val/acc": 0.5})
        + "\n"
        + json.dumps({"step": 4, "epoch": 2, "val/acc": 0.75, "words": "x", "layers": {"conv1": 1.0}})
        + "\n"
    )
    snapshot = Watch(run).poll()
    assert snapshot.latest == {"val/acc": 0.75, "new": 7.0}
    assert set(snapshot.curves) == {"val/acc"}
    assert "".join(metrics_csv(run)).splitlines() == [
        "step,epoch,attempt,time,val/acc,new",
        "3,1.0,0,1.0,0.5,7.0",
        "4,2.0,0,0.0,0.75,",
    ]


@pytest.mark.parametrize(
    "record",
    [
        {"event": "from the future", "x": 1},
        {"event": "warning"},
        {"event": "warning", "message": 3},
        {"event": "warning", "message": "x", "v": VERSION + 1},
        {"event": "start", "step": "x"},
        {"event": "epoch", "epoch": True, "step": 1},
        {"event": "precision", "precision": "fp32", "device": "cpu", "peak_flops": 1.0, "seconds": {"fp32": "x"}},
        {"event": ["warning"]},
        {},
    ],
    ids=str,
)
def test_what_can_not_be_read_is_kept_and_not_shown(run: RunDirectory, record: dict[str, Any]) -> None:
    run.events_file.write_text(json.dumps(record) + "\n")
    (line,) = Watch(run).poll().events
    assert isinstance(line.event, UnknownEvent)
    assert line.record == record
    assert read_event(record).record == record


def test_unknown_keys_of_a_known_event_are_kept_beside_it() -> None:
    line = read_event({"event": "warning", "message": "careful", "seq": 4, "later": [1]})
    assert line.event == WarningEvent("careful")
    assert line.head.seq == 4
    assert line.record["later"] == [1]


@pytest.mark.parametrize("damage", [{"step": "x"}, {"step": True}, {"epoch": None}, {"v": VERSION + 1}])
def test_damaged_metrics_lines_are_skipped(damage: dict[str, Any]) -> None:
    record = {"step": 1, "epoch": 0.5, "lr": 0.1}
    line = read_metrics(record)
    assert line is not None
    assert line.values == {"lr": 0.1}
    assert read_metrics({**record, **damage}) is None


def test_whole_numbers_are_read_where_fractions_are_meant() -> None:
    event = read_event(
        {"event": "start", "step": 0, "device": "cpu", "device_name": "CPU", "threads": 1, "ranks": 1, "peak_flops": 1,
         "parallel": "data", "precision": "fp32", "flops_per_image": 2}
    ).event  # fmt: skip
    assert isinstance(event, StartEvent)
    assert event.peak_flops == 1.0
