"""Which run a name means, above all where the run is deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.runs import directory
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError, create_run, list_runs
from tests.support.processes import Alexplore
from tests.support.runs import finished_run


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    """The only run."""
    return finished_run(config, tmp_path / "runs", "only-run", 0.5)


@pytest.mark.parametrize("name", ["", " ", "only", "last", "only-run2", ".", "..", "x" * 300])
def test_only_a_whole_name_removes_a_run(alexplore: Alexplore, run: RunDirectory, name: str) -> None:
    result = alexplore("runs", "remove", "--yes", name)
    assert result.returncode == 2
    assert run.config_file.exists()
    if name in ("only", "last"):
        assert "only a whole name removes a run, so that no other is removed: 'only-run'" in result.stderr


@pytest.mark.parametrize("command", ["show", "watch", "stop", "pause", "resume", "export", "compare", "doctor"])
def test_an_empty_name_is_no_runs(alexplore: Alexplore, run: RunDirectory, command: str) -> None:
    result = alexplore("runs", command, "")
    assert result.returncode == 2
    assert "the name of a run is empty" in result.stderr


def test_whole_names_and_paths_remove(alexplore: Alexplore, run: RunDirectory, config: RunConfig) -> None:
    other = finished_run(config, run.path.parent, "other", 0.5)
    assert alexplore("runs", "remove", "--yes", "only-run", str(other.path)).returncode == 0
    assert not list(run.path.parent.iterdir())


def test_nothing_is_left_of_a_run_that_cannot_be_made(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory, "write_atomically", full)
    with pytest.raises(RunError, match="No space left on device"):
        create_run(config, tmp_path / "runs", "new")
    assert not list((tmp_path / "runs").iterdir())


def test_what_a_killed_start_left_can_be_removed(alexplore: Alexplore, run: RunDirectory) -> None:
    folder = run.path.parent
    (folder / "killed").mkdir()
    (folder / "killed" / ".config.json.ab12").write_text("half")
    (folder / "photos").mkdir()
    (folder / "photos" / "cat.jpg").write_text("")
    assert [found.name for found in list_runs(folder)] == ["only-run"]
    assert alexplore("runs", "remove", "--yes", "killed").returncode == 0
    refused = alexplore("runs", "remove", "--yes", "photos")
    assert "is not a run, but has cat.jpg in it; it is not removed" in refused.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["only-run", "photos"]


def test_a_run_without_a_config_is_listed_and_can_be_removed(alexplore: Alexplore, run: RunDirectory) -> None:
    run.config_file.unlink()
    listed = alexplore("runs", "list")
    assert "damaged" in listed.stdout
    assert f"{run.config_file}: No such file or directory" in listed.stderr
    assert alexplore("runs", "remove", "--yes", "only-run").returncode == 0
