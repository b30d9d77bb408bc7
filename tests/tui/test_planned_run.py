"""The run that the form of Train describes, without the app."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alexplore.cli.app import app as command_line
from alexplore.core.settings import setting_fields
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware
from alexplore.runs.directory import list_runs
from alexplore.tui.edit_session import EditSession
from alexplore.tui.planned_run import PlannedRun


def planned_run(preset: str = "fmnist-28") -> tuple[EditSession, PlannedRun]:
    session = EditSession(load_preset(preset))
    return session, PlannedRun(session)


def put(planned: PlannedRun, **texts: str) -> None:
    """Type texts into fields of the form."""
    for name, text in texts.items():
        planned.form.fields[planned.form.index(name)].text = text
    planned.check()


def known_bytes(planned: PlannedRun) -> int:
    assert planned.training_bytes is not None
    return planned.training_bytes


def test_the_form_has_every_setting_of_a_run_and_the_presets_recipe() -> None:
    session, planned = planned_run()
    names = [field.name for field in planned.form.fields]
    assert names == [name for part in (Recipe, Hardware, DataSource) for name in setting_fields(part)]
    config = planned.config()
    assert (config.preset, config.network, config.recipe) == ("fmnist-28", session.network, session.preset.recipe)
    assert (config.hardware, config.data) == (Hardware(), DataSource())


def test_what_is_typed_goes_into_the_config() -> None:
    session, planned = planned_run()
    put(planned, epochs="3", lr="0.5", device="cpu", gpus="2", folder="/data", limit_train="512", resize="")
    config = planned.config()
    assert config.recipe == replace(session.preset.recipe, epochs=3, lr=0.5)
    assert config.hardware == Hardware(device="cpu", gpus=2)
    assert config.data == DataSource(folder="/data", limit_train=512)


def test_the_memory_is_that_of_the_network_and_batch() -> None:
    """A batch of twice the size takes more; one that can't be read takes nothing that is known."""
    _, planned = planned_run()
    small = known_bytes(planned)
    put(planned, batch_size="256")
    assert known_bytes(planned) > small
    put(planned, batch_size="many")
    assert planned.training_bytes is None
    assert planned.form.error == 'batch_size: found "many", allowed: an integer ≥ 1'


def test_the_memory_follows_the_network() -> None:
    session, planned = planned_run("paper")
    before = known_bytes(planned)
    session.apply(session.network.with_classes(10))
    planned.refresh()
    assert known_bytes(planned) < before


def test_the_changes_belong_to_the_run_and_stay_in_the_form(tmp_path: Path) -> None:
    session, planned = planned_run()
    put(planned, epochs="3")
    run = planned.create(tmp_path)
    assert run is not None
    assert run.config().recipe.epochs == 3
    assert session.preset == load_preset("fmnist-28")
    assert not session.modified
    assert not session.unsaved
    planned.refresh()
    assert planned.config().recipe.epochs == 3


def test_an_edited_network_is_trained_and_saved_by_its_run(tmp_path: Path) -> None:
    session, planned = planned_run()
    session.apply(session.network.duplicate(1))
    put(planned, epochs="3")
    planned.refresh()
    run = planned.create(tmp_path)
    assert run is not None
    assert run.config().network == session.network
    assert run.config().recipe.epochs == 3
    assert session.modified
    assert not session.unsaved


def test_another_preset_fills_the_form_anew_and_a_save_does_not() -> None:
    session, planned = planned_run()
    form = planned.form
    put(planned, epochs="3")
    session.mark_saved(replace(session.preset, name="mine"))
    planned.refresh()
    assert planned.form is form
    assert (planned.config().preset, planned.config().recipe.epochs) == ("mine", 3)
    session.open(load_preset("fmnist-28"))
    planned.refresh()
    assert planned.form is not form
    assert planned.config().recipe == load_preset("fmnist-28").recipe


@pytest.mark.parametrize(
    ("preset", "changes", "field"),
    [
        ("paper", {}, "folder"),  # an image folder that is not named
        ("paper", {"dataset": "fashion-mnist"}, ""),  # images of one channel, and of ten classes
        ("fmnist-28", {"dataset": "imagefolder", "folder": "/nonexistent"}, "folder"),
        ("fmnist-28", {"parallel": "towers"}, "parallel"),
        ("fmnist-28", {"batch_size": "2", "gpus": "3"}, "gpus"),
        ("fmnist-28", {"epochs": "0"}, ""),
    ],
)
def test_what_the_command_line_refuses_is_refused_in_its_words(
    preset: str, changes: dict[str, str], field: str, tmp_path: Path
) -> None:
    _, planned = planned_run(preset)
    put(planned, **changes)
    assert planned.create(tmp_path) is None
    options = [part for name, text in changes.items() for part in command_line_option(name, text)]
    refused = CliRunner().invoke(command_line, ["train", "--preset", preset, *options, "--runs-dir", str(tmp_path)])
    assert planned.form.error == str(refused.exception)
    assert planned.form.error_field == field
    assert list_runs(tmp_path) == []


def command_line_option(name: str, text: str) -> tuple[str, str]:
    options = {"folder": "--data", "batch_size": "--batch-size"}
    return options.get(name, f"--{name}"), text


def test_the_refusal_goes_with_the_next_change(tmp_path: Path) -> None:
    _, planned = planned_run("paper")
    assert planned.create(tmp_path) is None
    planned.refresh()
    assert planned.form.error_field == "folder"
    put(planned, dataset="synthetic")
    assert not planned.form.error
    assert not planned.form.error_field


def test_a_broken_network_is_refused(tmp_path: Path) -> None:
    session, planned = planned_run()
    last = len(session.network.layers) - 1
    session.apply(session.network.change(last, {"in_features": 1}))
    planned.refresh()
    assert planned.create(tmp_path) is None
    assert "fmnist-28 can't train: " in planned.form.error
    assert session.modified


def test_a_runs_folder_that_can_not_be_written_is_shown(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _, planned = planned_run()
    assert planned.create(tmp_path / "file") is None
    assert str(tmp_path / "file") in planned.form.error


def test_a_preset_without_a_file(tmp_path: Path) -> None:
    shipped = load_preset("fmnist-28")
    planned = PlannedRun(EditSession(Preset("new", shipped.network, shipped.recipe)))
    run = planned.create(tmp_path)
    assert run is not None
    assert run.config().preset == "new"
