"""Runs as a list shows them: what differs from the preset, the note, the checkpoints, another name."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.network.graph import read_network
from alexplore.presets.library import load_preset
from alexplore.runs import service
from alexplore.runs.checkpoint_files import checkpoint_text, folder_size, resume_text, stored_checkpoints
from alexplore.runs.compare import differ_only_in_seed
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError, create_run, list_runs
from alexplore.runs.listing import Listing
from alexplore.runs.notes import read_note, write_note
from alexplore.runs.preset_changes import PresetChanges, preset_config
from alexplore.runs.status import Status, write_status
from alexplore.runs.summary import RunList
from tests.support.command_line import run_here
from tests.support.runs import finished_run


@pytest.fixture
def shipped() -> RunConfig:
    """A run of a shipped preset."""
    preset = load_preset("fmnist-28")
    return RunConfig(preset.name, preset.network, preset.recipe)


def write_checkpoint(run: RunDirectory, kind: str, step: int, epoch: int, **values: float) -> None:
    folder = run.checkpoints_folder / kind
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "step": step, "epoch": epoch, **values}))


def test_the_layers_that_differ_from_the_preset_are_named(shipped: RunConfig, tmp_path: Path) -> None:
    names = [layer.name for layer in shipped.network.layers]
    assert PresetChanges().layers(shipped) == ()
    wider = replace(shipped, network=shipped.network.change(names.index("conv1"), {"out_channels": 24}))
    assert PresetChanges().layers(wider) == ("conv1",)
    create_run(wider, tmp_path, "wider")
    create_run(shipped, tmp_path, "plain")
    listed = {run.name: run for run in Listing().read(list_runs(tmp_path))}
    assert (listed["wider"].network, listed["plain"].network) == ("fmnist-28 ≠ conv1", "fmnist-28")
    smaller = replace(shipped, network=read_network({**shipped.network.to_dict(), "input": [1, 30, 30]}))
    assert "input" in PresetChanges().layers(smaller)


def test_a_preset_that_is_gone_differs_in_nothing(config: RunConfig) -> None:
    assert preset_config(config) is None
    assert PresetChanges().layers(config) == ()


def test_a_list_follows_its_runs(config: RunConfig, tmp_path: Path) -> None:
    run = finished_run(config, tmp_path, "alpha", 0.5)
    listing = Listing()
    assert listing.read([run])[0].note == ""
    write_note(run, "first try")
    assert listing.read([run])[0].note == "first try"
    run.config_file.write_text("{")
    damaged = listing.read([run])[0]
    assert (damaged.network, damaged.dataset, damaged.note) == ("–", "", "first try")


def test_a_note_is_one_line_of_text(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path, "alpha")
    assert read_note(run) == ""
    write_note(run, "two\nlines\x1b[31m")
    assert read_note(run) == "two lines [31m"
    write_note(run, "  ")
    assert not run.notes_file.exists()
    with pytest.raises(RunError, match="longer"):
        write_note(run, "x" * 5000)


def test_a_note_that_is_no_file_is_not_read(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path, "alpha")
    os.mkfifo(run.notes_file)
    assert read_note(run) == ""
    run.notes_file.unlink()
    run.notes_file.symlink_to("/etc/hostname")
    assert read_note(run) == ""
    run.notes_file.unlink()
    run.notes_file.write_bytes(b"\xff\x00 rest")
    assert read_note(run) == "\ufffd rest"


def test_checkpoints_are_told_by_their_manifests(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path, "alpha")
    assert stored_checkpoints(run) == []
    write_checkpoint(run, "last", 40, 2, time=1.0, **{"val/acc": 0.874})
    write_checkpoint(run, "best", 20, 1, **{"val/acc": 0.874})
    (run.checkpoints_folder / "previous").mkdir()
    (run.checkpoints_folder / "previous" / "manifest.json").write_text("[")
    assert [checkpoint_text(found) for found in stored_checkpoints(run)] == [
        "last: step 40, epoch 2",
        "best: step 20, epoch 1, 87.4%",
    ]


def test_it_is_told_from_where_a_run_resumes_and_what_is_lost(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path, "alpha")
    write_status(run, Status("stopped", step=52, epoch=2.6, updated=1.0))

    def told() -> str:
        return resume_text(RunList().summarise([run])[0])

    assert told() == "from the start: it has no checkpoint yet (52 steps again)"
    write_checkpoint(run, "last", 51, 2)
    assert told() == "from step 51 (1 step again)"
    write_status(run, Status("stopped", step=51, epoch=2.5, updated=1.0))
    assert told() == "from step 51"


def test_a_file_with_two_names_counts_once(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path, "alpha")
    before = folder_size(run)
    for folder in ("last", "best"):
        (run.checkpoints_folder / folder).mkdir()
    (run.checkpoints_folder / "last" / "weights").write_bytes(bytes(1000))
    (run.checkpoints_folder / "best" / "weights").hardlink_to(run.checkpoints_folder / "last" / "weights")
    assert folder_size(run) == before + 1000


def test_a_run_is_renamed(config: RunConfig, tmp_path: Path) -> None:
    run = finished_run(config, tmp_path, "alpha", 0.5)
    renamed = service.rename(run, "beta")
    assert renamed.name == "beta"
    assert renamed.config() == config
    done = run_here("runs", "rename", "beta", "gamma", ALEXPLORE_RUNS=str(run.path.parent))
    assert (done.returncode, done.stderr) == (0, "renamed beta to gamma\n")
    assert [one.name for one in list_runs(run.path.parent)] == ["gamma"]
    assert not run.path.exists()


@pytest.mark.parametrize(
    ("name", "said"), [("taken", "exists"), ("a/b", "^name 'a/b': allowed: "), ("last", "allowed"), ("", "allowed")]
)
def test_names_that_a_run_can_not_get(config: RunConfig, tmp_path: Path, name: str, said: str) -> None:
    run = finished_run(config, tmp_path, "alpha", 0.5)
    create_run(config, tmp_path, "taken")
    with pytest.raises(RunError, match=said):
        service.rename(run, name)
    assert run.path.exists()


def test_a_run_that_is_trained_keeps_its_name(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path, "alpha")  # a worker is about to start
    with pytest.raises(RunError, match="being trained"):
        service.rename(run, "beta")


def test_runs_that_differ_only_in_their_seed(config: RunConfig) -> None:
    other = replace(config, recipe=replace(config.recipe, seed=7), created=5.0)
    assert differ_only_in_seed(config, other)
    assert not differ_only_in_seed(config, replace(other, recipe=replace(other.recipe, lr=0.5)))
    assert not differ_only_in_seed(config, replace(other, network=other.network.with_input(1, 30, 30)))
