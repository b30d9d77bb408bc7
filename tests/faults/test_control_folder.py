"""Whatever lies in the folder of requests while a run trains, the training goes on, and requests are answered."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from alexplore.runs.control import LONGEST_REQUEST
from alexplore.runs.directory import RunDirectory
from alexplore.runs.service import ask
from alexplore.runs.status import read_status
from tests.faults.damage import DEEP, HUGE
from tests.support.hostile import HOSTILE_NAME
from tests.support.processes import exit_code, start_worker
from tests.support.runs import events, steps_done, wait_for_steps, wait_for_worker
from tests.training.conftest import MakeRun

Odd = Callable[[Path], object]


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(".", os.O_RDONLY)
        os.chdir(path.parent)  # a socket's name is at most 107 bytes
        try:
            made.bind(path.name)
        finally:
            os.fchdir(here)
            os.close(here)


def _full_folder(path: Path) -> None:
    path.mkdir()
    (path / "stop.json").write_text('{"action": "stop"}')


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


ODD: dict[str, Odd] = {
    "folder": Path.mkdir,
    "folder with a request": _full_folder,
    "FIFO": os.mkfifo,
    "socket": _socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link out of the run": lambda path: path.symlink_to(_outside(path)),
    "link to a folder": lambda path: path.symlink_to(path.parent.parent.parent),
    "empty": Path.touch,
    "deep": lambda path: path.write_text(DEEP),
    "deep tables": lambda path: path.write_text('{"action":' * 100_000 + "1" + "}" * 100_000),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "a large request": lambda path: path.write_text('{"action": "stop", "x": "' + "x" * LONGEST_REQUEST + '"}'),
    "a terabyte": _sparse,
    "list": lambda path: path.write_text('["stop"]'),
    "number": lambda path: path.write_text(HUGE),
    "action of 400 digits": lambda path: path.write_text(f'{{"action": {HUGE}}}'),
    "action that is a list": lambda path: path.write_text('{"action": ["stop"]}'),
    "action that is a table": lambda path: path.write_text('{"action": {"stop": 1}}'),
    "unknown action": lambda path: path.write_text('{"action": "format c:"}'),
    "half": lambda path: path.write_text('{"action": "sto'),
    "surrogate": lambda path: path.write_text('{"action": "\\ud800"}'),
    "UTF-16": lambda path: path.write_text('{"action": "stop"}', encoding="utf-16"),
}
"""What is put into the folder, under a name that a request may have."""


def _outside(path: Path) -> Path:
    outside = path.parent.parent.parent / "outside.json"
    outside.write_text('{"action": "stop"}')
    return outside


def put_all(run: RunDirectory) -> None:
    for number, make in enumerate(ODD.values()):
        make(run.control_folder / f"{number:020d}-abcdef.json")
    (run.control_folder / f"{HOSTILE_NAME}.json").write_text('{"action": "format c:"}')
    (run.control_folder / ("x" * 250 + ".json")).write_text("{")
    (run.control_folder / "stop").write_text('{"action": "stop"}')


def put_one_by_one(run: RunDirectory) -> None:
    for number, make in enumerate(ODD.values()):
        make(run.control_folder / f"{number:020d}-fedcba.json")
        wait_for_steps(run, steps_done(run) + 1)


def answers(run: RunDirectory) -> list[str]:
    return [str(event["action"]) for event in events(run, "control")]


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.faults)])
def test_training_goes_on_whatever_lies_in_the_folder_of_requests(make_run: MakeRun, ranks: int) -> None:
    run = make_run("odd", gpus=ranks, epochs=100_000)
    process = start_worker(run)
    wait_for_steps(run, 3)
    put_all(run)
    wait_for_steps(run, steps_done(run) + 20)
    assert read_status(run).state == "running"
    assert (run.path.parent / "outside.json").exists()
    ask(run, "pause")
    wait_for_worker(run, lambda: read_status(run).state == "paused", "a pause")
    ask(run, "resume")
    wait_for_steps(run, steps_done(run) + 3)
    ask(run, "stop")
    assert exit_code(process, run) == 3
    assert answers(run) == ["pause", "resume", "stop"]
    assert "Traceback" not in "\n".join(run.console_tail(1000))


@pytest.mark.faults
def test_each_kind_by_itself_while_training_and_before_a_resumed_run(make_run: MakeRun) -> None:
    run = make_run("odd", epochs=100_000)
    process = start_worker(run)
    wait_for_steps(run, 3)
    put_one_by_one(run)
    ask(run, "stop")
    assert exit_code(process, run) == 3
    put_all(run)
    process = start_worker(run)
    wait_for_steps(run, steps_done(run) + 20)
    ask(run, "stop")
    assert exit_code(process, run) == 3
    assert "Traceback" not in "\n".join(run.console_tail(1000))


@pytest.mark.faults
@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, lambda path: path.symlink_to("/")])
def test_a_folder_of_requests_that_is_none(make_run: MakeRun, make: Odd) -> None:
    run = make_run("odd", epochs=100_000)
    process = start_worker(run)
    wait_for_steps(run, 3)
    shutil.rmtree(run.control_folder)
    make(run.control_folder)
    wait_for_steps(run, steps_done(run) + 20)
    process.terminate()
    assert exit_code(process, run) == 3
    assert "Traceback" not in "\n".join(run.console_tail(1000))
