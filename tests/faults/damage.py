"""Damaged files of a run: every way in which one file may be cut, changed or replaced, drawn from a seed."""

from __future__ import annotations

import json
import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DEEP = "[" * 100_000 + "]" * 100_000
HUGE = "1" + "0" * 400
VALUES: tuple[str, ...] = (
    "null", "true", "0", "-1", "1.5", "1e308", "-1e308", "1e20", "NaN", "Infinity", HUGE, '""', '"x"', '"NaN"',
    '"\\ud800"', "[]", "[1]", "{}", '{"a": 1}', "[" * 60 + "]" * 60, DEEP,
)  # fmt: skip
"""What may stand in place of any value in JSON."""


def truncated(content: bytes, step: int = 1) -> Iterator[bytes]:
    """Yield a file cut after every byte, or every few."""
    return (content[:end] for end in range(0, len(content), step))


def flipped(content: bytes, count: int, random: random.Random) -> Iterator[bytes]:
    """Yield a file with one to eight bits flipped."""
    for _ in range(count if content else 0):
        changed = bytearray(content)
        for _ in range(random.randint(1, 8)):
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
        yield bytes(changed)


def retyped(content: bytes) -> Iterator[bytes]:
    """Yield a file of JSON, or of lines of it, with one value replaced by another type or an impossible number."""
    lines = content.splitlines(keepends=True)
    try:
        whole = [json.loads(content)]
    except ValueError:
        whole = []
    if whole:
        yield from (text.encode() for text in _with_values(whole[0]))
        return
    for number, line in enumerate(lines[:3]):
        for text in _with_values(json.loads(line)):
            yield b"".join((*lines[:number], text.encode() + b"\n", *lines[number + 1 :]))


def _with_values(value: Any) -> Iterator[str]:
    """Yield the JSON of a value with each value in it, of lists in the first item, replaced by each of `VALUES`."""
    mark = "value to be replaced"
    for marked in _marked(value, mark):
        text = json.dumps(marked)
        yield from (text.replace(f'"{mark}"', other) for other in VALUES)


def _marked(value: Any, mark: str) -> Iterator[Any]:
    yield mark
    match value:
        case dict():
            for key, item in value.items():
                yield from ({**value, key: marked} for marked in _marked(item, mark))
        case list():
            for index, item in enumerate(value[:1]):
                yield from ([*value[:index], marked, *value[index + 1 :]] for marked in _marked(item, mark))


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    """Make a socket; its name may be at most 107 bytes, so that it is made in its folder."""
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def _folder(path: Path) -> None:
    path.mkdir()


def _link_out(path: Path) -> None:
    outside = path.parent.parent.parent / "outside"
    outside.write_text('{"state": "finished", "step": 1, "epoch": 1, "secret": "of another folder"}\n')
    path.symlink_to(outside)


def _nothing(path: Path) -> None:
    path.unlink(missing_ok=True)


NO_FILES: tuple[Callable[[Path], None], ...] = (_fifo, _device, _socket, _folder, _link_out)
"""What may stand in place of a file and is none."""


def replaced(path: Path) -> Iterator[str]:
    """Put everything in place of a file that is none, one after the other, and yield its name; the file comes back."""
    content = path.read_bytes()
    for make in NO_FILES:
        path.unlink()
        make(path)
        yield make.__name__.strip("_")
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
        path.write_bytes(content)
