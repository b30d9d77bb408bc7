"""Requests to a worker: a request is a file that is renamed into control/, the answer an event in events.jsonl."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alexplore.core.atomic_files import write_atomically
from alexplore.core.regular_files import read_json
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.protocol import ControlEvent
from alexplore.runs.reader import RunReader
from alexplore.runs.status import read_status

ACTIONS = {
    "stop": "stop",
    "stop_after_epoch": "stop after this epoch",
    "checkpoint": "checkpoint",
    "pause": "pause",
    "resume": "resume",
    "evaluate": "evaluate",
    "set": "change its recipe",
}
"""What a worker can be asked to do, each with its text for messages."""

POLL_SECONDS = 0.1

LONGEST_REQUEST = 64 * 1024
"""The most bytes of a request's file; a larger one is not read."""


@dataclass(frozen=True)
class Request:
    """One request; its answer has the same `id`. `values` are the new values of recipe keys, for the action `set`."""

    id: str
    action: str
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)


def send_request(run: RunDirectory, action: str, values: Mapping[str, Any] | None = None) -> Request:
    """Send a request to the worker of a run, which looks for requests every 0.4 seconds or at the next step.

    Raises:
        RunError: no worker trains the run, or the directory can't be written.
    """
    status = read_status(run)
    if not status.live:
        hint = f"; resume it with: {run.command('resume')}" if status.resumable else ""
        so = "" if action == "resume" else f", so it can't {ACTIONS[action]}"
        raise RunError(f"{run.name} is {status.state}: no worker trains it{so}{hint}")
    return write_request(run, action, values)


def write_request(run: RunDirectory, action: str, values: Mapping[str, Any] | None = None) -> Request:
    """Write a request without checking that there is a worker: for the worker itself, which can't test its own lock.

    Raises:
        RunError: the directory can't be written.
    """
    made = Request(f"{time.time_ns():020d}-{secrets.token_hex(3)}", action, values or {})
    try:
        run.control_folder.mkdir(exist_ok=True)
        write_atomically(run.control_folder / f"{made.id}.json", _request_text(made))
    except OSError as error:
        raise RunError(f"{run.control_folder}: {error.strerror}", failure=True) from None
    return made


def _request_text(made: Request) -> str:
    """Return what the file of a request holds."""
    return json.dumps({"action": made.action, **({"values": made.values} if made.values else {})}) + "\n"


def take_requests(run: RunDirectory) -> list[Request]:
    """Remove the files of all requests and return the requests, the oldest first, so that each is answered once.

    Other files in the folder are ignored, so that they neither stop a worker nor make it hang.
    """
    requests = []
    for path in _request_files(run):
        content = _read_request(path)
        try:
            path.unlink()
        except OSError:  # it would be answered again and again
            continue
        if content is not None and (made := _parse_request(path.stem, content)):
            requests.append(made)
    return requests


def _parse_request(name: str, content: Mapping[str, Any]) -> Request | None:
    """Return the request in the content of a file; None if it is not one."""
    action, values = content.get("action"), content.get("values", {})
    known = isinstance(action, str) and action in ACTIONS and isinstance(values, dict)
    return Request(name, str(action), values) if known else None


def _request_files(run: RunDirectory) -> list[Path]:
    """Return the regular files in the folder of requests that are named as requests are, sorted by name."""
    try:
        with os.scandir(run.control_folder) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if entry.name.endswith(".json") and entry.is_file(follow_symlinks=False)
            )
    except OSError:
        return []


def _read_request(path: Path) -> dict[str, Any] | None:
    """Return the content of a request's file; None if it is damaged or too large."""
    try:
        return read_json(path) if path.stat().st_size <= LONGEST_REQUEST else None
    except OSError:
        return None


def wait_for_answer(run: RunDirectory, made: Request, seconds: float) -> ControlEvent | None:
    """Wait at most `seconds` for the answer to a request, and return it.

    Returns None if the worker ended without an answer, or gave none in time.
    """
    reader = RunReader(run)
    deadline = time.monotonic() + seconds
    while True:
        waiting = reader.status().live and time.monotonic() < deadline
        for line in reader.events():
            if isinstance(line.event, ControlEvent) and line.event.request == made.id:
                return line.event
        if not waiting:
            return None
        time.sleep(POLL_SECONDS)


def remove_requests(run: RunDirectory) -> None:
    """Remove the requests to an earlier worker."""
    for path in _request_files(run):
        with suppress(OSError):
            path.unlink()
