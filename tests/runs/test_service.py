"""The one way from a config to a run, and to what is asked of it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alexplore.core.errors import WRONG_USE
from alexplore.core.settings import SettingError
from alexplore.runs import service
from alexplore.runs.config import Hardware, RunConfig
from alexplore.runs.control import Request
from alexplore.runs.directory import RunDirectory, RunError, create_run, list_runs
from alexplore.runs.status import Status, worker_lock, write_status


def test_a_plan_with_a_problem_makes_no_run(config: RunConfig, tmp_path: Path) -> None:
    planned = service.plan(replace(config, hardware=Hardware(gpus=1000)))
    assert [problem.setting for problem in planned.problems] == ["gpus"]
    with pytest.raises(service.PlanError, match="1000 ranks: a batch of 128") as refused:
        service.create(planned, tmp_path / "runs", "x")
    assert refused.value.exit_code == WRONG_USE
    assert refused.value.problem == planned.problems[0]
    assert list_runs(tmp_path / "runs") == []


def test_the_folder_of_the_data_does_not_depend_on_where_a_run_is_resumed(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)
    run = service.create(service.plan(config.change({"folder": "images"})), tmp_path / "runs")
    assert run.config().data.folder == str(tmp_path / "images")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[RunDirectory]:
    """Runs that a worker would have been started on."""
    runs: list[RunDirectory] = []
    monkeypatch.setattr(service, "start", lambda run, calls, waiting: runs.append(run))
    return runs


def test_a_stopped_run_is_restarted_with_the_changes(
    config: RunConfig, tmp_path: Path, started: list[RunDirectory]
) -> None:
    run = create_run(config, tmp_path)
    write_status(run, Status("stopped", step=4, epoch=1.0, updated=1.0))
    service.restart(run, {"lr": 0.5})
    assert started == [run]
    assert run.config().recipe.lr == 0.5
    with pytest.raises(SettingError, match="batch_size can't be changed"):
        service.restart(run, {"batch_size": 7})


def test_a_run_that_somebody_else_has_resumed_meanwhile_keeps_its_config(
    config: RunConfig, tmp_path: Path, started: list[RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(config, tmp_path)
    write_status(run, Status("stopped", step=4, epoch=1.0, updated=1.0))
    before, plan = run.config_file.read_bytes(), service.plan

    def slow_plan(changed: RunConfig) -> service.Plan:
        run.status_file.unlink()  # as of a run whose worker is about to write its first status
        return plan(changed)

    monkeypatch.setattr(service, "plan", slow_plan)
    with pytest.raises(RunError, match="is being trained; stop it first"):
        service.restart(run, {"lr": 0.5})
    assert started == []
    assert run.config_file.read_bytes() == before


def test_a_finished_run_continues_only_with_more_epochs(
    config: RunConfig, tmp_path: Path, started: list[RunDirectory]
) -> None:
    run = create_run(config, tmp_path)
    write_status(run, Status("finished", step=8, epoch=2.0, updated=1.0))
    with pytest.raises(RunError, match="is finished: there is nothing to resume"):
        service.resume(run)
    service.restart(run, {"epochs": 3})
    assert started == [run]


def test_a_run_is_not_resumed_to_fewer_epochs_than_it_has_trained(
    config: RunConfig, tmp_path: Path, started: list[RunDirectory]
) -> None:
    run = create_run(config, tmp_path)
    write_status(run, Status("stopped", step=4, epoch=19.75, updated=1.0))
    before = run.config_file.read_bytes()
    with pytest.raises(RunError, match=r"has trained 19\.75 epochs: give more --epochs than that"):
        service.restart(run, {"epochs": 14})
    assert (started, run.config_file.read_bytes()) == ([], before)
    service.restart(run, {"epochs": 20})
    assert started == [run]


def test_a_run_whose_data_is_gone_is_not_restarted(
    config: RunConfig, tmp_path: Path, started: list[RunDirectory]
) -> None:
    run = create_run(config.change({"folder": str(tmp_path / "gone")}), tmp_path)
    write_status(run, Status("stopped", step=4, epoch=1.0, updated=1.0))
    with pytest.raises(service.PlanError, match="there is no such folder"):
        service.resume(run)
    assert started == []


def test_a_paused_run_is_asked_to_continue_and_a_live_one_is_kept(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(config, tmp_path)
    with worker_lock(run):
        monkeypatch.setattr("alexplore.runs.status.is_locked", lambda _: True)  # this process can't ask itself
        write_status(run, Status("paused", step=4, epoch=1.0, updated=time.time()))
        assert not service.resumes_when_asked(run, {"lr": 0.5})
        asked = service.resume(run)
        assert isinstance(asked, Request)
        assert asked.action == "resume"
        with pytest.raises(RunError, match="stop it first"):
            service.remove(run)
    write_status(run, Status("stopped"))
    service.remove(run)
    assert not run.path.exists()


def test_a_plan_freezes_layers_and_finds_the_weights_of_a_run(config: RunConfig, tmp_path: Path) -> None:
    base = create_run(config, tmp_path / "runs", "base")
    best = base.checkpoints_folder / "best"
    best.mkdir(parents=True)
    planned = service.plan(config.change({"weights": "base", "freeze": "conv*"}), tmp_path / "runs")
    assert planned.problems == ()
    assert planned.config.recipe.weights == str(best)
    assert [layer.name for layer in planned.config.network.layers if not layer.trains] == ["conv1"]
    (tmp_path / "w.pt").touch()
    assert service.plan(config.change({"weights": str(tmp_path / "w.pt")})).problems == ()


@pytest.mark.parametrize(
    ("changes", "setting", "words"),
    [
        ({"freeze": ["cnv*"]}, "freeze", 'freeze: "cnv*" matches no layer with parameters; did you mean conv1?'),
        ({"freeze": ["relu*"]}, "freeze", "Layers: conv1, fc2"),
        ({"freeze": "*"}, "freeze", "every layer with parameters is frozen"),
        ({"weights": "nix"}, "weights", "weights nix: there is no such file; as the name of a run: no run 'nix'"),
        ({"weights": "fresh"}, "weights", "weights fresh: the run has no checkpoint yet"),
    ],
)
def test_weights_and_layers_that_are_not_there(
    config: RunConfig, tmp_path: Path, changes: dict[str, Any], setting: str, words: str
) -> None:
    create_run(config, tmp_path / "runs", "fresh")
    (problem,) = service.plan(config.change(changes), tmp_path / "runs").problems
    assert problem.setting == setting
    assert words in problem.message


@pytest.mark.parametrize(
    ("changes", "setting", "words"),
    [
        ({"folder": "~nosuchuser/images"}, "folder", "--data ~nosuchuser/images: there is no home folder ~nosuchuser"),
        ({"folder": "x" * 300}, "folder", f"{'x' * 300}: File name too long"),
        ({"weights": "~nosuchuser/w.pth"}, "weights", "there is no home folder ~nosuchuser"),
        ({"weights": "x" * 300}, "weights", f"{'x' * 300}: File name too long"),
    ],
)
def test_a_path_that_can_not_be_looked_up_is_a_problem_of_its_setting(
    config: RunConfig, changes: dict[str, str], setting: str, words: str
) -> None:
    (problem,) = service.plan(config.change(changes)).problems
    assert problem.setting == setting
    assert words in problem.message


def test_a_link_to_itself_is_a_problem_of_its_setting(config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (problem,) = service.plan(config.change({"folder": str(tmp_path / "loop")})).problems
    assert problem.setting == "folder"
