"""What the commands about runs tell other programs."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.core.processes import CommandError
from alexplore.export.run_formats import RUN_FORMATS
from alexplore.runs import commands
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.protocol import StartEvent, event_record
from alexplore.runs.status import Status, write_status
from tests.support.processes import Alexplore


@pytest.mark.parametrize("command", [("list",), ("show", "odd"), ("compare", "odd", "plain")])
def test_numbers_that_json_has_not_are_strings(
    alexplore: Alexplore, config: RunConfig, tmp_path: Path, command: tuple[str, ...]
) -> None:
    for name, loss in (("odd", math.inf), ("plain", 0.5)):
        run = create_run(config, tmp_path / "runs", name)
        with LineWriter(run.metrics_file, attempt=0) as metrics:
            metrics.append(step=1, epoch=0.5, **{"train/loss": loss, "val/acc": math.nan})
        with LineWriter(run.events_file, attempt=0) as events:
            events.append(event="epoch", epoch=1, step=1, **{"train/loss": loss, "val/acc": math.nan})
        write_status(run, Status("stopped", step=1, epoch=1.0, updated=1.0))

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    printed = alexplore("runs", *command, "--json").stdout
    json.loads(printed, parse_constant=refuse)
    assert '"Infinity"' in printed
    assert '"NaN"' in printed


def test_a_run_that_has_ended_is_passed_on_to_its_last_line(
    alexplore: Alexplore, config: RunConfig, tmp_path: Path
) -> None:
    run = create_run(config, tmp_path / "runs", "long")
    with LineWriter(run.metrics_file, attempt=0) as metrics:
        for step in range(500):  # of 12 kB each: more than is read at a time
            metrics.append(step=step, **{f"metric {number}": float(number) for number in range(600)})
    write_status(run, Status("finished", step=500, epoch=2.0, updated=1.0))
    watched = alexplore("runs", "watch", "long", "--json")
    assert [json.loads(line)["step"] for line in watched.stdout.splitlines()] == list(range(500))


def test_damaged_lines_are_no_hindrance_to_following(alexplore: Alexplore, config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path / "runs", "damaged")
    damaged = [
        {"v": 1, "seq": "x", "attempt": 0, "time": 1.0, "event": "warning", "message": "from a damaged line"},
        {"v": 1, "seq": 3, "attempt": 0, "event": "start", "device_name": "CPU", "ranks": "two", "precision": "fp32"},
        {"v": 1, "seq": 4, "attempt": 0, "event": "precision", "precision": "fp32", "seconds": {"a": "x", "b": 1.0}},
        {"v": 1, "seq": 5, "attempt": 0, "event": "warning", "message": "from a whole line"},
    ]
    run.events_file.write_text("".join(f"{json.dumps(record)}\n" for record in damaged))
    write_status(run, Status("finished", step=500, epoch=2.0, updated=1.0))
    watched = alexplore("runs", "watch", "damaged")
    assert watched.returncode == 0, watched.stderr
    assert "from a whole line" in watched.stderr
    assert "from a damaged line" not in watched.stderr


def test_why_a_run_failed_is_told_once(alexplore: Alexplore, config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path / "runs", "failed")
    with LineWriter(run.events_file, attempt=0) as events:
        events.append(event="error", message="the disk is on fire")
        events.append(event="end", state="failed", step=3, reason="the disk is on fire")
    write_status(run, Status("failed", step=3, epoch=0.5, updated=1.0, reason="the disk is on fire"))
    watched = alexplore("runs", "watch", "failed")
    assert watched.returncode == 1
    assert watched.stderr.count("the disk is on fire") == 1
    assert "error: failed failed: the disk is on fire" in watched.stderr
    lines = map(json.loads, alexplore("runs", "watch", "failed", "--json").stdout.splitlines())
    assert [line["event"] for line in lines] == ["error", "end"]


def test_attempts_are_divided(alexplore: Alexplore, config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path / "runs", "thrice")
    for attempt, step in enumerate((0, 4, None)):
        with LineWriter(run.events_file, attempt=attempt) as events:
            events.append(event="warning", message=f"words of {attempt}")
            if step is not None:
                start = StartEvent(step, "cpu", "CPU", 1, 1, "data", "fp32", 1, 1.0)
                events.append(**event_record(start))
            events.append(event="error", message=f"error of {attempt}")
    write_status(run, Status("failed", step=4, epoch=1.0, updated=1.0, reason="error of 2"))
    lines = alexplore("runs", "watch", "thrice").stderr.splitlines()
    assert lines == [
        "words of 0",
        "training on CPU in fp32: 1 rank, 1 thread",
        "error of 0",
        "attempt 2, from step 4",
        "words of 1",
        "training on CPU in fp32: 1 rank, 1 thread",
        "error of 1",
        "attempt 3",
        "words of 2",
        "error: thrice failed: error of 2",
    ]


def test_a_run_is_shown_with_the_hardware_and_data_that_were_asked_for(
    alexplore: Alexplore, config: RunConfig, tmp_path: Path
) -> None:
    create_run(config, tmp_path / "runs", "plain")
    create_run(
        replace(config, hardware=Hardware(gpus=3), data=DataSource(folder="/images")), tmp_path / "runs", "other"
    )
    assert ' · device "cpu" · limit_train 512 · limit_val 128\n' in alexplore("runs", "show", "plain").stdout
    assert ' · gpus 3 · data "/images"\n' in alexplore("runs", "show", "other").stdout


def test_compared_numbers_are_printed_as_elsewhere(alexplore: Alexplore, config: RunConfig, tmp_path: Path) -> None:
    run = create_run(replace(config, recipe=replace(config.recipe, lr=0.0123456789)), tmp_path / "runs", "exact")
    create_run(config, tmp_path / "runs", "other")
    with LineWriter(run.events_file, attempt=0) as events:
        events.append(event="epoch", epoch=1, step=1, **{"train/loss": math.pi, "val/acc": 0.641760578751564})
    with LineWriter(run.metrics_file, attempt=0) as metrics:
        metrics.append(step=1, epoch=1, images_per_second=12345.678)
    write_status(run, Status("stopped", step=1, epoch=1.0, updated=1.0))
    lines = alexplore("runs", "compare", "exact", "other").stdout.splitlines()
    rows = {key.strip(): values for key, *values in (line.rsplit(maxsplit=2) for line in lines if line.strip())}
    assert rows["lr"] == ["0.0123456789", "0.005"]
    assert rows["epoch"] == ["1.00/2", "0.00/2"]
    assert rows["best validation accuracy"] == rows["val/acc"] == ["64.2%", "–"]
    assert rows["train/loss"] == ["3.142", "–"]
    assert rows["images_per_second"] == ["12,346", "–"]


@pytest.mark.parametrize("to", RUN_FORMATS)
def test_a_run_is_written_in_every_format(alexplore: Alexplore, config: RunConfig, tmp_path: Path, to: str) -> None:
    run = create_run(config, tmp_path / "runs", "alpha")
    with LineWriter(run.metrics_file, attempt=0) as metrics:
        metrics.append(step=1, epoch=0.5, **{"train/loss": 0.5})
    chosen, output = RUN_FORMATS[to], tmp_path / "out"
    alexplore("runs", "export", "alpha", "--to", to, "--output", str(output))
    if chosen.text is not None:
        printed = alexplore("runs", "export", "alpha", "--to", to).stdout
        assert output.read_text() == "".join(chosen.text(run)) == printed
    else:
        assert chosen.file is not None
        (file,) = output.iterdir()
        name, content = chosen.file(run)
        assert (file.name, file.read_bytes()) == (name, b"".join(content))
        refused = alexplore("runs", "export", "alpha", "--to", to)
        assert refused.returncode == 2
        assert "--output" in refused.stderr


def test_an_unknown_format_is_refused_with_those_that_there_are(
    alexplore: Alexplore, config: RunConfig, tmp_path: Path
) -> None:
    create_run(config, tmp_path / "runs", "alpha")
    refused = alexplore("runs", "export", "alpha", "--to", "tensorbord")
    assert refused.returncode == 2
    assert "allowed: csv, json, tensorboard, html; did you mean tensorboard?" in refused.stderr


@pytest.mark.usefixtures("heavy")
def test_messages_in_the_encoding_of_another_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os; os.write(2, b'error: \\xfc.png: no such file\\n'); os._exit(1)"
    monkeypatch.setattr(commands, "command_line", lambda *_: [sys.executable, "-c", code])
    with pytest.raises(CommandError, match=r"\ufffd\.png: no such file"):
        commands.command_output("look", [], keep_errors=True)
