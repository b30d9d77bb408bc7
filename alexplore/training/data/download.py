"""Bringing a data set's files from elsewhere, without root, never waiting for a silent network for long."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from alexplore.core.errors import AlexploreError

SILENT_SECONDS = 60.0  # without a new byte, after which a download is given up
REPORT_SECONDS = 2.0
MIB = 2**20

TORCHVISION = """
import socket, sys
socket.setdefaulttimeout(15)
import torchvision.datasets
getattr(torchvision.datasets, sys.argv[1])(sys.argv[2], download=True)
"""


class FetchError(AlexploreError):
    """A way of bringing files that did not work; the message says why."""


def fetch_with_torchvision(dataset: str, folder: Path, report: Callable[[str], None]) -> Path:
    """Have torchvision download and check a data set (the name of its class) into a folder, which is given back.

    Raises:
        FetchError: it could not.
    """
    report(f"downloading {dataset} as torchvision does")
    _run([sys.executable, "-c", TORCHVISION, dataset, str(folder)], folder, report)
    return folder


def fetch_from_debian(package: str, installed_in: str, folder: Path, report: Callable[[str], None]) -> Path:
    """Download a Debian package and unpack it into a folder, and give back where in it the files are.

    With the package lists that the system has, else with lists of our own. `installed_in` is where the package puts
    its files, from the root.

    Raises:
        FetchError: this is no Debian or Ubuntu machine, or the package could not be had.
    """
    missing = [command for command in ("apt-get", "dpkg") if shutil.which(command) is None]
    if missing:
        raise FetchError(f"there is no {' and no '.join(missing)}: not a Debian or Ubuntu machine")
    report(f"downloading Debian's package {package}")
    downloads, lists, cache = (folder / part for part in ("downloads", "lists", "cache"))
    for made in (downloads, lists / "partial", cache / "archives" / "partial"):
        made.mkdir(parents=True)
    apt = ["apt-get", "-qq", "-o", "Acquire::http::Timeout=15", "-o", "Acquire::Retries=1", "-o", "APT::Sandbox::User="]
    own = [*apt, "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
    try:
        _run([*apt, "download", package], downloads, report)
    except FetchError:
        report("the system's package lists don't lead to it; fetching lists of our own")
        _run([*own, "update"], lists, report)
        _run([*own, "download", package], downloads, report)
    unpacked = folder / "unpacked"
    for archive in downloads.glob(f"{package}_*.deb"):
        _run(["dpkg", "-x", str(archive), str(unpacked)], unpacked, report)
    return unpacked / installed_in.lstrip("/")


def _run(command: Sequence[str], folder: Path, report: Callable[[str], None]) -> None:
    """Run a command in a folder, reporting as the folder grows; end it when it is silent for too long."""
    folder.mkdir(parents=True, exist_ok=True)
    said = folder.with_name(f"{folder.name}.log")
    with said.open("wb") as log:
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
    if process.returncode:
        raise FetchError(_reason(said.read_text(errors="replace")) or f"{command[0]} ended with {process.returncode}")


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
        if now - grown > SILENT_SECONDS:
            raise FetchError(f"nothing came for {SILENT_SECONDS:.0f} s")


def _bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # it was renamed meanwhile
                total += Path(parent, name).stat().st_size
    return total


def _reason(said: str) -> str:
    """Of all that a command said, the line that tells why it failed: apt's errors are marked, Python's come last."""
    lines = [line.strip() for line in said.replace("\r", "\n").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E:")]
    return (errors or lines or [""])[-1]
