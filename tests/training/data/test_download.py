"""Downloads: torchvision's from a mirror on this machine, Debian's with stand-ins for its tools."""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from alexplore.runs.data.idx_files import IDX_DATASETS, find
from alexplore.training.data import download
from alexplore.training.data.mnist import DEBIAN_FOLDER, unpack

pytestmark = pytest.mark.usefixtures("heavy")

PACKED = {  # when the authors packed each file: Debian's package has the same data without name and time
    "train-images-idx3-ubyte": 1504176606,
    "train-labels-idx1-ubyte": 1504176606,
    "t10k-images-idx3-ubyte": 1504176627,
    "t10k-labels-idx1-ubyte": 1504176627,
}


def as_published(name: str) -> bytes:
    """Return a file as the authors compressed it, from Debian's: with the name and the time in gzip's header."""
    content = (Path(DEBIAN_FOLDER) / f"{name}.gz").read_bytes()
    return b"\x1f\x8b\x08\x08" + struct.pack("<I", PACKED[name]) + content[8:10] + name.encode() + b"\0" + content[10:]


class Mirror(BaseHTTPRequestHandler):
    """A proxy for any host, which serves the files as published."""

    def do_GET(self) -> None:
        """One file."""
        content = as_published(Path(self.path).stem)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every http address lead to the mirror."""
    if not find(IDX_DATASETS["fashion-mnist"], Path(DEBIAN_FOLDER)):
        pytest.skip(f"needs the real images: install Debian's package dataset-fashion-mnist (no {DEBIAN_FOLDER})")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "")
    yield
    server.shutdown()
    server.server_close()


def test_torchvision_downloads(mirror: None, tmp_path: Path) -> None:
    messages: list[str] = []
    brought = download.download_with_torchvision("FashionMNIST", tmp_path / "work", messages.append)
    data = IDX_DATASETS["fashion-mnist"]
    assert unpack(data, find(data, brought), tmp_path)
    assert messages[0] == "downloading FashionMNIST with torchvision"


@pytest.mark.parametrize(("part", "limit"), [("", "FIRST_SECONDS"), ("half", "SILENT_SECONDS")])
def test_a_silent_download_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, limit: str) -> None:
    before = set(psutil.Process().children())
    monkeypatch.setattr(download, limit, 0.5)
    monkeypatch.setattr(download, "TORCHVISION", f"import time; open('part', 'w').write('{part}'); time.sleep(60)")
    with pytest.raises(download.DownloadError, match="nothing came for"):
        download.download_with_torchvision("FashionMNIST", tmp_path / "work", lambda _: None)
    assert not set(psutil.Process().children()) - before


def test_a_download_of_something_else_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision.datasets.utils.download_and_extract_archive raises this for a wrong checksum."""
    monkeypatch.setattr(download, "TORCHVISION", "raise RuntimeError('File not found or corrupted.')")
    with pytest.raises(download.DownloadError, match=r"not the published file \(its checksum\)"):
        download.download_with_torchvision("FashionMNIST", tmp_path / "work", lambda _: None)


def test_progress_is_reported_while_files_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "REPORT_SECONDS", 0.2)
    growing = """
import os, time
open("part", "wb").write(bytes(3 * 2**20))
while not os.path.exists("seen"):
    time.sleep(0.05)
"""
    monkeypatch.setattr(download, "TORCHVISION", growing)
    messages: list[str] = []

    def report(line: str) -> None:
        messages.append(line)
        if line == "3 MiB so far":
            (tmp_path / "work" / "seen").touch()

    download.download_with_torchvision("FashionMNIST", tmp_path / "work", report)
    assert "3 MiB so far" in messages


APT = """#!{python}
import pathlib, sys
arguments = sys.argv[1:]
with open("{log}", "a") as log:
    print(pathlib.Path(sys.argv[0]).name, *arguments, file=log)
own = any(argument.startswith("Dir::State::Lists=") for argument in arguments)
if "download" in arguments:
    if not {listed} and not own:
        sys.exit("W: no lists\\nE: Unable to locate package dataset-fashion-mnist\\nmore")
    if {gone}:
        sys.exit("E: Failed to fetch")
    pathlib.Path("dataset-fashion-mnist_1_all.deb").write_text("packed")
if arguments[0] == "-x":
    folder = pathlib.Path(arguments[2], "usr/share/datasets/fashion-mnist")
    folder.mkdir(parents=True)
    (folder / "file").write_text(pathlib.Path(arguments[1]).read_text())
"""


def stand_ins(folder: Path, monkeypatch: pytest.MonkeyPatch, *, listed: bool, gone: bool = False) -> Path:
    """Put programs named apt-get and dpkg on the path that log how they are called, and return the log."""
    tools = folder / "tools"
    tools.mkdir()
    for name in ("apt-get", "dpkg"):
        script = APT.format(python=sys.executable, log=folder / "log", listed=listed, gone=gone)
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    return folder / "log"


def fetch_package(folder: Path) -> Path:
    return download.download_debian_package("dataset-fashion-mnist", DEBIAN_FOLDER, folder / "work", lambda _: None)


def test_debians_package_is_downloaded_with_the_systems_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = stand_ins(tmp_path, monkeypatch, listed=True)
    assert (fetch_package(tmp_path) / "file").read_text() == "packed"
    calls = log.read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["apt-get", "dpkg"]
    assert not any("install" in call or "Dir::State" in call for call in calls)


def test_debians_package_is_downloaded_with_new_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = stand_ins(tmp_path, monkeypatch, listed=False)
    assert (fetch_package(tmp_path) / "file").read_text() == "packed"
    _, update, download, unpack = log.read_text().splitlines()
    for call, word in ((update, " update"), (download, " download dataset-fashion-mnist")):
        assert call.endswith(word)
        assert f"Dir::State::Lists={tmp_path}/work/" in call
        assert f"Dir::Cache={tmp_path}/work/" in call
    assert unpack.startswith("dpkg -x ")


def test_the_error_is_that_of_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_ins(tmp_path, monkeypatch, listed=False, gone=True)
    with pytest.raises(download.DownloadError, match=r"^E: Failed to fetch$"):
        fetch_package(tmp_path)


def test_systems_without_apt_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(download.DownloadError, match="not a Debian or Ubuntu machine"):
        fetch_package(tmp_path)


@pytest.mark.usefixtures("heavy")
def test_a_download_that_is_killed_is_not_explained_by_its_progress(tmp_path: Path) -> None:
    script = "import os, signal; print(' 45%|####', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(download.DownloadError, match="was killed by SIGKILL"):
        download._run([sys.executable, "-c", script], tmp_path, lambda _: None)
