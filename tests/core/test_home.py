"""Users without a home folder, as in a container, and users that do not exist."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Any, NoReturn

import pytest

from alexplore.core.home import NoHomeError, expand, home_path, user_folder
from alexplore.runs import directory
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run
from tests.support.processes import Alexplore


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user that the system does not know, without the variables that would help."""

    def unknown(*_: Any) -> NoReturn:
        raise KeyError("uid not found")

    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "ALEXPLORE_RUNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.chdir(tmp_path)


def test_there_are_no_folders(no_home: None) -> None:
    for kind in ("config", "data", "cache"):
        with pytest.raises(NoHomeError, match="no home folder: do this"):
            user_folder(kind, "do this")
    with pytest.raises(NoHomeError, match="no home folder ~"):
        expand("~/x")


def test_what_works_without_a_home_folder(alexplore: Alexplore, no_home: None, tmp_path: Path) -> None:
    assert alexplore("presets").returncode == 0
    assert alexplore("shapes", "-p", "paper").returncode == 0
    listed = alexplore("runs", "list")
    assert listed.returncode == 2
    assert "no home folder: name a folder for runs with --runs-dir or $ALEXPLORE_RUNS" in listed.stderr
    assert alexplore("runs", "list", "--runs-dir", str(tmp_path / "runs")).returncode == 0
    assert not list(tmp_path.iterdir())


NOBODY = "~nosuchuser/x"


@pytest.mark.parametrize(
    "arguments",
    [
        ("shapes", "-p", NOBODY), ("presets", NOBODY), ("presets", "--check", NOBODY), ("diff", "paper", NOBODY),
        ("export", "-p", NOBODY, "--to", "json"), ("export", "-p", "paper", "--to", "json", "-o", NOBODY),
        ("train", "-p", NOBODY), ("train", "-p", "lenet", "--data", NOBODY),
        ("train", "-p", "lenet", "--runs-dir", NOBODY), ("runs", "list", "--runs-dir", NOBODY),
        ("runs", "show", NOBODY),
        ("runs", "watch", NOBODY), ("runs", "stop", NOBODY), ("runs", "resume", NOBODY), ("runs", "remove", NOBODY),
        ("runs", "compare", NOBODY, NOBODY), ("runs", "export", NOBODY), ("runs", "doctor", NOBODY),
        ("evaluate", NOBODY), ("predict", NOBODY, "x.png"), ("predict", "paper", "x.png", "--weights", NOBODY),
        ("predict", "paper", NOBODY, "--weights", "x.pth"), ("lesson", "check", NOBODY),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_user_that_does_not_exist(alexplore: Alexplore, arguments: tuple[str, ...]) -> None:
    result = alexplore(*arguments)
    assert result.returncode == 2
    assert "there is no home folder ~nosuchuser; write the path without ~nosuchuser" in result.stderr


def test_a_path_in_the_home_folder_starts_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert home_path(Path("/home/someone/runs/a")) == "~/runs/a"
    assert home_path(Path("/elsewhere/a")) == "/elsewhere/a"


def test_the_commands_of_a_run_name_its_path_without_a_home_folder(
    monkeypatch: pytest.MonkeyPatch, config: RunConfig, tmp_path: Path
) -> None:
    def homeless(given: Path | None = None) -> Path:
        raise NoHomeError("this user has no home folder")

    run = create_run(config, tmp_path / "runs", "run")
    monkeypatch.setattr(directory, "runs_folder", homeless)
    assert run.command("watch") == f"alexplore runs watch {run.path}"
