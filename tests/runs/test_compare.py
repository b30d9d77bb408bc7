"""Runs side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.runs.compare import ComparedRow, compare_runs
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.lines import LineWriter
from alexplore.runs.protocol import StartEvent, event_record
from alexplore.runs.status import Status, write_status
from alexplore.runs.watch import Snapshot, Watch


def compared(*configs: RunConfig, folder: Path) -> dict[str, ComparedRow]:
    return {row.name: row for row in compare_runs([snapshot(config, folder) for config in configs])}


def snapshot(config: RunConfig, folder: Path) -> Snapshot:
    run = create_run(config, folder)
    write_status(run, Status("stopped", step=20, epoch=1.0, updated=1.0))
    return Watch(run).poll()


def test_only_settings_that_differ_are_shown(config: RunConfig, tmp_path: Path) -> None:
    other = replace(
        config,
        network=config.network.with_towers(2),
        recipe=replace(config.recipe, lr=0.5),
        hardware=Hardware(device="cpu", gpus=2, parallel="towers"),
        data=DataSource(folder="/images", limit_train=99, limit_val=128),
    )
    rows = compared(config, other, folder=tmp_path)
    assert {name: row.values for name, row in rows.items()} == {
        "towers": (1, 2),
        "lr": (0.005, 0.5),
        "gpus": (None, 2),
        "parallel": ("data", "towers"),
        "data": (None, "/images"),
        "limit_train": (512, 99),
        "state": ("stopped", "stopped"),
        "epoch": (1.0, 1.0),
        "best validation accuracy": (None, None),
    }
    assert rows["gpus"].texts == ("–", "2")
    assert rows["epoch"].texts == ("1.00/2", "1.00/2")


def test_layers_are_compared_setting_by_setting(config: RunConfig, tmp_path: Path) -> None:
    network = config.network
    other = network.change(0, {"kernel_size": 5, "padding": 2, "init": {"std": 0.01}}).remove(1)
    rows = compared(config, replace(config, network=other), folder=tmp_path)
    assert rows["conv1.kernel_size"].values == (3, 5)
    assert rows["conv1.padding"].values == (1, 2)
    assert rows["conv1.init"].texts == ("–", "{ std = 0.01 }")
    assert rows["layer relu1"].texts == ("relu", "–")
    assert not [name for name in rows if name.startswith(("layer fc2", "layer pool1", "fc2", "pool1", "conv1.stride"))]


@pytest.mark.parametrize("towers", [1, 2])
def test_equal_runs_differ_in_nothing(config: RunConfig, tmp_path: Path, towers: int) -> None:
    same = replace(config, network=config.network.with_towers(towers))
    assert list(compared(same, same, same, folder=tmp_path)) == ["state", "epoch", "best validation accuracy"]


def test_what_was_chosen_or_changed_during_the_training_is_compared(config: RunConfig, tmp_path: Path) -> None:
    """`auto` may choose another precision when the machine is busy, and a rate may be steered."""
    start = StartEvent(0, "cpu", "CPU", 1, 1, "data", "fp32", flops_per_image=1, peak_flops=1.0)
    steered = config.steered(27, {"lr": 0.0005})
    shown = []
    for trained, precision in ((config, "fp32"), (steered, "bf16")):
        run = create_run(trained, tmp_path)
        write_status(run, Status("stopped", step=40, epoch=1.0, updated=1.0))
        with LineWriter(run.events_file, attempt=0) as writer:
            writer.append(**event_record(replace(start, precision=precision)))
        shown.append(Watch(run).poll())
    rows = {row.name: row.texts for row in compare_runs(shown)}
    assert rows["trained in"] == ("fp32", "bf16")
    assert rows["changed"] == ("–", "lr 0.005 → 0.0005 from step 27 on")
    assert not {"trained in", "changed"} & {row.name for row in compare_runs([shown[0], shown[0]])}
