"""A cached list of the pictures of an image folder. No torch.

Searching a million files takes seconds. The list is cached with the modification time of each folder, which changes
when a file is added, removed or renamed.
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
from alexplore.core.regular_files import open_regular, parse_json
from alexplore.runs.data.dataset_shapes import cache_folder
from alexplore.runs.data.image_layout import LeftOut, count_others, find_pictures

VERSION = 1
FEWEST = 10_000
"""The fewest pictures of a list that is cached: fewer are found quickly."""

SETTLED_SECONDS = 2.0
"""A folder that changed more recently may change again at the same time, in the units of its file system."""


def list_pictures(folder: Path, classes: Sequence[str], left_out: LeftOut) -> dict[str, list[str]]:
    """Return the pictures of each class, as sorted paths relative to `folder`; other entries are added to `left_out`.

    Classes without a folder have no pictures.

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
    """Return the cached list; None if there is none, or a folder has changed since."""
    try:
        with open_regular(_file(folder)) as file:
            head, _, rest = file.read().partition(b"\n")
        known = parse_json(head)
        counts: dict[str, int] = known["classes"]
        if known["version"] != VERSION or list(counts) != list(classes):
            return None
        if any(Path(name).stat().st_mtime_ns != changed for name, changed in known["folders"].items()):
            return None
        if hashlib.sha256(rest).hexdigest() != known["sha256"]:
            return None
        others = LeftOut(left_out.folder)
        others.include(
            Counter({str(kind): int(count) for kind, count in known["left_out"].items()}),
            [str(other) for other in known["others"]],
        )
        paths = rest.decode(errors="surrogateescape").split("\n")
        if sum(counts.values()) != len(paths) or min(counts.values()) < 0:
            return None
    except (OSError, NoHomeError, ValueError, OverflowError, KeyError, TypeError, AttributeError):
        return None
    found, start = {}, 0
    for name, count in counts.items():
        found[name] = paths[start : start + count]
        start += count
    left_out.include(others.counts, others.others)
    return found


def _save(folder: Path, pictures: dict[str, list[str]], left_out: LeftOut, started: float) -> None:
    """Cache a list, unless a folder has changed just now or a name contains a line end."""
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
        return  # without a cache the folder is searched again
