"""Run directories: made, found, listed, and what is said where they can't be."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.core.settings import SettingError
from alexplore.runs import directory
from alexplore.runs.config import RunConfig, parse_config
from alexplore.runs.directory import (
    RunDirectory,
    RunError,
    RunNameError,
    checked_name,
    create_run,
    creation_time,
    find_run,
    list_runs,
    remove_run,
    runs_folder,
)
from alexplore.runs.status import Status, write_status
from tests.support.runs import change_run


def test_a_run_has_the_layout_of_the_contract(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path / "runs")
    assert re.fullmatch(r"tiny-\d{8}-\d{6}-[0-9a-f]{6}", run.name)
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
    assert sorted(path.name for path in run.path.iterdir()) == ["checkpoints", "config.json", "control"]
    assert run.config() == config


def test_the_config_says_all_that_starts_it_again(config: RunConfig) -> None:
    content = json.loads(config.to_json())
    assert set(content) == {"format", "alexplore", "preset", "network", "recipe", "hardware", "data"}
    assert content["recipe"]["lr"] == 0.005
    assert parse_config(json.dumps(content), Path("config.json")) == config


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not valid JSON"),
        ("[]", "format"),
        ('{"format": 99}', "another version"),
        ('{"format": 1, "preset": "x"}', "network is missing"),
    ],
)
def test_a_damaged_config_is_told_in_one_message(content: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as told:
        parse_config(content, Path("/x/config.json"))
    assert str(told.value).startswith("/x/config.json: ")


def test_runs_are_found_by_name_beginning_path_and_last(config: RunConfig, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    first = create_run(config, folder, "alpha-one")
    second = create_run(config, folder, "beta-two")
    assert [run.name for run in list_runs(folder)] == ["beta-two", "alpha-one"]
    assert find_run("alpha", folder) == first
    assert find_run("last", folder) == second
    assert find_run(str(first.path), folder).path == first.path
    with pytest.raises(RunError, match="did you mean alpha-one"):
        find_run("alhpa-one", folder)
    create_run(config, folder, "alpha-three")
    with pytest.raises(RunError, match="begins 2 runs"):
        find_run("alpha", folder)
    remove_run(second)
    assert len(list_runs(folder)) == 2


def test_the_last_run_is_the_one_created_last(config: RunConfig, tmp_path: Path) -> None:
    runs = [create_run(config, tmp_path, name) for name in ("b", "c", "a")]
    for run, created in zip(runs, (10.0, 30.0, 20.0), strict=True):
        run.config_file.write_text(replace(config, created=created).to_json())
    assert [run.name for run in list_runs(tmp_path)] == ["c", "a", "b"]
    write_status(runs[0], Status("stopped"))
    change_run(runs[0], {"lr": 0.5})
    assert runs[0].config().recipe.lr == 0.5
    assert [creation_time(run) for run in runs] == [10.0, 30.0, 20.0]
    assert find_run("last", tmp_path) == runs[1]


def test_the_time_of_creation_is_recorded_and_no_part_of_what_was_asked_for(config: RunConfig, tmp_path: Path) -> None:
    before = time.time()
    run = create_run(config, tmp_path)
    assert before - 0.001 <= creation_time(run) <= time.time() + 0.001
    assert run.config() == config
    assert config.created is None


def test_a_run_of_an_earlier_version_is_as_old_as_its_first_event(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path)
    run.config_file.write_text(config.to_json())  # without the time
    os.utime(run.config_file, (5000, 5000))
    assert creation_time(run) == 5000.0
    run.events_file.write_text('{"v": 1, "seq": 0, "time": 1234.5}\n{"v": 1, "seq": 1, "time": 9999.0}\n')
    os.utime(run.config_file, (6000, 6000))
    assert creation_time(run) == 1234.5
    run.config_file.unlink()
    assert creation_time(run) == 0.0


@pytest.mark.parametrize(
    ("name", "argument"), [("plain-1", "plain-1"), ("long one", "'long one'"), ("it's", "'it'\"'\"'s'"), ("$x", "'$x'")]
)
def test_a_hint_names_a_run_so_that_a_shell_finds_it(
    config: RunConfig, tmp_path: Path, name: str, argument: str
) -> None:
    assert create_run(config, runs_folder(), name).command("watch") == f"alexplore runs watch {argument}"
    (word,) = shlex.split(argument)
    assert find_run(word, runs_folder()).name == name
    elsewhere = create_run(config, tmp_path / "else where", name)
    *_, path = shlex.split(elsewhere.command("resume"))
    assert find_run(path, runs_folder()) == elsewhere


def test_a_run_that_vanishes_while_runs_are_listed_is_left_out(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, lost = (create_run(config, tmp_path, name) for name in ("kept", "lost"))
    found = list(tmp_path.glob("*/config.json"))
    remove_run(lost)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(found))
    assert list_runs(tmp_path) == [kept]


def test_no_runs_is_no_error(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "none") == []
    with pytest.raises(RunError, match="There are no runs yet"):
        find_run("x", tmp_path / "none")


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "a/b", ".hidden", "-x", "last", "a\nb", "\x1b[31mred", "a\tb", "a\0b", "n" * 256, "ü" * 128],
)
def test_a_name_must_be_a_file_s_that_can_be_shown(config: RunConfig, tmp_path: Path, name: str) -> None:
    with pytest.raises(RunNameError, match="allowed: a file name") as told:
        create_run(config, tmp_path / "runs", name)
    assert str(told.value).isprintable()
    assert not told.value.failure
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "my run", "lastly"])
def test_other_names_are_taken(config: RunConfig, tmp_path: Path, name: str) -> None:
    assert find_run(create_run(config, tmp_path, name).name, tmp_path).config() == config


@pytest.mark.parametrize("preset", ["-dash", ".dot", "-.-", "a\nb", "\x1bred", "n" * 255, "ü" * 120, " "])
def test_a_run_of_any_preset_has_a_name_that_a_run_can_have(config: RunConfig, tmp_path: Path, preset: str) -> None:
    run = create_run(replace(config, preset=preset), tmp_path)
    assert checked_name(run.name) == run.name
    assert re.search(r"-\d{8}-\d{6}-[0-9a-f]{6}$", run.name)
    assert find_run(run.name, tmp_path).config().preset == preset


def test_a_taken_name_and_a_folder_that_is_a_file_are_told(config: RunConfig, tmp_path: Path) -> None:
    create_run(config, tmp_path / "runs", "x")
    with pytest.raises(RunNameError, match="exists"):
        create_run(config, tmp_path / "runs", "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="--runs-dir") as told:
        create_run(config, tmp_path / "file", "x")
    assert told.value.failure


def test_the_folder_is_given_or_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs_folder(tmp_path / "given") == tmp_path / "given"
    monkeypatch.setenv("ALEXPLORE_RUNS", str(tmp_path / "variable"))
    assert runs_folder() == tmp_path / "variable"
    monkeypatch.delenv("ALEXPLORE_RUNS")
    assert runs_folder() == tmp_path / "data" / "alexplore" / "runs"


def test_the_console_s_end_is_read_whatever_it_holds(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path)
    assert run.console_tail() == []
    run.console_file.write_bytes(b"first\n" * 50_000 + b"\xff\nlast\n")
    assert run.console_tail(2) == ["\ufffd", "last"]
    assert RunDirectory(tmp_path / "none").console_tail() == []


def test_a_full_disk_leaves_no_half_made_run(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: str) -> None:
        path.write_text(content[:10])
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(directory, "write_atomically", full)
    with pytest.raises(RunError, match="No space left on device"):
        create_run(config, tmp_path / "runs", "half")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_directory_is_gone_when_its_name_is_another_ones(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path / "runs", "one")
    identity = run.identity()
    assert not run.is_gone(identity)
    run.path.rename(tmp_path / "moved")
    assert run.is_gone(identity)
    run.path.mkdir()
    assert run.is_gone(identity)
    assert not RunDirectory(tmp_path / "moved").is_gone(identity)
