"""`alexplore doctor`: list what training needs, whether this machine has it, and how to get what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import psutil
import torch

from alexplore.core.boundary import print_data, print_error, run_guarded
from alexplore.core.cpu_count import processors
from alexplore.core.formatting import bytes_text, short_count
from alexplore.core.home import NoHomeError, user_folder
from alexplore.core.process_exit import exit_process
from alexplore.presets import library
from alexplore.runs.data.dataset_shapes import folder_of
from alexplore.runs.directory import runs_folder
from alexplore.training.data.catalog import PUBLISHED
from alexplore.training.errors import is_out_of_memory
from alexplore.training.hardware import find_accelerators
from alexplore.training.kernels.processor import processor_class
from alexplore.training.kernels.table import TABLE, kernels_of
from alexplore.training.precision import matmul_peak

FOUND, MISSING, NOTE = "✓", "✗", "·"

Line = tuple[str, str, str]
"""A mark, a subject and a finding. A subject without a text continues the one before."""

PACKAGES = ("torch", "torchvision", "torchcodec", "textual", "rich", "typer")


def doctor() -> int:
    """Print all findings; return 1 if something that training needs is missing, else 0."""
    missing = False
    for check in (software, devices, data, terminal, folders):
        for mark, subject, finding in check():
            print_data(f"{mark} {subject:<14} {finding}")
            missing |= mark == MISSING
    return int(missing)


def software() -> Iterator[Line]:
    """Yield the versions of Python and of the packages that alexplore uses."""
    yield FOUND, "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    versions = {name: _version(name) for name in PACKAGES}
    yield FOUND, "packages", ", ".join(f"{name} {found}" for name, found in versions.items() if found)
    for name in (name for name, found in versions.items() if found is None):
        yield MISSING, "", f"{name} is not installed: pip install {name}"


def _version(package: str) -> str | None:
    """Return the version of a package, None if it can't be imported.

    The metadata of an installed package may be missing, or have no version.
    """
    try:
        if find_spec(package) is None:
            return None
    except ImportError:
        return None
    try:
        found: str | None = version(package)
    except PackageNotFoundError:
        found = None
    return found or "of unknown version"


def devices() -> Iterator[Line]:
    """Yield processors, memory and GPUs with their speed, and the backends by which ranks communicate."""
    cores = processors()
    memory = psutil.virtual_memory()
    yield FOUND, "processor", f"{cores} cores, {bytes_text(memory.available)} of {bytes_text(memory.total)} memory free"
    yield FOUND, "", f"multiplies at {_speeds(torch.device('cpu'))}"
    for name in kernels_of(processor_class("cpu")):
        if reason := TABLE[name].why_unavailable():
            yield NOTE, "", f"does without a faster kernel, {TABLE[name].doc}: {reason}"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            device = torch.device("cuda", index)
            properties = torch.cuda.get_device_properties(device)
            name = f"{properties.name}, {bytes_text(properties.total_memory)}"
            try:
                mark, state = FOUND, _speeds(device)
            except RuntimeError as error:  # such as memory that another program has, or a GPU that is too old
                mark = NOTE if is_out_of_memory(error) else MISSING
                state = f"can't be used: {str(error).splitlines()[0]}"
            yield mark, f"gpu {index}", f"{name}, {state}"
        if torch.version.cuda and find_spec("pynvml") is None:
            yield NOTE, "", "load, power and energy are recorded after: pip install nvidia-ml-py"
    elif accelerator := find_accelerators().kind:
        yield FOUND, "gpu", f"{accelerator}: training runs on it, in fp32 or 16 bits"
    else:
        yield NOTE, "gpu", "none that PyTorch finds; training runs on the processor, --gpus N rehearses on processes"
    backends = [name for name in ("nccl", "gloo") if getattr(torch.distributed, f"is_{name}_available")()]
    if backends:
        yield FOUND, "ranks", f"communicate by {', '.join(backends)}"
    else:
        yield MISSING, "ranks", "can't communicate: this PyTorch has neither nccl nor gloo"


def _speeds(device: torch.device) -> str:
    speeds = {precision: matmul_peak(device, precision) for precision in ("fp32", "bf16")}
    values = ", ".join(f"{short_count(speed)} FLOP/s in {precision}" for precision, speed in speeds.items())
    return f"{values}: {max(speeds, key=lambda precision: speeds[precision])} is the faster"


def data() -> Iterator[Line]:
    """Yield the folder of each data set that can be downloaded."""
    for name in PUBLISHED:
        if (folder := folder_of(name)) is not None:
            yield FOUND, name, str(folder)
        else:
            yield NOTE, name, "not on this machine; downloaded when it is first trained on, or give --data DIR"


def terminal() -> Iterator[Line]:
    """Yield the size, the colours and the encoding of the terminal."""
    if not sys.stdout.isatty():
        yield NOTE, "terminal", "none; the app needs one"
        return
    size = shutil.get_terminal_size()
    colours = "true colour" if os.environ.get("COLORTERM") in ("truecolor", "24bit") else "256 colours or fewer"
    yield FOUND, "terminal", f"{size.columns}×{size.lines}, {os.environ.get('TERM', 'unknown')}, {colours}"
    encoding = sys.stdout.encoding or ""
    if encoding.lower().replace("-", "") != "utf8":
        yield NOTE, "", f"{encoding}: blocks and curves need UTF-8; set LANG=C.UTF-8"


def folders() -> Iterator[Line]:
    """Yield the folders that alexplore writes to, with their free space."""
    places: dict[str, Callable[[], Path]] = {
        "runs": runs_folder,
        "presets": library.user_folder,
        "cache": lambda: user_folder("cache", "set $XDG_CACHE_HOME"),
    }
    for subject, place in places.items():
        try:
            path = place()
        except NoHomeError as error:
            yield MISSING if subject == "runs" else NOTE, subject, str(error)
            continue
        existing = next(parent for parent in (path, *path.parents) if parent.exists())
        try:
            with tempfile.NamedTemporaryFile(dir=existing) as file:  # permissions alone are not enough
                file.write(b"1")
                file.flush()
        except OSError as error:
            yield MISSING, subject, f"{path} can't be written: {error.strerror}; {REMEDIES[subject]}"
        else:
            yield FOUND, subject, f"{path}, {bytes_text(shutil.disk_usage(existing).free)} free"


REMEDIES = {
    "runs": "set $ALEXPLORE_RUNS or give --runs-dir",
    "presets": "set $XDG_CONFIG_HOME, or give paths to --preset",
    "cache": "set $XDG_CACHE_HOME, or give --data DIR",
}

if __name__ == "__main__":
    exit_process(run_guarded(doctor, print_error))
