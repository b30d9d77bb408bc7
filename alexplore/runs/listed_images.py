"""The pictures of an image folder, remembered from one time to the next. No torch.

Looking through a million files takes seconds. What was found is kept in the cache with the time at which each folder
last changed: files that come, go or get another name change the time of their folder.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from alexplore.core.atomic_files import write_atomically
from alexplore.core.home import NoHomeError
from alexplore.runs.datasets import cache_folder
from alexplore.runs.image_layout import LeftOut, count_others, find_pictures

VERSION = 1
FEWEST = 10_000
"""Only listings of this many pictures or more are remembered: fewer are found quickly."""

SETTLED_SECONDS = 2.0
"""A folder that changed more recently may change again without a new time, as file systems count seconds or ticks."""


def list_pictures(folder: Path, classes: Sequence[str], left_out: LeftOut) -> dict[str, list[str]]:
    """Return the pictures of each class, as paths relative to `folder`, sorted; what else is there goes to `left_out`.

    Classes without a folder have none.

    Raises:
        DataError: a folder can't be read.
    """
    if (known := _load(folder, classes, left_out)) is not None:
        return known
    started, own = time.time(), LeftOut(left_out.folder)
    above = frozenset({folder.resolve()})
    count_others(folder, classes, own)
    pictures = {
        name: [f"{name}/{file}" for file in find_pictures(folder / name, own, above)]
        if (folder / name).is_dir()
        else []
        for name in classes
    }
    left_out.include(own.counts, own.others)
    if sum(map(len, pictures.values())) >= FEWEST:
        _save(folder, pictures, own, started)
    return pictures


def _file(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode(errors="surrogateescape")).hexdigest()
    return cache_folder("listings") / f"{name[:32]}.txt"


def _load(folder: Path, classes: Sequence[str], left_out: LeftOut) -> dict[str, list[str]] | None:
    """Return what was remembered; None if there is nothing, or a folder has changed since."""
    try:
        head, _, rest = _file(folder).read_bytes().partition(b"\n")
        known = json.loads(head)
        counts: dict[str, int] = known["classes"]
        if known["version"] != VERSION or list(counts) != list(classes):
            return None
        if any(Path(name).stat().st_mtime_ns != changed for name, changed in known["folders"].items()):
            return None
        if hashlib.sha256(rest).hexdigest() != known["sha256"]:
            return None
    except (OSError, NoHomeError, ValueError, KeyError, TypeError, AttributeError):
        return None
    paths = rest.decode(errors="surrogateescape").split("\n")
    found, start = {}, 0
    for name, count in counts.items():
        found[name] = paths[start : start + count]
        start += count
    left_out.include(Counter(known["left_out"]), known["others"])
    return found


def _save(folder: Path, pictures: dict[str, list[str]], left_out: LeftOut, started: float) -> None:
    """Remember a listing, unless a folder has changed just now or a name can't be written in a line."""
    try:
        folders = {str(name): name.stat().st_mtime_ns for name in (folder.resolve(), *left_out.read)}
        body = "\n".join(path for paths in pictures.values() for path in paths)
        total = sum(map(len, pictures.values()))
        if max(folders.values()) > (started - SETTLED_SECONDS) * 1e9 or body.count("\n") != total - 1:
            return
        content = body.encode(errors="surrogateescape")
        head = {
            "version": VERSION,
            "folders": folders,
            "classes": {name: len(paths) for name, paths in pictures.items()},
            "left_out": left_out.counts,
            "others": left_out.others,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        file = _file(folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(head).encode() + b"\n" + content)
    except (OSError, NoHomeError, UnicodeError):
        return  # it is found again next time
