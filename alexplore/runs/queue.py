"""The queue of a folder of runs: runs that wait for free hardware, as files that any process may change.

<runs>/.queue/  items/ID.json     a waiting run: its name, its config, and the command to run at occasions
                running/ID.json   a run that was started, until the runner sees its end
                refused/ID.json   a run that could not be started, with the reason
                order.json        the ids of runs in a changed order; the others follow in the order of their ids
                paused            while it exists, no run is started
                queue.lock        held while files are changed
                runner.lock       held by the process that starts the runs (`queue_runner.py`)
                sweeps/NAME.json  the runs of a sweep (`sweeps.py`)

Every file is replaced atomically, so that the queue survives crashes. The state of a run is in its own directory.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alexplore.core.atomic_files import write_atomically
from alexplore.core.locks import is_held
from alexplore.core.regular_files import parse_json, read_json, read_text
from alexplore.core.settings import SettingError, nearest
from alexplore.runs.config import RunConfig, parse_config
from alexplore.runs.directory import RunDirectory, RunError, checked_name, new_run

QUEUE_FOLDER = ".queue"

ID_DIGITS = 20
"""Digits of the time, in nanoseconds, with which the id of an item begins."""


@dataclass(frozen=True)
class Item:
    """A run in the queue.

    `command` is run at `occasions`, as with `--on-end`. `gpus` are the GPUs it was given, by their names in
    CUDA_VISIBLE_DEVICES, and `starts` is how often a runner has started it.
    """

    id: str
    name: str
    config: RunConfig
    sweep: str | None = None
    command: str | None = None
    occasions: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    starts: int = 0
    reason: str | None = None
    """Why the run could not be started."""

    def to_json(self) -> str:
        """Return the text of the item's file."""
        rest = {
            "sweep": self.sweep, "command": self.command, "occasions": self.occasions, "gpus": self.gpus,
            "starts": self.starts, "reason": self.reason,
        }  # fmt: skip
        return json.dumps({"name": self.name, **rest, "config": self.config.to_dict()}, indent=1) + "\n"


def _read_item(path: Path) -> Item | None:
    """Return the item in a file; None if it is damaged, or belongs to another user, whose command must not be run."""
    try:
        if path.lstat().st_uid != os.getuid():
            return None
        values: Mapping[str, Any] = parse_json(read_text(path, links=False))
        starts, texts = values["starts"], {key: values.get(key) for key in ("sweep", "command", "reason")}
        lists = {key: values.get(key, []) for key in ("occasions", "gpus")}
        if not all(isinstance(text, str | None) for text in texts.values()) or type(starts) is not int:
            return None
        if not all(isinstance(part, list) and all(isinstance(one, str) for one in part) for part in lists.values()):
            return None
        config = parse_config(json.dumps(values["config"]), path)
        name = checked_name(values["name"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SettingError, RunError):
        return None
    return Item(path.stem, name, config, **texts, starts=starts, **{key: tuple(part) for key, part in lists.items()})  # type: ignore[arg-type]


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class Queue:
    """The queue of a folder of runs."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.folder = runs / QUEUE_FOLDER

    @property
    def is_paused(self) -> bool:
        """Whether the queue is paused: no run is started."""
        return (self.folder / "paused").exists()

    def waiting(self) -> list[Item]:
        """Return the waiting runs, in the order in which they will start."""
        started = set(self._ids("running"))
        items = {item.id: item for item in self._items("items") if item.id not in started}
        order = (read_json(self.folder / "order.json", links=False) or {}).get("ids")
        moved = [one for one in order if isinstance(one, str) and one in items] if isinstance(order, list) else []
        return [items[one] for one in dict.fromkeys((*moved, *items))]

    def running(self) -> list[Item]:
        """Return the runs that were started, and whose end no runner has seen yet."""
        return self._items("running")

    def refused(self) -> list[Item]:
        """Return the runs that could not be started."""
        return self._items("refused")

    def version(self) -> tuple[int, ...]:
        """Return numbers that change whenever a run is added, moved, started, refused or removed."""
        return tuple(_modified(self.folder / part) for part in ("items", "running", "refused", "order.json"))

    def run(self, item: Item) -> RunDirectory:
        """Return the directory of a run in the queue, which may not exist yet."""
        return RunDirectory(self.runs / item.name)

    def add(
        self,
        config: RunConfig,
        name: str,
        *,
        sweep: str | None = None,
        command: str | None = None,
        occasions: Sequence[str] = (),
    ) -> Item:
        """Add a run at the end of the queue.

        Raises:
            RunError: the name is taken or not allowed, or the folder can't be written.
        """
        with self.locked():
            self.check_name(name)
            item = Item(self._new_id(), name, config, sweep, command, tuple(occasions))
            self._write("items", item)
        return item

    def check_name(self, name: str) -> None:
        """Check that a new run can have a name.

        Raises:
            RunError: a run, or one in the queue, has it, or it is not allowed.
        """
        new_run(self.runs, name)
        if any(item.name == name for item in (*self.waiting(), *self.running())):
            raise RunError(f"a run in the queue is called {name!r} already; choose another --name")

    def _new_id(self) -> str:
        """Return an id that sorts behind all others, also if the clock was set back."""
        ids = [one for part in ("items", "running", "refused") for one in self._ids(part)]
        last = max((int(one[:ID_DIGITS]) for one in ids if one[:ID_DIGITS].isdecimal()), default=0)
        return f"{max(time.time_ns(), last + 1):0{ID_DIGITS}d}-{secrets.token_hex(3)}"

    def find(self, name: str, *, whole: bool = False) -> Item:
        """Return the waiting run with a name or, unless the name must be `whole`, the only one whose name begins so.

        The name of a run that has been started is not taken for the beginning of another one's.

        Raises:
            RunError: there is no such run, or several names begin so.
        """
        items = self.waiting()
        found = [item for item in items if item.name == name]
        if not found and whole:
            raise RunError(f"{name} does not wait in the queue any more")
        if not found and (any(item.name == name for item in self.running()) or (self.runs / name).exists()):
            raise RunError(f"{name} does not wait in the queue: it has been started. See `alexplore queue list`")
        found = found or [item for item in items if item.name.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise RunError(f"{name!r} begins {len(found)} runs in the queue: {', '.join(one.name for one in found)}")
        known = nearest(name, [item.name for item in items])
        raise RunError(f"no run {name!r} waits in the queue{known} See `alexplore queue list`")

    def move(self, name: str, place: int, *, whole: bool = False) -> Item:
        """Move a waiting run, named as for `find`, to a place, counted from 1; larger numbers mean the last place.

        Raises:
            RunError: there is no such run, or the folder can't be written.
        """
        with self.locked():
            item = self.find(name, whole=whole)
            ids = [other.id for other in self.waiting() if other.id != item.id]
            ids.insert(max(1, place) - 1, item.id)
            write_atomically(self.folder / "order.json", json.dumps({"ids": ids}, indent=1) + "\n")
        return item

    def remove(self, name: str, *, whole: bool = False) -> Item:
        """Remove a refused run, or a waiting one, named as for `find`, from the queue.

        Raises:
            RunError: there is no such run, or the folder can't be written.
        """
        with self.locked():
            refused = [item for item in self.refused() if item.name == name]
            item, part = (refused[0], "refused") if refused else (self.find(name, whole=whole), "items")
            self._unlink(part, item)
        return item

    def pause(self, *, paused: bool) -> None:
        """Pause the queue, so that no run is started, or unpause it.

        Raises:
            RunError: the folder can't be written.
        """
        with self.locked():
            if paused:
                write_atomically(self.folder / "paused", "")
            else:
                (self.folder / "paused").unlink(missing_ok=True)

    # For the runner

    def claim(self, item: Item, gpus: Sequence[str]) -> Item | None:
        """Record that a waiting run is being started on some GPUs; return None if it has been removed."""
        with self.locked():
            if not (self.folder / "items" / f"{item.id}.json").exists():
                return None
            claimed = replace(item, gpus=tuple(gpus))
            self._write("running", claimed)
            self._unlink("items", item)
        return claimed

    def count_start(self, item: Item) -> Item:
        """Record that the directory of a run was made, or that a crashed run is being started again."""
        with self.locked():
            counted = replace(item, starts=item.starts + 1)
            self._write("running", counted)
        return counted

    def end(self, item: Item, refused: str | None = None) -> None:
        """Record that a run has ended, or that it was refused for the reason `refused`."""
        with self.locked():
            if refused is not None:
                self._write("refused", replace(item, reason=refused))
            self._unlink("running", item)

    @property
    def has_runner(self) -> bool:
        """Whether a runner process works on the queue. The runner itself must not call this."""
        return is_held(self.folder / "runner.lock")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock under which the files are changed.

        Raises:
            RunError: the folder can't be written.
        """
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self.folder / "queue.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise RunError(f"{self.folder}: {error.strerror}", failure=True) from None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise RunError(f"{self.folder}: {error.strerror}", failure=True) from None
        finally:
            os.close(descriptor)

    def _ids(self, part: str) -> list[str]:
        try:
            return sorted(path.stem for path in (self.folder / part).iterdir() if path.suffix == ".json")
        except OSError:
            return []

    def _items(self, part: str) -> list[Item]:
        found = (_read_item(self.folder / part / f"{one}.json") for one in self._ids(part))
        return [item for item in found if item is not None]

    def _write(self, part: str, item: Item) -> None:
        (self.folder / part).mkdir(mode=0o700, exist_ok=True)
        write_atomically(self.folder / part / f"{item.id}.json", item.to_json())

    def _unlink(self, part: str, item: Item) -> None:
        (self.folder / part / f"{item.id}.json").unlink(missing_ok=True)
