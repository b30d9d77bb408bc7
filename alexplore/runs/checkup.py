"""Check a run directory without training: what is wrong, what it means for the run, and which repairs are safe.

A repair loses nothing that alexplore reads: it cuts off half a line, deletes unfinished files, renames a checkpoint
back, or removes the permissions of other users. Nothing is repaired while a worker trains the run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from alexplore.core.regular_files import file_stamp, open_regular, read_json_object
from alexplore.runs.checkpoint_names import MANIFEST, NAMES, OLD, SAVING
from alexplore.runs.directory import FILES, FOLDERS, RunDirectory, RunError
from alexplore.runs.lines import parse_line
from alexplore.runs.protocol import EVENTS, UnknownEvent, read_event, read_metrics
from alexplore.runs.status import DAMAGED, in_training_error, is_locked, read_status

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """Something wrong in a run directory: where, what, and what it means for the run.

    `repair` is the function that repairs it, and `remedy` describes the repair; None and "" if no repair is safe.
    """

    path: Path
    what: str
    meaning: str
    remedy: str = ""
    repair: Callable[[], None] | None = field(default=None, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding for JSON."""
        return {"path": str(self.path), "what": self.what, "meaning": self.meaning, "repair": self.remedy or None}


def check(run: RunDirectory) -> list[Finding]:
    """Return everything that is wrong in a run directory."""
    return [finding for examine in CHECKS for finding in _examined(run, examine)]


def _examined(run: RunDirectory, examine: Callable[[RunDirectory], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a check, and what it can't read."""
    try:
        yield from examine(run)
    except OSError as error:
        path = Path(os.fsdecode(error.filename)) if error.filename else run.path
        yield Finding(path, error.strerror or str(error), "what is in it was not checked")


def repair(run: RunDirectory, findings: list[Finding]) -> list[Finding]:
    """Repair what can be repaired, and return the repaired findings.

    Raises:
        RunError: a worker trains the run, or a repair fails.
    """
    if is_locked(run):
        raise in_training_error(run)
    repaired = []
    for finding in findings:
        if finding.repair is not None:
            try:
                finding.repair()
            except OSError as error:
                raise RunError(f"{finding.path} can't be repaired: {error.strerror}", failure=True) from None
            repaired.append(finding)
    return repaired


def _entries(run: RunDirectory) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield everything in a run directory, sorted, with its status; not what a worker removes meanwhile."""
    found = [Path(folder, name) for folder, *names in os.walk(run.path) for name in (*names[0], *names[1])]
    for path in sorted(found):
        with suppress(FileNotFoundError):
            yield path, path.lstat()


def _kinds(run: RunDirectory) -> Iterator[Finding]:
    """Yield links, and entries that should be a regular file or a folder and are not."""
    for path, status in _entries(run):
        mode = status.st_mode
        if stat.S_ISLNK(mode):
            where = os.path.realpath(path)
            yield Finding(path, f"a link to {where}", "it is not followed: what it points to is not read")
        elif not stat.S_ISREG(mode) and (not stat.S_ISDIR(mode) or (path.parent == run.path and path.name in FILES)):
            yield Finding(path, "not a regular file", "it is not opened")
        elif not stat.S_ISDIR(mode) and path.parent == run.path and path.name in FOLDERS:
            yield Finding(path, "not a folder", "nothing can be put into it")


def _description(run: RunDirectory) -> Iterator[Finding]:
    """Yield config.json and status.json if they can't be read."""
    try:
        run.config()
    except RunError as error:
        meaning = "the run can't be resumed or evaluated; its metrics can still be exported"
        yield Finding(run.config_file, str(error).removeprefix(f"{run.config_file}: "), meaning)
    status = read_status(run)
    if status.state == DAMAGED:
        reason = str(status.reason).removeprefix(f"{run.status_file}: ")
        yield Finding(run.status_file, reason, "the state is not known; resuming the run writes it again")


def _lines(run: RunDirectory) -> Iterator[Finding]:
    """Yield torn and damaged lines, and gaps and repetitions in the numbers of lines."""
    live = is_locked(run)
    for path in (run.metrics_file, run.events_file):
        try:
            with open_regular(path, links=False) as file:
                content = file.read()
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Finding(path, str(error.strerror), "its lines are not read")
            continue
        whole = content.rfind(b"\n") + 1
        if whole < len(content) and not live:
            what = f"half a line at the end, {len(content) - whole:,} bytes"
            meaning = "the worker was killed, or the disk was full, while it wrote; readers skip it"
            yield Finding(path, what, meaning, "cut it off", partial(_cut_off, path, whole, len(content)))
        records = [parse_line(line) for line in content[:whole].split(b"\n")[:-1]]
        readable = READABLE[path.name]
        damaged = [number for number, record in enumerate(records, 1) if record is None or not readable(record)]
        if damaged:
            yield Finding(path, f"{_lines_text(damaged)} can't be read", "readers skip them; the rest is read")
        numbers = [record["seq"] for record in records if record is not None and "seq" in record]
        there = set(numbers)
        missing = max(there, default=-1) + 1 - len(there)
        if missing and not damaged:
            first = next(number for number in range(len(there) + 1) if number not in there)
            yield Finding(path, f"{missing:,} lines are missing, the first is number {first}", "they are lost")
        if any(later <= before for before, later in pairwise(numbers)):
            meaning = "two workers wrote, or the file was changed by hand"
            yield Finding(path, "numbers of lines that don't rise", meaning)


def _can_be_read(record: Mapping[str, Any]) -> bool:
    """Return whether a line of events.jsonl holds a readable event, or one of a kind that this version doesn't know."""
    return str(record.get("event")) not in EVENTS or not isinstance(read_event(record).event, UnknownEvent)


READABLE: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "metrics.jsonl": read_metrics,
    "events.jsonl": _can_be_read,
}


def _lines_text(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN])) + (" …" if numbers[SHOWN:] else "")
    return f"line{'s' * (len(numbers) > 1)} {shown}"


def _checkpoints(run: RunDirectory) -> Iterator[Finding]:
    """Yield damaged and unfinished checkpoints."""
    folder = run.checkpoints_folder
    if folder.is_symlink() or not folder.is_dir():
        return
    for name in NAMES:
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            yield from _checkpoint(folder / name)
    for path in [] if is_locked(run) else sorted(folder.iterdir()):  # a worker may be writing one
        name = path.name.removeprefix(OLD)
        if path.name.startswith(OLD) and name in NAMES and not (folder / name).exists():
            meaning = "the worker was killed while it replaced the checkpoint; the old one is whole"
            rename_back = partial(os.rename, path, folder / name)
            yield Finding(path, f"the checkpoint {name}, renamed", meaning, "rename it back", rename_back)
        elif path.name.startswith((SAVING, OLD)):
            yield Finding(path, "an unfinished checkpoint", "it takes room", "delete it", partial(_delete, path))


def _checkpoint(folder: Path) -> list[Finding]:
    """Return what is wrong with a checkpoint; it is read again if a worker replaces it meanwhile."""
    while True:
        before = file_stamp(folder / MANIFEST)
        found = list(_damage(folder))
        if not found or file_stamp(folder / MANIFEST) == before:
            return found


def _damage(folder: Path) -> Iterator[Finding]:
    meaning = "resuming takes an older checkpoint instead, if there is one"
    manifest = folder / MANIFEST
    try:
        digests = read_json_object(manifest, links=False).get("sha256")
    except (OSError, ValueError) as error:
        yield Finding(manifest, str(getattr(error, "strerror", None) or error), meaning)
        return
    if not isinstance(digests, dict) or not digests:
        yield Finding(manifest, "it has no checksums", meaning)
        return
    for name, expected in digests.items():
        path = folder / Path(name).name
        try:
            with open_regular(path, links=False) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            yield Finding(path, str(error.strerror), meaning)
        else:
            if found != expected:
                yield Finding(path, "its checksum is not the one in manifest.json", meaning)


def _leftovers(run: RunDirectory) -> Iterator[Finding]:
    """Yield temporary files, requests that no worker will answer, and files that don't belong to a run."""
    foreign = set(run.foreign_entries())
    for path in sorted(run.path.iterdir()):
        if path.name in foreign:
            yield Finding(path, "not a file of a run", "alexplore does not read it")
        elif path.name.startswith(".") and path.is_file() and not is_locked(run):
            meaning = "the worker was killed while it replaced the file; the old one is whole"
            yield Finding(path, "a file that was not finished", meaning, "delete it", partial(_delete, path))
    if run.control_folder.is_dir() and not run.control_folder.is_symlink() and not is_locked(run):
        for path in sorted(run.control_folder.iterdir()):
            yield Finding(path, "a request without a worker", "nothing answers it", "delete it", partial(_delete, path))


def _permissions(run: RunDirectory) -> Iterator[Finding]:
    """Yield files that others may write, and files that this user can't read or write."""
    for path, status in ((run.path, run.path.lstat()), *_entries(run)):
        if stat.S_ISLNK(status.st_mode):
            continue
        if status.st_mode & OTHERS_MAY_WRITE and (path == run.path or status.st_mode & stat.S_IWOTH):
            meaning = "other users can change the run"
            mode = stat.S_IMODE(status.st_mode) & ~OTHERS_MAY_WRITE
            remedy = f"set its permissions to {mode:o}"
            what = f"others may write it ({stat.filemode(status.st_mode)})"
            yield Finding(path, what, meaning, remedy, partial(os.chmod, path, mode))
        needed = os.R_OK | os.W_OK | (os.X_OK if stat.S_ISDIR(status.st_mode) else 0)
        if not os.access(path, needed) and os.path.lexists(path):
            yield Finding(path, "this user may not read and write it", "the run can't be resumed by this user")


def _cut_off(path: Path, whole: int, size: int) -> None:
    """Cut a file of `size` bytes after `whole` bytes, unless somebody has written to it since."""
    if path.stat().st_size == size:
        os.truncate(path, whole)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


CHECKS: tuple[Callable[[RunDirectory], Iterator[Finding]], ...] = (
    _kinds, _description, _lines, _checkpoints, _leftovers, _permissions,
)  # fmt: skip
"""Every check, in the order in which findings are shown."""
