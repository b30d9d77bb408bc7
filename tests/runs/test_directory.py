"""Run directories: made, found, listed, and what is said where they can't be."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.core.settings import SettingError
from alexplore.runs.config import RunConfig, parse_config
from alexplore.runs.directory import (
    RunDirectory,
    RunError,
    checked_name,
    create_run,
    find_run,
    list_runs,
    remove_run,
    runs_folder,
)


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
    os.utime(first.config_file, (1, 1))
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
    with pytest.raises(RunError, match="allowed: a file name") as told:
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
    with pytest.raises(RunError, match="exists"):
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
