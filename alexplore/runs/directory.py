"""Run directories: where they are, how they are made, found and listed."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from alexplore.core.atomic_files import write_atomically
from alexplore.core.errors import FAILED, WRONG_USE, AlexploreError
from alexplore.core.settings import SettingError, nearest
from alexplore.runs.config import RunConfig, parse_config

LAST = "last"  # the newest run, whatever its name
LONGEST_NAME = 255  # bytes, of a file on Linux and macOS
SHOWN_NAME = 60


class RunError(AlexploreError):
    """A run that can't be made, found or used; the message says which and what to do.

    `failure` distinguishes what the machine or a worker refused (exit code 1) from wrong use (exit code 2).
    """

    def __init__(self, message: str, *, failure: bool = False) -> None:
        super().__init__(message)
        self.failure = failure
        self.exit_code = FAILED if failure else WRONG_USE


@dataclass(frozen=True)
class RunDirectory:
    """The paths inside one run directory."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name: its folder's."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """What was asked for."""
        return self.path / "config.json"

    @property
    def status_file(self) -> Path:
        """How it is going; replaced atomically."""
        return self.path / "status.json"

    @property
    def metrics_file(self) -> Path:
        """Numbers, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def events_file(self) -> Path:
        """What happened, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def dataset_file(self) -> Path:
        """What its data set was like: classes and statistics, which treating one more image alike takes."""
        return self.path / "dataset.json"

    @property
    def console_file(self) -> Path:
        """The worker's stdout and stderr."""
        return self.path / "console.log"

    @property
    def lock_file(self) -> Path:
        """Locked for as long as a worker lives."""
        return self.path / "worker.lock"

    @property
    def control_folder(self) -> Path:
        """Requests to the worker."""
        return self.path / "control"

    @property
    def checkpoints_folder(self) -> Path:
        """last, previous and best."""
        return self.path / "checkpoints"

    def config(self) -> RunConfig:
        """What was asked for.

        Raises:
            RunError: config.json is missing, damaged or from another version.
        """
        try:
            return parse_config(self.config_file.read_text(encoding="utf-8"), self.config_file)
        except OSError as error:
            raise RunError(f"{self.config_file}: {error.strerror}", failure=True) from None
        except (SettingError, UnicodeDecodeError) as error:
            raise RunError(str(error), failure=True) from None

    def console_tail(self, lines: int = 20) -> list[str]:
        """The last lines that the worker printed."""
        try:
            with self.console_file.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 64 * 1024))
                return file.read().decode("utf-8", "replace").splitlines()[-lines:]
        except OSError:
            return []


def runs_folder(given: Path | None = None) -> Path:
    """Where runs are kept: what was given, else $ALEXPLORE_RUNS, else the user's data folder."""
    if given is not None:
        return given.expanduser()
    if variable := os.environ.get("ALEXPLORE_RUNS"):
        return Path(variable).expanduser()
    import platformdirs

    return platformdirs.user_data_path("alexplore") / "runs"


def checked_name(name: str) -> str:
    """A name that a run can have: a file's, one that lines and tables can show, and none that means another run.

    Raises:
        RunError: it is none.
    """
    fits = name.strip() and name.isprintable() and len(os.fsencode(name)) <= LONGEST_NAME
    if not fits or name == LAST or "/" in name or name.startswith((".", "-")):
        shown = name if len(name) <= SHOWN_NAME else f"{name[:SHOWN_NAME]}…"
        raise RunError(
            f"--name {shown!r}: allowed: a file name of at most {LONGEST_NAME} bytes, without control characters, that "
            f"doesn't start with . or - and isn't `{LAST}`"
        )
    return name


def name_after(preset: str, ending: str) -> str:
    """Return `<preset>-<ending>`, without what a preset's name may have and a run's name may not.

    A preset's name is its file's stem, so it may begin with a dash or a dot, hold control characters, or be as long as
    a file name can be.
    """
    stem = "".join(character if character.isprintable() else "-" for character in preset).lstrip("-. ") or "run"
    room = LONGEST_NAME - len(os.fsencode(f"-{ending}"))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return f"{stem}-{ending}"


def create_run(config: RunConfig, folder: Path, name: str | None = None) -> RunDirectory:
    """Make the directory of a new run, with its config.json.

    Raises:
        RunError: the name is taken or not a file's, or the folder can't be written.
    """
    if name is None:
        name = name_after(config.preset, f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}")
    run = RunDirectory(folder / checked_name(name))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if run.path.exists():
            raise RunError(f"{run.path} exists; choose another --name, or remove it with `alexplore runs remove`")
        run.path.mkdir(mode=0o700)
        run.control_folder.mkdir()
        run.checkpoints_folder.mkdir()
        write_atomically(run.config_file, config.to_json())
    except OSError as error:
        raise RunError(
            f"{folder}: {error.strerror}; choose another folder with --runs-dir or $ALEXPLORE_RUNS", failure=True
        ) from None
    return run


def list_runs(folder: Path) -> list[RunDirectory]:
    """Every run in a folder, the newest first; a folder that does not exist has none.

    Raises:
        RunError: the folder can't be read.
    """
    entries = []
    try:
        for entry in folder.glob("*/config.json"):
            with suppress(OSError):  # deleted since it was found
                entries.append((entry.stat().st_mtime_ns, entry.parent))
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}", failure=True) from None
    return [RunDirectory(path) for _, path in sorted(entries, reverse=True)]


def find_run(name: str, folder: Path) -> RunDirectory:
    """A run by its path, its name, the beginning of its name, or `last`.

    Raises:
        RunError: there is none, or several begin so.
    """
    if os.sep in name and (Path(name).expanduser() / "config.json").is_file():
        return RunDirectory(Path(name).expanduser().resolve())
    runs = list_runs(folder)
    if name == LAST and runs:
        return runs[0]
    for run in runs:
        if run.name == name:
            return run
    matching = [run for run in runs if run.name.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise RunError(f"{name!r} begins {len(matching)} runs: {', '.join(run.name for run in matching)}")
    names = [run.name for run in runs]
    there = f"Runs: {', '.join(names[:5])}{' …' if names[5:] else ''}" if names else "There are no runs yet"
    raise RunError(f"no run {name!r} in {folder}{nearest(name, names)} {there}")


def remove_run(run: RunDirectory) -> None:
    """Delete a run directory and all that is in it.

    Raises:
        RunError: it can't be deleted.
    """
    try:
        shutil.rmtree(run.path)
    except OSError as error:
        raise RunError(f"{error.filename}: {error.strerror}", failure=True) from None
