"""Download the files of a data set, without root, and give up when no data arrives."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alexplore.core.errors import AlexploreError
from alexplore.core.processes import ended_text

SILENT_SECONDS = 60.0
"""Time without a new byte after which a download is given up."""

FIRST_SECONDS = 300.0
"""The same before the first byte: importing torchvision takes more than a minute where many programs run."""

REPORT_SECONDS = 2.0
MIB = 2**20

TORCHVISION = """
import json, socket, sys
socket.setdefaulttimeout(15)
import torchvision.datasets
for options in json.loads(sys.argv[3]):
    try:
        getattr(torchvision.datasets, sys.argv[1])(sys.argv[2], download=True, **options)
    except ModuleNotFoundError as error:  # SVHN is read with scipy, which it is not downloaded with
        if error.name != "scipy":
            raise
"""


TORCHVISION_MISMATCH = "File not found or corrupted"
WRONG_CONTENTS = "what came is not the published file (its checksum): it broke off, or a server sent another page"


class DownloadError(AlexploreError):
    """A download failed; the message says why."""


class KilledDownloadError(DownloadError):
    """The process that downloads was killed."""


def download_with_torchvision(
    dataset: str, folder: Path, report: Callable[[str], None], *options: Mapping[str, Any]
) -> Path:
    """Let torchvision download and check a data set, named by its class, into a folder; return the folder.

    The class is called once for each of `options`, its arguments; without any if there are none.

    Raises:
        DownloadError: torchvision failed, or nothing came for too long.
    """
    report(f"downloading {dataset} with torchvision")
    _run([sys.executable, "-c", TORCHVISION, dataset, str(folder), json.dumps(options or [{}])], folder, report)
    return folder


def download_debian_package(package: str, installed_in: str, folder: Path, report: Callable[[str], None]) -> Path:
    """Download a Debian package and unpack it into a folder; return the folder in it that has the files.

    The system's package lists are used, or downloaded to the folder if they don't list the package. `installed_in` is
    the folder, from the root, that the package puts its files into.

    Raises:
        DownloadError: this is no Debian or Ubuntu machine, apt-get failed, or nothing came for too long.
    """
    missing = [command for command in ("apt-get", "dpkg") if shutil.which(command) is None]
    if missing:
        raise DownloadError(f"there is no {' and no '.join(missing)}: not a Debian or Ubuntu machine")
    report(f"downloading Debian's package {package}")
    downloads, lists, cache = (folder / part for part in ("downloads", "lists", "cache"))
    for made in (downloads, lists / "partial", cache / "archives" / "partial"):
        made.mkdir(parents=True)
    apt = ["apt-get", "-qq", "-o", "Acquire::http::Timeout=15", "-o", "Acquire::Retries=1", "-o", "APT::Sandbox::User="]
    own = [*apt, "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
    try:
        _run([*apt, "download", package], downloads, report)
    except KilledDownloadError:
        raise
    except DownloadError:
        report("the system's package lists don't list it; downloading package lists")
        _run([*own, "update"], lists, report)
        _run([*own, "download", package], downloads, report)
    unpacked = folder / "unpacked"
    for archive in downloads.glob(f"{package}_*.deb"):
        _run(["dpkg", "-x", str(archive), str(unpacked)], unpacked, report)
    return unpacked / installed_in.lstrip("/")


def _run(command: Sequence[str], folder: Path, report: Callable[[str], None]) -> None:
    """Run a command in a folder and report how much the folder contains; end it when that no longer grows."""
    folder.mkdir(parents=True, exist_ok=True)
    output = folder.with_name(f"{folder.name}.log")
    with output.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
        )
    try:
        _watch(process, folder, report)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode < 0:  # its last words are a line of progress
        raise KilledDownloadError(f"{command[0]} {ended_text(process.returncode)}")
    if process.returncode:
        reason = _reason(output.read_text(errors="replace"))
        raise DownloadError(reason or f"{command[0]} ended with exit code {process.returncode}")


def _watch(process: subprocess.Popen[bytes], folder: Path, report: Callable[[str], None]) -> None:
    size, grown, reported = 0, time.monotonic(), time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            return
        now = time.monotonic()
        if (present := _bytes(folder)) != size:
            size, grown = present, now
        if size >= MIB and now - reported >= REPORT_SECONDS:
            reported = now
            report(f"{size / MIB:.0f} MiB so far")
        if now - grown > (allowed := SILENT_SECONDS if size else FIRST_SECONDS):
            raise DownloadError(f"nothing came for {allowed:.0f} s")


def _bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # it was renamed in the meantime
                total += Path(parent, name).stat().st_size
    return total


def _reason(output: str) -> str:
    """Return the line of a command's output that says why it failed: apt's errors are marked, Python's come last."""
    lines = [line.strip() for line in output.replace("\r", "\n").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E:")]
    reason = (errors or lines or [""])[-1]
    return WRONG_CONTENTS if TORCHVISION_MISMATCH in reason else reason
