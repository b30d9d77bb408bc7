"""Logs of TensorBoard and Lightning: found, read as they grow, refused in one line for everything else."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from alexplore.runs.directory import RunError, find_foreign_log, find_run
from alexplore.runs.event_files import ScalarEvent, event_file_start, event_record
from alexplore.runs.foreign import ForeignReader, ForeignSnapshot, find_log
from tests.support.processes import Alexplore

LIGHTNING = """\
epoch,step,train_loss,val_acc
0,49,0.9,
0,99,0.5,
0,99,,0.75
1,149,nan,
"""
"""As Lightning's CSVLogger writes: a row for each call of `log`, with blanks for what it does not have."""


def lightning(folder: Path, text: str = LIGHTNING) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.csv").write_text(text)
    return folder


def tensorboard(folder: Path, *events: ScalarEvent, name: str = "1.host.1.0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = event_file_start(1.0) + b"".join(map(event_record, events))
    (folder / f"events.out.tfevents.{name}").write_bytes(content)
    return folder


def read(folder: Path) -> ForeignSnapshot:
    log = find_log(folder)
    assert log is not None
    return ForeignReader(log).poll()


def points(snapshot: ForeignSnapshot, name: str) -> list[tuple[float, float]]:
    (metric,) = [metric for metric in snapshot.metrics if metric.name == name]
    return list(zip(metric.curve.epochs, metric.curve.values, strict=True))


def test_lightnings_rows_become_curves_over_steps(tmp_path: Path) -> None:
    snapshot = read(lightning(tmp_path))
    assert [metric.name for metric in snapshot.metrics] == ["epoch", "train_loss", "val_acc"]
    assert points(snapshot, "train_loss")[:2] == [(49.0, 0.9), (99.0, 0.5)]
    assert points(snapshot, "val_acc") == [(99.0, 0.75)]
    (loss,) = [metric for metric in snapshot.metrics if metric.name == "train_loss"]
    assert loss.step == 149
    assert math.isnan(loss.value)
    assert snapshot.problems == ()


def test_the_newest_of_lightnings_versions_is_taken(tmp_path: Path) -> None:
    for version in (0, 2, 10):
        lightning(tmp_path / "lightning_logs" / f"version_{version}")
    (tmp_path / "lightning_logs" / "version_11").mkdir()  # without metrics yet
    newest = tmp_path / "lightning_logs" / "version_10"
    for folder in (tmp_path, tmp_path / "lightning_logs", newest, newest / "metrics.csv"):
        log = find_log(folder)
        assert log is not None
        assert (log.path, log.name, log.program) == (newest, "lightning_logs/version_10", "Lightning")


def test_a_csv_file_is_read_again_when_it_has_grown_up_to_its_last_whole_line(tmp_path: Path) -> None:
    log = find_log(lightning(tmp_path, "step,loss\n1,0.5\n2,0.2"))
    assert log is not None
    reader = ForeignReader(log)
    first = reader.poll()
    assert points(first, "loss") == [(1.0, 0.5)]
    assert reader.poll() is first
    lightning(tmp_path, "step,loss,acc\n1,0.5,\n2,0.25,0.9\n")
    assert points(reader.poll(), "loss") == [(1.0, 0.5), (2.0, 0.25)]
    assert points(reader.poll(), "acc") == [(2.0, 0.9)]


def test_event_files_are_read_on_from_where_they_ended(tmp_path: Path) -> None:
    tensorboard(tmp_path, ScalarEvent(1, 1.0, {"loss": 0.5}))
    log = find_log(tmp_path)
    assert log is not None
    reader = ForeignReader(log)
    first = reader.poll()
    assert points(first, "loss") == [(1.0, 0.5)]
    assert reader.poll() is first
    tensorboard(tmp_path, ScalarEvent(1, 1.0, {"loss": 0.5}), ScalarEvent(2, 2.0, {"loss": 0.25, "acc": 1.0}))
    tensorboard(tmp_path, ScalarEvent(3, 3.0, {"loss": 0.125}), name="2.host.1.0")
    assert points(reader.poll(), "loss") == [(1.0, 0.5), (2.0, 0.25), (3.0, 0.125)]


def test_a_folder_of_logs_is_one_log_that_grows_with_each_of_them(tmp_path: Path) -> None:
    tensorboard(tmp_path / "b" / "train", ScalarEvent(3, 1.0, {"loss": 0.5}))
    tensorboard(tmp_path / "a", ScalarEvent(1, 1.0, {"loss": 0.25, "acc": 1.0}))
    (tmp_path / "empty").mkdir()
    log = find_log(tmp_path)
    assert log is not None
    assert (log.path, log.program) == (tmp_path, "TensorBoard")
    reader = ForeignReader(log)
    first = reader.poll()
    assert [metric.name for metric in first.metrics] == ["a/acc", "a/loss", "b/train/loss"]
    assert points(first, "b/train/loss") == [(3.0, 0.5)]
    assert reader.poll() is first
    with next((tmp_path / "a").iterdir()).open("ab") as file:
        file.write(event_record(ScalarEvent(2, 2.0, {"loss": 0.125})))
    lightning(tmp_path / "empty")
    now = reader.poll()
    assert points(now, "a/loss") == [(1.0, 0.25), (2.0, 0.125)]
    assert points(now, "empty/val_acc") == [(99.0, 0.75)]
    assert read(tmp_path / "b").metrics[0].name == "train/loss"


def test_a_damaged_event_file_is_reported_once_read_up_to_the_damage_and_the_others_go_on(tmp_path: Path) -> None:
    tensorboard(tmp_path, ScalarEvent(1, 1.0, {"loss": 0.5}), ScalarEvent(2, 1.0, {"loss": 0.4}))
    path = tmp_path / "events.out.tfevents.1.host.1.0"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    tensorboard(tmp_path, ScalarEvent(3, 3.0, {"loss": 0.125}), name="2.host.1.0")
    log = find_log(tmp_path)
    assert log is not None
    reader = ForeignReader(log)
    reader.poll()
    snapshot = reader.poll()
    assert points(snapshot, "loss") == [(1.0, 0.5), (3.0, 0.125)]
    (problem,) = snapshot.problems
    assert str(path) in problem
    assert "checksum of the record" in problem


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xff\xfe\x00\n\x00,\n", b"step,loss\n1,x\n,,,\n9e99,0.5\n", b"a" * 200_000 + b"\n"]
)
def test_any_csv_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    read(tmp_path)


def test_a_link_to_nothing_and_a_folder_in_place_of_a_file_are_problems(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").mkdir()
    assert "not a regular file" in read(tmp_path).problems[0]


def test_what_is_no_log_is_none(tmp_path: Path) -> None:
    assert find_log(tmp_path) is None
    assert find_log(tmp_path / "missing") is None
    assert find_log(Path("x" * 5000)) is None
    assert find_foreign_log("", tmp_path) is None


def test_a_log_is_refused_as_a_run(tmp_path: Path) -> None:
    log = lightning(tmp_path / "log")
    with pytest.raises(RunError, match=r"is a log of Lightning, not a run of alexplore: it can only be watched"):
        find_run(str(log), tmp_path / "runs")


@pytest.mark.parametrize("command", ["stop", "pause", "checkpoint", "resume", "show", "export"])
def test_the_commands_that_need_a_run_refuse_it_in_one_line(alexplore: Alexplore, tmp_path: Path, command: str) -> None:
    log = tensorboard(tmp_path / "log", ScalarEvent(1, 1.0, {"loss": 0.5}))
    refused = alexplore("runs", command, str(log))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "is a log of TensorBoard" in refused.stderr


def test_a_log_is_watched(alexplore: Alexplore, tmp_path: Path) -> None:
    folder = tensorboard(tmp_path / "log", *(ScalarEvent(n, 1.0, {"loss": 8.0 - n}) for n in range(8)))
    shown = alexplore("runs", "watch", str(folder))
    assert shown.returncode == 0
    assert "log · TensorBoard's log, 1 metrics" in shown.stdout
    row = next(line.split() for line in shown.stdout.splitlines() if line.split()[:1] == ["loss"])
    assert row[:5] == ["loss", "1", "7", "1", "8"]
    assert (row[5][0], row[5][-1]) == ("█", "▁")
    printed = json.loads(alexplore("runs", "watch", str(folder), "--json").stdout)
    assert (printed["program"], printed["metrics"]) == ("TensorBoard", {"loss": {"step": 7, "value": 1.0}})
