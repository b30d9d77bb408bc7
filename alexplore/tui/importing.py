"""Import models while the app can be used."""

from __future__ import annotations

import asyncio
import os
import re
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from typing import NamedTuple

from alexplore.network.graph import parse_input
from alexplore.presets.preset import Preset
from alexplore.presets.sources import import_command, read_answer, starting_import

INPUT = "the size of its images may follow: net.py:Net 3x64x64"

WITH_INPUT = re.compile(r"(.*\S)\s+(\d+[x×]\d+[x×]\d+)", re.DOTALL)


class Request(NamedTuple):
    """A source, and the typed size of the images, "" for none."""

    source: str
    size: str = ""


def read_request(text: str) -> Request:
    """Return the request in a text such as "net.py:Net", or "net.py:Net 3x64x64"."""
    if found := WITH_INPUT.fullmatch(text.strip()):
        return Request(os.path.expanduser(found[1]), found[2])  # noqa: PTH111 (a source is not a path)
    return Request(os.path.expanduser(text.strip()))  # noqa: PTH111


async def import_model(request: Request, report: Callable[[str], None]) -> Preset:
    """Import a model as `import_preset` does; its process is ended if this is cancelled.

    Raises:
        CommandError: the model can't be imported.
        StartError: PyTorch is not installed, or no process can be started.
        SettingError: the size is not allowed.
    """
    size = parse_input(request.size) if request.size else None
    command = import_command(request.source, input=size)
    with starting_import(request.source):
        process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return read_answer(request.source, printed.decode(errors="replace"), process.returncode or 0, report)
