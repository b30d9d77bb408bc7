"""Damaged run directories: no traceback in any command, and one damaged run spoils no other."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from alexplore.core.errors import AlexploreError
from alexplore.runs import launch
from alexplore.runs.checkpoint_files import stored_checkpoints
from alexplore.runs.checkup import check
from alexplore.runs.config import RunConfig
from alexplore.runs.data.trained_on import read_trained_on
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.summary import RunList
from alexplore.training.run_writer import read_history, read_position
from tests.faults.damage import flipped, replaced, retyped, truncated
from tests.support.command_line import run_here
from tests.support.hostile import check_inert
from tests.support.runs import finished_run

FILES = ("config.json", "status.json", "metrics.jsonl", "events.jsonl")
SHOWN_EVERY = 4
"""One in so many damaged files is read by two commands; every one is read by `READERS`."""

READING = (("list",), ("show", "run"), ("watch", "run"), ("compare", "run", "whole"), ("export", "run"), ("doctor",))
OTHERS = (("list", "--json"), ("show", "run", "--json"), ("watch", "run", "--json"), ("stop", "run"), ("resume", "run"))
SEED = 11


@pytest.fixture
def run(config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run beside a whole one; no worker is started on it."""

    def refuse(*_: object) -> None:
        raise RunError("not started")

    monkeypatch.setattr(launch, "launch", refuse)
    finished_run(config, tmp_path / "runs", "whole", 0.75)
    run = finished_run(config, tmp_path / "runs", "run", 0.5)
    events = [
        {"event": "start", "step": 0, "device": "cpu", "device_name": "CPU", "threads": 1, "ranks": 1,
         "parallel": "data", "precision": "fp32", "flops_per_image": 10, "peak_flops": 1e9},
        {"event": "precision", "precision": "fp32", "device": "cpu", "peak_flops": 1e9, "images": 8,
         "seconds": {"fp32": 0.1, "bf16": 0.3}, "speedup": 0.3},
        {"event": "epoch", "epoch": 2, "step": 8, "seconds": 1.0, "val/acc": 0.5, "damaged": 1},
    ]  # fmt: skip
    heads = ({"v": 1, "seq": number, "attempt": 0, "time": 1.0} for number in range(len(events)))
    lines = (json.dumps({**head, **event}) for head, event in zip(heads, events, strict=True))
    run.events_file.write_text("".join(f"{line}\n" for line in lines))
    return run


def check_commands(commands: tuple[tuple[str, ...], ...] = READING) -> None:
    """Check that commands end with a code of theirs and a message, and that the other run is listed as it is."""
    for command in commands:
        result = run_here("runs", *command)
        assert result.returncode in (0, 1, 2), (command, result.stderr)
        check_inert(result.stdout + result.stderr)
        if result.returncode == 2:
            assert "error: " in result.stderr
        if command == ("list",):
            (line,) = [line for line in result.stdout.splitlines() if line.split()[:1] == ["whole"]]
            assert line.split()[1] == "finished" and "75.0%" in line


Damage = Callable[[bytes, random.Random], Iterator[bytes]]
DAMAGES: dict[str, Damage] = {
    "truncated": lambda content, _: truncated(content),
    "flipped": lambda content, random: flipped(content, 300, random),
    "retyped": lambda content, _: retyped(content),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_share_of_the_damages(run: RunDirectory, name: str, damage: str) -> None:
    generator = random.Random(f"{SEED} {name} {damage}")
    path = run.path / name
    made = list(DAMAGES[damage](path.read_bytes(), generator))
    for content in generator.sample(made, 5):
        path.write_bytes(content)
        check_commands((("list",), *generator.sample(READING[1:] + OTHERS, 2)))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.faults
def test_commands_on_damaged_files(
    run: RunDirectory, name: str, damage: str, record_property: Callable[[str, object], None]
) -> None:
    generator = random.Random(f"{SEED} {name} {damage}")
    path = run.path / name
    others = READING[1:] + OTHERS
    made = list(DAMAGES[damage](path.read_bytes(), generator))[generator.randrange(SHOWN_EVERY) :: SHOWN_EVERY]
    for count, content in enumerate(made):
        path.write_bytes(content)
        check_commands((("list",), others[count % len(others)]))
    record_property(f"fault: damaged {name}, {damage}", len(made))


READERS: tuple[Callable[[RunDirectory], object], ...] = (
    check, lambda run: RunList().summarise([run]), read_history, read_position, read_trained_on, stored_checkpoints,
)  # fmt: skip
"""What commands and workers read of a run; they may refuse a file by name."""


WRITTEN_WHEN_TRAINED = {
    "dataset.json": b'{"name": "synthetic", "classes": ["a", "b"], "channels": 1, "mean": [0.4], "std": [0.2], '
    b'"synthetic": true, "size": [28, 28], "train": 200, "val": 100, "held_out": ["a/1.png"], "decoder": "pillow"}',
    "checkpoints/last/manifest.json": b'{"format": 1, "sha256": {"model.safetensors": "00", "state.pt": "11"}, '
    b'"time": 1.5, "step": 8, "epoch": 2, "epochs": 2.0, "val/acc": 0.5}',
}
"""What the fixture's run has not."""


@pytest.mark.parametrize("name", [*FILES, *WRITTEN_WHEN_TRAINED])
@pytest.mark.faults
def test_every_reader_of_every_damage(
    run: RunDirectory, name: str, record_property: Callable[[str, object], None]
) -> None:
    path = run.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = WRITTEN_WHEN_TRAINED.get(name, b"") or path.read_bytes()
    count = 0
    for damage in DAMAGES.values():
        for content in damage(whole, random.Random(f"{SEED} {name}")):
            path.write_bytes(content)
            for read in READERS:
                with suppress(AlexploreError):
                    read(run)
            count += 1
    record_property(f"fault: damaged {name}, each reader", count)


@pytest.mark.parametrize("name", [*FILES, "console.log", "worker.lock", "dataset.json"])
def test_what_is_no_file_is_named_and_not_opened(run: RunDirectory, name: str) -> None:
    path = run.path / name
    path.touch()
    commands = (*READING, *OTHERS)
    for place, kind in enumerate(replaced(path)):
        check_commands(commands[place % 2 :: 2])
        listed, checked = run_here("runs", "list"), run_here("runs", "doctor", "run")
        assert str(path.name) in checked.stdout, kind
        assert "secret" not in listed.stdout + checked.stdout
        if name in FILES:
            assert str(path) in listed.stderr, kind


@pytest.mark.parametrize("name", ["checkpoints", "control", "inside"])
def test_what_is_no_folder(run: RunDirectory, name: str, tmp_path: Path) -> None:
    path = run.path / name
    if path.exists():
        path.rmdir()
    (tmp_path / "elsewhere").mkdir()
    for make in (partial(path.symlink_to, tmp_path / "elsewhere"), path.touch):
        make()
        check_commands((*READING, *OTHERS))
        assert name in run_here("runs", "doctor", "run").stdout
        path.unlink()


def test_a_damaged_run_is_listed_with_the_file_and_the_reason(run: RunDirectory) -> None:
    whole = {file: (run.path / file).read_text() for file in FILES[:2]}
    config, status = (json.loads(text) for text in whole.values())
    cases = {
        run.config_file: [
            ({**config, "network": 3}, "network: found 3, allowed: a table"),
            ({**config, "recipe": "x"}, 'recipe: found "x", allowed: a table'),
            ({**config, "hardware": [1]}, "hardware: found [1], allowed: a table"),
            ([config], "format: allowed: 1"),
        ],
        run.status_file: [
            ({**status, "state": "flying"}, 'state: found "flying"'),
            ({**status, "step": -1}, "step: found -1"),
            ({**status, "epoch": 10**400}, "epoch: found 1000"),
            ([status], "not a JSON object"),
        ],
    }
    for path, contents in cases.items():
        before = path.read_text()
        for content, reason in contents:
            path.write_text(json.dumps(content))
            (listed,) = [one for one in json.loads(run_here("runs", "list", "--json").stdout) if one["run"] == "run"]
            assert listed["state"] == "damaged"
            assert listed["reason"].startswith(f"{path}: {reason}")
            assert f"run can't be read whole: {path}: {reason}" in run_here("runs", "list").stderr
        path.write_text(before)
