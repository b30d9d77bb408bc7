"""Run directories: their files; create, find, list, rename and remove them."""

from __future__ import annotations

import itertools
import os
import secrets
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from alexplore.core.atomic_files import write_atomically
from alexplore.core.errors import UseOrFailureError
from alexplore.core.home import NoHomeError, expand, user_folder
from alexplore.core.regular_files import FileStamp, file_stamp, open_regular, read_json, read_text
from alexplore.core.settings import SettingError, nearest
from alexplore.runs import checkpoint_names
from alexplore.runs.config import RunConfig, parse_config
from alexplore.runs.foreign import ForeignLog, find_log
from alexplore.runs.lines import LineReader, read_time

LAST = "last"
"""The name that means, on a command line, the run that was created last."""

LONGEST_NAME = 255
"""The most bytes of a file name on Linux and macOS."""

FILES = (
    "config.json", "status.json", "metrics.jsonl", "events.jsonl", "dataset.json", "console.log", "worker.lock",
    "notes.txt",
)  # fmt: skip
FOLDERS = ("control", "checkpoints", "inside")
ENTRIES = FILES + FOLDERS
"""The names in a run directory. While a file is replaced, there is also `.NAME.` with a number."""

LONGEST_SHOWN = 60  # characters of a refused name that a message shows
KEPT_CONFIGS = 4096  # configs that are cached


class RunError(UseOrFailureError):
    """A run that can't be created, found or used; the message names it and says what to do.

    `failure` means that the machine or a worker failed (exit code 1), else it is wrong use (exit code 2).
    """


class RunNameError(RunError):
    """A name that a run can't have: it is not allowed, or taken."""


@dataclass(frozen=True)
class RunDirectory:
    """The paths inside one run directory."""

    path: Path

    @property
    def name(self) -> str:
        """The name of the run, which is its folder's."""
        return self.path.name

    @cached_property
    def config_file(self) -> Path:
        """The network, the recipe, the hardware and the data folder."""
        return self.path / "config.json"

    @cached_property
    def status_file(self) -> Path:
        """The state of the run; replaced atomically."""
        return self.path / "status.json"

    @cached_property
    def metrics_file(self) -> Path:
        """Metrics, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @cached_property
    def events_file(self) -> Path:
        """Events, one JSON object a line."""
        return self.path / "events.jsonl"

    @cached_property
    def dataset_file(self) -> Path:
        """Classes and pixel statistics of the data set, which predictions need."""
        return self.path / "dataset.json"

    @cached_property
    def console_file(self) -> Path:
        """The worker's stdout and stderr."""
        return self.path / "console.log"

    @cached_property
    def notes_file(self) -> Path:
        """The user's note on the run."""
        return self.path / "notes.txt"

    @cached_property
    def lock_file(self) -> Path:
        """Locked while a worker process runs."""
        return self.path / "worker.lock"

    @cached_property
    def control_folder(self) -> Path:
        """Requests to the worker."""
        return self.path / "control"

    @cached_property
    def checkpoints_folder(self) -> Path:
        """The checkpoints last, previous and best."""
        return self.path / "checkpoints"

    @cached_property
    def inside_folder(self) -> Path:
        """What the network looked like after each epoch; see `runs.inside`."""
        return self.path / "inside"

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return self.best_checkpoint is not None

    @property
    def best_checkpoint(self) -> Path | None:
        """The folder of the best checkpoint, else of the last or the one before; None without any."""
        folders = (self.checkpoints_folder / name for name in (checkpoint_names.BEST, *checkpoint_names.NAMES))
        return next((folder for folder in folders if folder.is_dir()), None)

    def check_weights(self) -> None:
        """Refuse to evaluate a run without weights.

        Raises:
            RunError: no checkpoint was saved.
        """
        if not self.has_checkpoint:
            raise RunError(f"{self.name} has no weights yet: no checkpoint was saved")

    def config(self) -> RunConfig:
        """Read config.json.

        Raises:
            RunError: it is missing, damaged or of another version.
        """
        try:
            return _read_config(self.config_file, file_stamp(self.config_file))
        except OSError as error:
            raise RunError(f"{self.config_file}: {error.strerror}", failure=True) from None
        except UnicodeDecodeError as error:
            raise RunError(f"{self.config_file}: not UTF-8 text (byte {error.start})", failure=True) from None
        except SettingError as error:
            raise RunError(str(error), failure=True) from None

    @property
    def has_files(self) -> bool:
        """Whether the directory has a file of a run in it, readable or not."""
        files = (self.config_file, self.status_file, self.events_file, self.metrics_file)
        return any(os.path.lexists(file) for file in files)

    def foreign_entries(self) -> list[str]:
        """Return the names of entries that don't belong to a run, sorted."""
        try:
            names = sorted(path.name for path in self.path.iterdir())
        except OSError:
            return []
        return [name for name in names if not any(name == own or name.startswith(f".{own}.") for own in ENTRIES)]

    def links(self) -> list[Path]:
        """Return the links anywhere in the directory: nothing is read or written through them."""
        found = []
        for parent, folders, files in os.walk(self.path):
            found += [path for name in (*folders, *files) if (path := Path(parent, name)).is_symlink()]
        return sorted(found)

    def identity(self) -> tuple[int, int]:
        """Return the device and inode numbers of this directory.

        Raises:
            OSError: it can't be found.
        """
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def is_gone(self, identity: tuple[int, int]) -> bool:
        """Return whether the directory with this identity was removed or renamed.

        If the file system does not answer, the directory is taken to be still there.
        """
        try:
            return self.identity() != identity
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False

    def command(self, action: str) -> str:
        """Return the command line that does something with the run: `alexplore runs resume 'my run'`."""
        return f"alexplore runs {action} {self._argument}"

    def app_command(self) -> str:
        """Return the command line that opens the app on the run: `alexplore tui --run 'my run'`."""
        return f"alexplore tui --run {self._argument}"

    @property
    def _argument(self) -> str:
        """The run as the command line finds it: its name, or its path if it is not in the usual folder of runs."""
        try:
            usual = self.path.parent.resolve() == runs_folder().resolve()
        except NoHomeError:
            usual = False
        return shlex.quote(self.name if usual else str(self.path))

    def console_tail(self, lines: int = 20) -> list[str]:
        """Return the last lines that the worker printed."""
        try:
            with open_regular(self.console_file, links=False) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 64 * 1024))
                return file.read().decode("utf-8", "replace").splitlines()[-lines:]
        except OSError:
            return []


def runs_folder(given: Path | None = None) -> Path:
    """Return the folder of runs: the one given, else $ALEXPLORE_RUNS, else one in the user's data folder.

    Raises:
        NoHomeError: none is given and there is no home folder.
    """
    if given is not None:
        return expand(given)
    if variable := os.environ.get("ALEXPLORE_RUNS"):
        return expand(variable)
    return user_folder("data", "name a folder for runs with --runs-dir or $ALEXPLORE_RUNS") / "runs"


def checked_name(name: str) -> str:
    """Return the name that a user chose for a run if it is allowed.

    It must be a valid file name, fit in one line of text, and mean nothing else on a command line.

    Raises:
        RunNameError: it is not allowed.
    """
    fits = name.strip() and name.isprintable() and len(os.fsencode(name)) <= LONGEST_NAME
    if not fits or name == LAST or "/" in name or name.startswith((".", "-")):
        shown = name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}…"
        raise RunNameError(
            f"name {shown!r}: allowed: a file name of at most {LONGEST_NAME} bytes, without control characters, that "
            f"doesn't start with . or - and isn't `{LAST}`"
        )
    return name


def name_after(preset: str, ending: str) -> str:
    """Return `<preset>-<ending>`, without characters that a preset's name may have and a run's name may not.

    A preset's name is its file's stem, so it may begin with a dash or a dot, hold control characters, or be as long as
    a file name can be.
    """
    stem = "".join(character if character.isprintable() else "-" for character in preset).lstrip("-. ") or "run"
    room = LONGEST_NAME - len(os.fsencode(f"-{ending}"))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return f"{stem}-{ending}"


def timed_name(preset: str) -> str:
    """Return `<preset>-<yyyymmdd>-<hhmmss>-<6 hex>`, the name of a run for which the user chose none."""
    return name_after(preset, f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}")


def new_run(folder: Path, name: str) -> RunDirectory:
    """Return the directory that a new run called `name` will have.

    Raises:
        RunNameError: the name is taken or not allowed.
    """
    run = RunDirectory(folder / checked_name(name))
    if os.path.lexists(run.path):
        raise RunNameError(f"{run.path} exists; choose another --name, or remove it with `alexplore runs remove`")
    return run


def free_name(preset: str, folder: Path) -> str:
    """Return the first of `<preset>-1`, `<preset>-2` … that no run in the folder has."""
    numbers = itertools.count(1)
    return next(name for number in numbers if not os.path.lexists(folder / (name := name_after(preset, str(number)))))


def create_run(config: RunConfig, folder: Path, name: str | None = None) -> RunDirectory:
    """Create the directory of a new run, with its config.json, which records the time of creation.

    If that fails, the incomplete directory is removed.

    Raises:
        RunError: the name is taken or not allowed, or the folder can't be written.
    """
    if name is None:
        name = timed_name(config.preset)
    run = new_run(folder, name)
    created = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        run.path.mkdir(mode=0o700)
        created = True
        write_atomically(run.config_file, replace(config, created=time.time()).to_json())
        run.control_folder.mkdir()
        run.checkpoints_folder.mkdir()
    except OSError as error:
        if created:  # on a full disk, for example: half a run could be neither resumed nor listed
            shutil.rmtree(run.path, ignore_errors=True)
        raise RunError(
            f"{folder}: {error.strerror}; choose another folder with --runs-dir or $ALEXPLORE_RUNS", failure=True
        ) from None
    return run


def list_runs(folder: Path) -> list[RunDirectory]:
    """Return every run in a folder, the one created last first; a folder that does not exist has none.

    Every folder that has a file of a run in it counts, so damaged runs are listed too.

    Raises:
        RunError: the folder can't be read.
    """
    try:
        with os.scandir(folder) as entries:
            runs = [RunDirectory(folder / entry.name) for entry in entries if _is_folder(entry)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}", failure=True) from None
    found = [(creation_time(run), run.name, run) for run in runs if run.has_files]
    return [run for *_, run in sorted(found, key=lambda entry: entry[:2], reverse=True)]


@lru_cache(maxsize=KEPT_CONFIGS)
def _read_config(config_file: Path, _stamp: FileStamp | None) -> RunConfig:
    """Read a config.json that has this stamp: a list of runs needs each twice, for its order and for its lines."""
    return parse_config(read_text(config_file, links=False), config_file)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def creation_time(run: RunDirectory) -> float:
    """Return when a run was created, in seconds since 1970; 0 for one that has no config.json."""
    try:
        created = run.config().created
    except RunError:  # damaged, or of another version
        created = read_time((read_json(run.config_file, links=False) or {}).get("created"))
    return _time_of_files(run) if created is None else created


def _time_of_files(run: RunDirectory) -> float:
    """Return the time of the first event, else that of config.json; earlier versions recorded no time of creation."""
    try:
        modified = run.config_file.lstat().st_mtime
    except OSError:
        return 0.0
    events = LineReader(run.events_file).read(limit=64 * 1024)
    first = read_time(events[0].get("time")) if events else None
    return modified if first is None else first


def find_run(name: str, folder: Path) -> RunDirectory:
    """Return a run by its path, its name, the beginning of its name, or `last`.

    Raises:
        RunError: there is no such run, several names begin with `name`, or it is the log of another program.
    """
    found = _find_whole(name, folder)
    if found is not None and found.has_files:
        return found
    runs = list_runs(folder)
    if name == LAST and runs:
        return runs[0]
    matching = [run for run in runs if run.name.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise RunError(f"{name!r} begins {len(matching)} runs: {', '.join(run.name for run in matching)}")
    if log := find_log(expand(name)):
        raise RunError(log.refusal)
    raise _no_run(name, folder, runs)


def find_foreign_log(name: str, folder: Path) -> ForeignLog | None:
    """Return the log of another program at a path; None if there is no log, or a run has that name."""
    if not name.strip() or RunDirectory(folder / name).has_files:
        return None
    path = expand(name)
    return None if RunDirectory(path).has_files else find_log(path)


def find_removable(name: str, folder: Path) -> RunDirectory:
    """Return the run to delete, by its path or its whole name.

    It may be an incomplete directory, left because the disk was full or the program was killed.

    Raises:
        RunError: there is no such run, or the folder has files that don't belong to a run.
    """
    found = _find_whole(name, folder)
    if found is None:
        runs = list_runs(folder)
        begun = [run.name for run in runs if run.name.startswith(name)]
        if begun or (name == LAST and runs):
            meant = " or ".join(repr(other) for other in begun or [runs[0].name])
            raise RunError(f"{name!r}: only a whole name removes a run, so that no other is removed: {meant}")
        raise _no_run(name, folder, runs)
    if not found.has_files and (others := found.foreign_entries()):
        raise RunError(f"{found.path} is not a run, but has {', '.join(others[:5])} in it; it is not removed")
    return found


def _find_whole(name: str, folder: Path) -> RunDirectory | None:
    """Return the directory of a run by its path or whole name; None if there is no such folder.

    Raises:
        RunError: the name is empty.
    """
    if not name.strip():
        raise RunError("the name of a run is empty; see `alexplore runs list`")
    if os.sep in name:
        path = expand(name)
    elif name in (LAST, os.curdir, os.pardir):
        return None
    else:
        path = folder / name
    try:
        is_folder = path.is_dir()
    except OSError:  # not a valid file name
        return None
    return RunDirectory(path.resolve() if os.sep in name else path) if is_folder else None


def _no_run(name: str, folder: Path, runs: Sequence[RunDirectory]) -> RunError:
    names = [run.name for run in runs]
    there = f"Runs: {', '.join(names[:5])}{' …' if names[5:] else ''}" if names else "There are no runs yet"
    return RunError(f"no run {name!r} in {folder}{nearest(name, names)} {there}")


def rename_run(run: RunDirectory, name: str) -> RunDirectory:
    """Rename a run, which renames its folder, and return it under the new name.

    Raises:
        RunError: the name is taken or not allowed, or the folder can't be written.
    """
    renamed = RunDirectory(run.path.with_name(checked_name(name)))
    try:
        if os.path.lexists(renamed.path):
            raise RunNameError(f"{renamed.path} exists; choose another name")
        run.path.rename(renamed.path)
    except OSError as error:
        raise RunError(f"{run.path}: {error.strerror}", failure=True) from None
    return renamed


def remove_run(run: RunDirectory) -> None:
    """Delete a run directory with everything in it.

    Raises:
        RunError: it can't be deleted.
    """
    try:
        shutil.rmtree(run.path)
    except OSError as error:
        raise RunError(f"{error.filename}: {error.strerror}", failure=True) from None
