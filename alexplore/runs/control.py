"""Asking a worker for something: a request is a file renamed into control/, the answer a line of events.jsonl."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from alexplore.core.atomic_files import read_json, write_atomically
from alexplore.runs.directory import RunDirectory, RunError
from alexplore.runs.lines import LineReader
from alexplore.runs.status import read_status

ACTIONS = ("stop", "checkpoint", "pause", "resume")


@dataclass(frozen=True)
class Request:
    """One request; `id` comes back in the answer."""

    id: str
    action: str


def request(run: RunDirectory, action: str) -> Request:
    """Leave a request for the worker of a run, which takes it up within a few steps.

    Raises:
        RunError: no worker is at it, or the directory can't be written.
    """
    status = read_status(run)
    if not status.live:
        raise RunError(f"{run.name} is {status.state}: there is no worker to {action} it")
    return leave_request(run, action)


def leave_request(run: RunDirectory, action: str) -> Request:
    """Leave a request without a look whether there is a worker: for the worker itself, which holds the lock.

    Raises:
        RunError: the directory can't be written.
    """
    made = Request(f"{time.time_ns():020d}-{secrets.token_hex(3)}", action)
    try:
        write_atomically(run.control_folder / f"{made.id}.json", json.dumps({"action": action}) + "\n")
    except OSError as error:
        raise RunError(f"{run.control_folder}: {error.strerror}") from None
    return made


def pending(run: RunDirectory) -> list[Request]:
    """Requests not taken up yet, the oldest first. Each is taken away, so that it is answered once."""
    requests = []
    for path in sorted(run.control_folder.glob("*.json")):
        content = read_json(path)
        path.unlink(missing_ok=True)
        if content is not None and content.get("action") in ACTIONS:
            requests.append(Request(path.stem, str(content["action"])))
    return requests


def wait_for_answer(run: RunDirectory, made: Request, seconds: float) -> dict[str, Any] | None:
    """The line of events.jsonl that answers a request, with an `error` where it could not be granted.

    None where its worker ended without an answer, or gave none in time.
    """
    reader = LineReader(run.events_file)
    deadline = time.monotonic() + seconds
    while True:
        waiting = read_status(run).live and time.monotonic() < deadline
        for event in reader.read_all():
            if event.get("event") == "control" and event.get("request") == made.id:
                return event
        if not waiting:
            return None
        time.sleep(0.1)


def forget_requests(run: RunDirectory) -> None:
    """Drop what was asked of an earlier worker."""
    for path in run.control_folder.glob("*"):
        path.unlink(missing_ok=True)
