"""The functions by which the command line and the app plan, start, resume, steer and remove runs.

`plan` makes every check that needs no run, `create` creates the run directory of a plan, `start` starts its worker.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from alexplore.core.atomic_files import write_atomically
from alexplore.core.boundary import os_error_text
from alexplore.core.errors import FAILED, WRONG_USE, AlexploreError, WrongUseError
from alexplore.core.home import NoHomeError, expand, resolved
from alexplore.core.regular_files import open_regular
from alexplore.core.settings import toml_text
from alexplore.presets.datasets import DATASETS
from alexplore.runs import control, launch, reconfigure, torchrun
from alexplore.runs.config import RunConfig
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import find_layout
from alexplore.runs.data.trained_on import check_classes, read_trained_on
from alexplore.runs.directory import RunDirectory, RunError, create_run, remove_run, rename_run, runs_folder
from alexplore.runs.occasions import failed_untrained, failure_cause
from alexplore.runs.preflight import Problem, find_problems
from alexplore.runs.protocol import EXPLAINED
from alexplore.runs.starting_weights import find_weights
from alexplore.runs.status import in_training_error, read_status
from alexplore.runs.steering import check_steering


class PlanError(AlexploreError):
    """A run that can't be started; the message is the first problem's, and whether it is a failure or wrong use."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.exit_code = FAILED if problem.failure else WRONG_USE
        self.problem = problem


@dataclass(frozen=True)
class Plan:
    """A config, with everything that prevents it from being trained."""

    config: RunConfig
    problems: tuple[Problem, ...] = ()

    def raise_problem(self) -> None:
        """Raise the first problem, if there is one.

        Raises:
            PlanError: the config can't be trained.
        """
        for problem in self.problems:
            raise PlanError(problem)


def plan(config: RunConfig, runs: Path | None = None) -> Plan:
    """Check a config and return it as a plan.

    In the plan's config the paths of the data folder and of the first weights are resolved, and the layers that the
    recipe freezes are frozen in the network. The name of a run in the folder `runs` may stand for its weights.
    """
    config = replace(config, network=config.network.freeze(config.recipe.freeze or ()))
    if config.data.folder is not None:
        with suppress(NoHomeError, OSError):  # `find_problems` finds them, too
            folder = str(resolved(expand(config.data.folder)))
            config = replace(config, data=replace(config.data, folder=folder))
    problems = find_problems(config)
    if config.recipe.weights is not None:
        try:
            config = config.change({"weights": str(find_weights(config.recipe.weights, runs or runs_folder()))})
        except WrongUseError as error:
            problems = (*problems, Problem("weights", str(error)))
        except OSError as error:
            problems = (*problems, Problem("weights", f"weights {os_error_text(error)}", failure=True))
    return Plan(config, problems)


def create(planned: Plan, folder: Path, name: str | None = None) -> RunDirectory:
    """Create the run directory of a plan in the folder of runs, called `name` or after its preset.

    Raises:
        PlanError: the plan has a problem.
        RunError: the name is taken or not allowed, or the folder can't be written.
    """
    planned.raise_problem()
    return create_run(planned.config, folder, name)


def start(
    run: RunDirectory,
    environment: Mapping[str, str] | None = None,
    waiting: launch.WaitingWorker | None = None,
) -> subprocess.Popen[bytes]:
    """Start a worker on a run and return its process as soon as it has written a status.

    `environment` is added to this process's own. The worker `waiting` is used if it still runs.

    Raises:
        RunError: a worker already trains the run, or the new one exited at once; the message has its last output.
        StartError: the system starts no process.
    """
    return launch.launch(run, environment, waiting)


def join(planned: Plan, folder: Path, name: str | None = None) -> NoReturn:
    """Replace this process, which torchrun started, by a rank.

    Raises:
        PlanError: the plan has a problem.
        RunError: the ranks can't use the same run directory.
    """
    planned.raise_problem()
    torchrun.become_rank(planned.config, folder, name or torchrun.group_name(planned.config))


def resumes_when_asked(run: RunDirectory, changes: Mapping[str, Any] | None = None) -> bool:
    """Return whether a run is resumed by asking its worker: it is paused, and there are no `changes`."""
    return not changes and read_status(run).state == "paused"


def resume(run: RunDirectory) -> subprocess.Popen[bytes] | control.Request:
    """Resume a run: if it is paused, ask its worker and return the request; else start a worker and return its process.

    Raises:
        AlexploreError: as `ask` and `restart` do.
    """
    return ask(run, "resume") if resumes_when_asked(run) else restart(run)


def restart(
    run: RunDirectory,
    changes: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    waiting: launch.WaitingWorker | None = None,
) -> subprocess.Popen[bytes]:
    """Start a worker that continues a run from its last checkpoint.

    `changes` are new values of recipe keys, of `folder`, the folder of its data, or of its hardware, `device` and
    `gpus`. Nothing is changed if the run can't be resumed. The worker `waiting` is used if it still runs.

    Raises:
        SettingError: a change is unknown, not allowed, or of a setting that checkpoints depend on.
        PlanError: the run can't be trained any more, for example because its data folder is gone.
        RunError: the run is finished, or a worker already trains it.
    """
    status, config = read_status(run), reconfigure.changed_config(run, changes) if changes else run.config()
    if status.state == "finished" and status.epoch >= config.recipe.epochs:
        raise RunError(f"{run.name} is finished: there is nothing to resume; to train on, give more --epochs")
    if "epochs" in (changes or {}) and status.epoch >= config.recipe.epochs:
        raise RunError(f"{run.name} has trained {status.epoch:.4g} epochs: give more --epochs than that")
    planned = plan(config)
    problems = planned.problems
    if run.has_checkpoint:  # the weights that it started from may be gone
        problems = tuple(problem for problem in problems if problem.setting != "weights")
    problems = problems or tuple(_changed_data(run, planned.config))
    for problem in problems:
        moved = problem.setting == "folder" and "--data DIR" not in problem.message
        hint = "; if the data was moved, name its folder with --data DIR" if moved else ""
        raise PlanError(replace(problem, message=problem.message + hint))
    if changes:
        reconfigure.write_config(run, planned.config)
    return start(run, environment, waiting)


def _changed_data(run: RunDirectory, config: RunConfig) -> Iterator[Problem]:
    """Yield a problem if the classes of an image folder are not those that the run was trained on."""
    trained_on = read_trained_on(run)
    if trained_on is None or not DATASETS[config.recipe.dataset].needs_folder or not run.has_checkpoint:
        return
    folder = expand(config.data.folder or "")
    try:
        check_classes(trained_on, find_layout(folder).classes, folder)
    except DataError as error:
        yield Problem("folder", str(error), failure=error.failure)


def ask(run: RunDirectory, action: str) -> control.Request:
    """Ask the worker of a run for one of `control.ACTIONS`; `control.wait_for_answer` waits for its answer.

    Raises:
        RunError: no worker trains the run, or its directory can't be written.
    """
    return control.send_request(run, action)


def steer(run: RunDirectory, values: Mapping[str, Any]) -> control.Request:
    """Ask the worker of a run to change keys of its recipe (`steering.STEERABLE`) from its next step on.

    Raises:
        SettingError: a key can't be changed during training, or a value is not allowed.
        RunError: no worker trains the run; the message names the command that resumes it with the change.
    """
    status = read_status(run)
    check_steering(run.config().recipe, values, max(1, math.ceil(status.epoch)))
    if status.live:
        return control.send_request(run, "set", values)
    options = [
        f"--{key} {toml_text(value)}" if key in ("lr", "epochs") else f"--set training.{key}={toml_text(value)}"
        for key, value in values.items()
    ]
    if status.state == "finished" and "epochs" not in values:
        options.append("--epochs N")
    raise RunError(
        f"{run.name} is {status.state}: no worker trains it; to train on with the change: "
        f"{run.command('resume')} {' '.join(options)}"
    )


def rename(run: RunDirectory, name: str) -> RunDirectory:
    """Rename a run and return it under the new name.

    Raises:
        RunError: a worker trains it, the name is taken or not allowed, or the folder can't be written.
    """
    if read_status(run).live:
        raise RunError(f"{run.name} is being trained; it can be renamed when it has ended")
    return rename_run(run, name)


def check_removable(run: RunDirectory) -> None:
    """Refuse to remove a run that is being trained.

    Raises:
        RunError: a worker trains it.
    """
    if read_status(run).live:
        raise in_training_error(run)


def remove(run: RunDirectory) -> None:
    """Delete a run directory with its checkpoints.

    Raises:
        RunError: a worker trains it, or it can't be deleted.
    """
    check_removable(run)
    remove_run(run)


def discard_untrained(run: RunDirectory) -> bool:
    """Delete the directory of a run that failed before its first step, and return whether that was done.

    A run is kept if its files say more than its reason does, such as the traceback of a fault in the program.

    Raises:
        RunError: it can't be deleted.
    """
    status = read_status(run)
    if status.state != "failed" or status.step or run.has_checkpoint or failure_cause(run) != EXPLAINED:
        return False
    remove(run)
    return True


@dataclass(frozen=True)
class StateBefore:
    """The contents of config.json and status.json before a run is resumed."""

    config: bytes
    status: bytes


def state_before(run: RunDirectory) -> StateBefore | None:
    """Return the state that `restore_untrained` needs; None if it can't be read."""
    try:
        with open_regular(run.config_file, links=False) as config, open_regular(run.status_file, links=False) as status:
            return StateBefore(config.read(), status.read())
    except OSError:
        return None


def restore_untrained(run: RunDirectory, before: StateBefore) -> bool:
    """Give a run its state back if it was resumed and failed before it trained, and return whether that was done.

    The reason of the failure stays in events.jsonl. Nothing is restored if console.log says more, such as a traceback.
    """
    if read_status(run).state != "failed" or not failed_untrained(run):
        return False
    try:
        write_atomically(run.config_file, before.config)
        write_atomically(run.status_file, before.status)
    except OSError:
        return False
    return True
