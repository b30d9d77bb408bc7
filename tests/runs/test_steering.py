"""Changes of a recipe while a run is trained: which are allowed, what config.json holds, which recipe a step has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alexplore.core.settings import SettingError
from alexplore.network.graph import read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs import service
from alexplore.runs.config import RunConfig, parse_config
from alexplore.runs.control import send_request, take_requests
from alexplore.runs.directory import RunError, create_run
from alexplore.runs.status import Status, write_status
from alexplore.runs.steering import check_steering, parse_changes
from tests.support.networks import SMALL

CONFIG = RunConfig("small", read_network(SMALL), Recipe(lr=0.1, epochs=5))


def rates(config: RunConfig, *steps: int) -> list[float]:
    return [config.recipe_at(step).lr for step in steps]


def test_a_change_counts_from_its_step_on() -> None:
    config = CONFIG.steered(7, {"lr": 0.01}).steered(9, {"lr": 0.001, "epochs": 8})
    assert rates(config, 0, 6, 7, 8, 9, 100) == [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    assert [config.recipe_at(step).epochs for step in (0, 8, 9)] == [5, 5, 8]
    assert config.recipe == Recipe(lr=0.001, epochs=8)
    assert config.as_started() == CONFIG


def test_the_last_of_several_at_a_step_counts() -> None:
    assert rates(CONFIG.steered(7, {"lr": 0.01}).steered(7, {"lr": 0.02}), 6, 7) == [0.1, 0.02]


def test_a_newer_wish_at_an_earlier_step_replaces_later_changes_of_the_same_key() -> None:
    """A run that was resumed before its change at step 9 is asked for another one at step 7."""
    config = CONFIG.steered(9, {"lr": 0.01, "epochs": 8}).steered(7, {"lr": 0.02})
    assert rates(config, 6, 7, 8, 9) == [0.1, 0.02, 0.02, 0.02]
    assert [config.recipe_at(step).epochs for step in (8, 9)] == [5, 8]
    assert config.recipe == Recipe(lr=0.02, epochs=8)


def test_resuming_with_another_value_drops_earlier_changes_of_it() -> None:
    config = CONFIG.steered(7, {"lr": 0.01, "epochs": 8}).change({"lr": 0.5})
    assert rates(config, 0, 7) == [0.5, 0.5]
    assert [config.recipe_at(step).epochs for step in (6, 7)] == [5, 8]


def test_config_json_holds_the_changes() -> None:
    config = CONFIG.steered(7, {"lr": 0.01})
    assert parse_config(config.to_json(), Path("config.json")) == config
    assert json.loads(config.to_json())["changes"] == [{"step": 7, "before": {"lr": 0.1}, "after": {"lr": 0.01}}]
    assert "changes" not in json.loads(CONFIG.to_json())


@pytest.mark.parametrize(
    "changes",
    [3, [3], [{}], [{"step": -1, "before": {}, "after": {}}], [{"step": 1, "before": {"lr": "x"}, "after": {}}]],
)
def test_damaged_changes_are_refused(changes: object) -> None:
    text = json.dumps({**CONFIG.to_dict(), "changes": changes})
    with pytest.raises(SettingError, match=r"^config\.json: "):
        parse_config(text, Path("config.json"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "nothing to change"),
        ({"lr": -1}, "lr: found -1, allowed: a number > 0"),
        ({"lrr": 1}, "lrr: unknown; did you mean lr"),
        ({"batch_size": 1}, "batch_size can't be changed while a run is trained. Allowed: lr, epochs"),
        ({"epochs": 2}, "epochs: found 2, allowed: 3 or more: epoch 3 is being trained"),
    ],
)
def test_what_is_not_allowed(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=f"^{message}"):
        check_steering(CONFIG.recipe, values, 3)


def test_assignments() -> None:
    assert parse_changes(["lr=0.003", "training.epochs = 20", "schedule=cosine"]) == {
        "lr": 0.003, "epochs": 20, "schedule": "cosine",
    }  # fmt: skip
    for wrong in (["lr"], ["=3"], ["lr="], ["lr=1", "training.lr=2"]):
        with pytest.raises(SettingError):
            parse_changes(wrong)


@pytest.mark.parametrize(
    ("state", "hint"),
    [("stopped", "--lr 0.003"), ("failed", "--lr 0.003"), ("finished", "--lr 0.003 --epochs N")],
)
def test_a_run_that_is_not_trained_names_the_command_that_resumes_it(state: str, hint: str, tmp_path: Path) -> None:
    run = create_run(CONFIG, tmp_path, "one")
    write_status(run, Status(state, epoch=2.5))
    with pytest.raises(RunError, match=f"one is {state}: .* resume .*one {hint}$"):
        service.steer(run, {"lr": 0.003})
    with pytest.raises(SettingError, match="epochs: found 2, allowed: 3 or more"):  # before the state is looked at
        service.steer(run, {"epochs": 2})


def test_a_request_carries_its_values(tmp_path: Path) -> None:
    run = create_run(CONFIG, tmp_path, "one")  # just made: it counts as starting
    made = send_request(run, "set", {"lr": 0.003})
    for name, content in {"a": {"action": "set", "values": 3}, "b": {"action": ["set"]}, "c": {"values": {}}}.items():
        (run.control_folder / f"{name}.json").write_text(json.dumps(content))
    assert take_requests(run) == [made]


def test_fewer_epochs_than_are_averaged_are_refused() -> None:
    recipe = Recipe(epochs=30, swa_epochs=5)
    check_steering(recipe, {"epochs": 5}, 1)
    with pytest.raises(SettingError, match="epochs: found 4, allowed: 5 or more: swa_epochs of them are averaged"):
        check_steering(recipe, {"epochs": 4}, 1)
