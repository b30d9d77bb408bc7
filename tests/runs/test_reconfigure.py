"""What a run was asked for can be changed before it is resumed, where its checkpoints allow it."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.core.settings import SettingError
from alexplore.presets.library import load_preset
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError, create_run
from alexplore.runs.status import Status, write_status
from tests.support.runs import change_run


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    preset = load_preset("fmnist-28")
    made = create_run(RunConfig(preset.name, preset.network, preset.recipe), tmp_path, "run")
    write_status(made, Status("stopped"))
    return made


def test_what_is_changed_is_kept_and_the_rest_as_it_was(run: RunDirectory) -> None:
    before = run.config()
    change_run(run, {"epochs": 99, "lr": 0.5})
    after = run.config()
    assert (after.recipe.epochs, after.recipe.lr) == (99, 0.5)
    assert after.recipe.to_dict() == {**before.recipe.to_dict(), "epochs": 99, "lr": 0.5}
    assert (after.network, after.hardware, after.data) == (before.network, before.hardware, before.data)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("batch_size", 64, "batch_size can't be changed in a run that has begun"),
        ("optimizer", "sgd", "optimizer can't be changed"),
        ("lr", -1, "lr"),
        ("speed", 1, "speed"),
    ],
)
def test_what_checkpoints_depend_on_stays(run: RunDirectory, key: str, value: object, said: str) -> None:
    before = run.config_file.read_bytes()
    with pytest.raises(SettingError, match=said):
        change_run(run, {"epochs": 99, key: value})
    assert run.config_file.read_bytes() == before


def test_a_run_that_is_about_to_be_trained_is_left_alone(run: RunDirectory) -> None:
    run.status_file.unlink()
    with pytest.raises(RunError, match="stop it first"):
        change_run(run, {"epochs": 99})
