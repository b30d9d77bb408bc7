"""The run that the form of Train describes, without the app."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alexplore.cli.app import app as command_line
from alexplore.core.errors import AlexploreError
from alexplore.core.settings import setting_fields
from alexplore.presets.library import load_preset
from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.preset import Preset
from alexplore.presets.recipe import Recipe
from alexplore.presets.schedules import SCHEDULES
from alexplore.runs.config import DataSource, Hardware
from alexplore.runs.directory import RunDirectory, list_runs
from alexplore.tui.checks import Check, Checker
from alexplore.tui.edit_session import EditSession
from alexplore.tui.planned_run import GROUPS, Naming, PlannedRun


def planned_run(folder: Path, preset: str = "fmnist-28") -> tuple[EditSession, PlannedRun]:
    session = EditSession(load_preset(preset))
    return session, PlannedRun(session, folder)


def put(planned: PlannedRun, **texts: str) -> None:
    """Type texts into fields of the form, and check them."""
    for name, text in texts.items():
        planned.form.put(planned.form.field(name), text)
    planned.follow()
    check(planned)


def check(planned: PlannedRun) -> None:
    request = planned.request()
    if request is not None:
        planned.take(Checker().check(request))


def create(planned: PlannedRun) -> RunDirectory:
    request = planned.request()
    assert request is not None
    run = planned.create(request)
    planned.mark_created()
    return run


def refused(planned: PlannedRun) -> Check:
    """Fail to create a run, and return the check that says why."""
    request = planned.request()
    assert request is not None
    with pytest.raises(AlexploreError) as told:
        planned.create(request)
    planned.refuse(told.value)
    assert planned.blocked is not None
    return planned.blocked


def shown(planned: PlannedRun) -> set[str]:
    return {field.name for group in planned.form.groups for field in planned.form.members(group)}


def test_the_groups_have_every_setting_of_a_run_once() -> None:
    names = [name for part in (Recipe, Hardware, DataSource, Naming) for name in setting_fields(part)]
    grouped = [name for group in GROUPS.values() for name in group]
    assert sorted(grouped) == sorted(names)


def test_the_form_has_the_presets_recipe(tmp_path: Path) -> None:
    session, planned = planned_run(tmp_path)
    config = planned.config()
    assert (config.preset, config.network, config.recipe) == ("fmnist-28", session.network, session.preset.recipe)
    assert (config.hardware, config.data) == (Hardware(), DataSource())
    assert planned.changes == []


def test_what_is_typed_goes_into_the_config(tmp_path: Path) -> None:
    session, planned = planned_run(tmp_path)
    put(planned, epochs="3", lr="0.5", device="cpu", gpus="2", folder="/12", limit_train="512", resize="")
    config = planned.config()
    assert config.recipe == replace(session.preset.recipe, epochs=3, lr=0.5)
    assert config.hardware == Hardware(device="cpu", gpus=2)
    assert config.data == DataSource(folder="/12", limit_train=512)
    assert ("epochs", "10", "3") in planned.changes


def test_a_folder_and_a_name_that_look_like_numbers_are_text(tmp_path: Path) -> None:
    _, planned = planned_run(tmp_path)
    put(planned, folder="12", name="7")
    assert planned.config().data.folder == "12"
    assert planned.name == "7"


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_only_the_settings_of_the_chosen_optimizer_and_schedule_are_shown(
    tmp_path: Path, optimizer: str, schedule: str
) -> None:
    _, planned = planned_run(tmp_path)
    put(planned, optimizer=optimizer, schedule=schedule)
    expected = {
        "momentum": optimizer == "sgd",
        "step_epochs": schedule == "step",
        "gamma": schedule in ("step", "plateau"),
        "patience": schedule == "plateau",
        "reductions": schedule == "plateau",
    }
    assert {name: name in shown(planned) for name in expected} == expected


def test_only_the_settings_of_the_chosen_data_set_are_shown(tmp_path: Path) -> None:
    _, planned = planned_run(tmp_path)
    data = {"folder", "download"}
    for dataset, expected in (("cifar10", data), ("imagefolder", {"folder"}), ("synthetic", set())):
        put(planned, dataset=dataset)
        assert shown(planned) & data == expected
    assert planned.form.field("folder").group == "Data and limits"
    put(planned, dataset="imagefolder")
    assert planned.form.field("folder").group == "Essentials"


def test_a_hidden_setting_that_can_not_be_read_is_left_as_it_was(tmp_path: Path) -> None:
    _, planned = planned_run(tmp_path)
    put(planned, schedule="step", gamma="x")
    assert [check.setting for check in planned.result.wrong] == ["gamma"]
    put(planned, schedule="constant")
    assert planned.result.wrong == ()
    assert planned.config().recipe.gamma == load_preset("fmnist-28").recipe.gamma


def test_what_can_not_be_read_is_said_on_its_field(tmp_path: Path) -> None:
    _, planned = planned_run(tmp_path)
    put(planned, batch_size="many")
    assert planned.form.error_of(planned.form.field("batch_size")) == (
        'batch_size: found "many", allowed: an integer ≥ 1'
    )
    assert [check.setting for check in planned.result.wrong] == ["batch_size"]
    put(planned, batch_size="")
    assert planned.form.field("batch_size").error.startswith("batch_size: found nothing, allowed: an integer ≥ 1")


def test_the_name_is_free_and_another_after_each_run(tmp_path: Path) -> None:
    _, planned = planned_run(tmp_path)
    (tmp_path / "fmnist-28-2").mkdir()
    assert planned.name == "fmnist-28-1"
    assert create(planned).name == "fmnist-28-1"
    assert planned.name == "fmnist-28-3"
    (tmp_path / "fmnist-28-3").mkdir()  # by another app
    planned.refresh()
    assert planned.name == "fmnist-28-4"
    put(planned, name="mine")
    planned.refresh()
    assert planned.name == "mine"


@pytest.mark.parametrize("name", ["last", "-x", ".x", "a/b", "taken", "x" * 300])
def test_a_name_is_refused_in_the_words_of_the_command_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").mkdir()
    _, planned = planned_run(tmp_path)
    put(planned, name=name, dataset="synthetic")
    options = ["--dataset", "synthetic", f"--name={name}", "--runs-dir", str(tmp_path)]
    refused = CliRunner().invoke(command_line, ["train", "--preset", "fmnist-28", *options])
    assert [(check.setting, check.text) for check in planned.result.wrong] == [("name", str(refused.exception))]


def test_without_a_name_a_run_is_named_by_the_time(tmp_path: Path) -> None:
    _, planned = planned_run(tmp_path)
    put(planned, name="")
    assert create(planned).name.startswith("fmnist-28-2")


def test_the_changes_belong_to_the_run_and_stay_in_the_form(tmp_path: Path) -> None:
    session, planned = planned_run(tmp_path)
    put(planned, epochs="3")
    assert create(planned).config().recipe.epochs == 3
    assert session.preset == load_preset("fmnist-28")
    assert not session.modified
    assert not session.unsaved
    planned.refresh()
    assert planned.config().recipe.epochs == 3


def test_an_edited_network_is_trained_and_saved_by_its_run(tmp_path: Path) -> None:
    session, planned = planned_run(tmp_path)
    session.apply(session.network.duplicate(1))
    put(planned, epochs="3")
    planned.refresh()
    run = create(planned)
    assert run.config().network == session.network
    assert run.config().recipe.epochs == 3
    assert session.modified
    assert not session.unsaved


def test_another_preset_fills_the_form_anew_and_a_save_does_not(tmp_path: Path) -> None:
    session, planned = planned_run(tmp_path)
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
    ("preset", "changes", "setting"),
    [
        ("paper", {}, "folder"),  # an image folder that is not named
        ("paper", {"dataset": "fashion-mnist"}, "network"),  # images of one channel, and of ten classes
        ("fmnist-28", {"dataset": "imagefolder", "folder": "/nonexistent"}, "folder"),
        ("fmnist-28", {"parallel": "towers"}, "parallel"),
        ("fmnist-28", {"batch_size": "2", "gpus": "3"}, "gpus"),
        ("fmnist-28", {"epochs": "0"}, "epochs"),
    ],
)
def test_what_the_command_line_refuses_is_refused_in_its_words(
    preset: str, changes: dict[str, str], setting: str, tmp_path: Path
) -> None:
    _, planned = planned_run(tmp_path, preset)
    put(planned, **changes)
    options = [part for name, text in changes.items() for part in command_line_option(name, text)]
    refused = CliRunner().invoke(command_line, ["train", "--preset", preset, *options, "--runs-dir", str(tmp_path)])
    assert planned.blocked is not None
    assert (planned.blocked.text, planned.blocked.setting) == (str(refused.exception), setting)
    if setting != "network":
        assert planned.form.error_of(planned.form.field(setting)) == str(refused.exception)
    assert list_runs(tmp_path) == []


def command_line_option(name: str, text: str) -> tuple[str, str]:
    options = {"folder": "--data", "batch_size": "--batch-size"}
    return options.get(name, f"--{name}"), text


@pytest.mark.parametrize(
    ("reason", "setting"),
    [
        ("--device cuda: PyTorch finds no GPU on this machine; use --device cpu, or auto", "device"),
        ("no folder of images was named: --data DIR", "folder"),
        ("training would take 9 GiB of memory, and 1 GiB are free: use a smaller --batch-size", "batch_size"),
        ("weights lost: there is no such file", "weights"),
        ("resize = 20 is less than the network's input", "resize"),
        ("images of x have 1 channel: set input to 1×28×28 (--input 1x28x28)", "dataset"),
        ("the disk is full", "dataset"),
    ],
)
def test_the_cursor_is_on_the_setting_that_a_failed_run_names(reason: str, setting: str, tmp_path: Path) -> None:
    _, planned = planned_run(tmp_path)
    planned.fill_in(planned.config(), reason)
    assert planned.form.current.name == setting
    assert planned.take_problem() is None


def test_the_cursor_goes_to_a_problem_once_and_not_if_it_was_moved(tmp_path: Path) -> None:
    _, planned = planned_run(tmp_path)
    wrong = planned.config().change({"dataset": "imagefolder", "folder": str(tmp_path / "gone")})
    for moves in (False, True):
        planned.fill_in(wrong)
        put(planned, dataset="imagefolder")
        if moves:
            planned.form.go_to("epochs")
        assert [planned.take_problem(), planned.take_problem()] == ([None, None] if moves else ["folder", None])


def test_fixes_make_a_run_possible_and_leave_the_network_in_explore(tmp_path: Path) -> None:
    """The paper's network on Fashion-MNIST reads other channels and tells too many classes apart."""
    session, planned = planned_run(tmp_path, "paper")
    put(planned, dataset="fashion-mnist")
    for left in (2, 1, 0):
        (wrong, *_) = planned.result.wrong
        assert wrong.fix is not None
        planned.fix(wrong.fix)
        check(planned)
        assert len(planned.result.wrong) == left
    assert len(planned.network_fixes) == 2
    config = create(planned).config()
    assert (config.network.input, config.network.classes) == ((1, 227, 227), 10)
    assert config.recipe.normalize == "dataset"
    assert session.network == load_preset("paper").network
    assert not session.modified
    planned.reset()
    assert planned.network == session.network
    assert planned.changes == []


def test_a_fix_is_forgotten_when_the_network_is_edited(tmp_path: Path) -> None:
    session, planned = planned_run(tmp_path, "paper")
    put(planned, dataset="cifar10")
    (wrong, *_) = planned.result.wrong
    assert wrong.fix is not None
    planned.fix(wrong.fix)
    session.apply(session.network.with_classes(20))
    planned.refresh()
    assert planned.network.classes == 20
    assert planned.network_fixes == ()


def test_a_fix_of_a_setting_opens_its_group(tmp_path: Path) -> None:
    _, planned = planned_run(tmp_path)
    put(planned, parallel="towers")
    assert "Machine" in planned.form.folded
    (wrong,) = planned.result.wrong
    assert wrong.fix is not None
    planned.fix(wrong.fix)
    assert planned.form.field("parallel").text == "data"
    assert "Machine" not in planned.form.folded


def test_a_broken_network_is_refused(tmp_path: Path) -> None:
    session, planned = planned_run(tmp_path)
    last = len(session.network.layers) - 1
    session.apply(session.network.change(last, {"in_features": 1}))
    planned.refresh()
    check(planned)
    assert planned.blocked is not None
    assert "fmnist-28 can't train: " in planned.blocked.text
    assert session.modified


@pytest.mark.parametrize("name", ["file", "--name"])
def test_a_runs_folder_that_can_not_be_written_is_shown(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    _, planned = planned_run(tmp_path / name)
    blocked = refused(planned)
    assert str(tmp_path / name) in blocked.text
    assert blocked.setting == ""


@pytest.mark.parametrize("name", ["taken", "-x"])
def test_a_name_that_a_run_can_not_have_is_shown_on_its_field(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").mkdir()
    _, planned = planned_run(tmp_path)
    planned.form.put(planned.form.field("name"), name)
    planned.follow()
    assert refused(planned).setting == "name"


def test_a_preset_without_a_file(tmp_path: Path) -> None:
    shipped = load_preset("fmnist-28")
    planned = PlannedRun(EditSession(Preset("new", shipped.network, shipped.recipe)), tmp_path)
    assert create(planned).config().preset == "new"
