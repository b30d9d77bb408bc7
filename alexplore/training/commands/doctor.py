"""`alexplore doctor`: what this machine offers, and what to do about what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import platformdirs
import psutil
import torch

from alexplore.core.boundary import print_error, run_guarded
from alexplore.core.cpu_count import processors
from alexplore.core.formatting import bytes_text, short_count
from alexplore.presets.library import user_folder
from alexplore.runs.directory import runs_folder
from alexplore.training.data import store
from alexplore.training.data.record import KNOWN
from alexplore.training.precision import matmul_peak

Line = tuple[str, str, str]  # ✓ or ✗ or ·, what, and what about it


def doctor() -> int:
    """Print a line for everything; 1 where something that training needs is missing."""
    missing = 0
    for mark, subject, finding in (*software(), *devices(), *data(), *terminal(), *folders()):
        print(f"{mark} {subject:<14} {finding}", flush=True)
        missing |= mark == "✗"
    return int(missing)


def software() -> Iterator[Line]:
    """Python and what alexplore stands on."""
    yield "✓", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    names = ("torch", "torchvision", "textual", "rich", "typer")
    yield "✓", "packages", ", ".join(f"{name} {version(name)}" for name in names)


def devices() -> Iterator[Line]:
    """Processors, memory, GPUs, how fast they multiply, and how ranks talk."""
    cores = processors()
    memory = psutil.virtual_memory()
    yield "✓", "processor", f"{cores} cores, {bytes_text(memory.available)} of {bytes_text(memory.total)} memory free"
    yield "✓", "", f"multiplies at {_speeds(torch.device('cpu'))}"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            device = torch.device("cuda", index)
            properties = torch.cuda.get_device_properties(device)
            yield "✓", f"gpu {index}", f"{properties.name}, {bytes_text(properties.total_memory)}, {_speeds(device)}"
    else:
        yield "·", "gpu", "none that PyTorch finds; training runs on the processor, --gpus N rehearses on processes"
    backends = [name for name in ("nccl", "gloo") if getattr(torch.distributed, f"is_{name}_available")()]
    yield ("✓" if backends else "✗"), "ranks", f"talk by {', '.join(backends) or 'nothing: this torch has no gloo'}"


def _speeds(device: torch.device) -> str:
    speeds = {precision: matmul_peak(device, precision) for precision in ("fp32", "bf16")}
    told = ", ".join(f"{short_count(speed)} FLOP/s in {precision}" for precision, speed in speeds.items())
    return f"{told}: {max(speeds, key=lambda precision: speeds[precision])} is the faster"


def data() -> Iterator[Line]:
    """The data sets that are found here."""
    for name, known in KNOWN.items():
        places = (store.cache_folder(name), *map(Path, known.places))
        found = [place for place in places if place.is_dir() and any(place.iterdir())]
        if found:
            yield "✓", name, str(found[0])
        else:
            yield "·", name, "not here yet; brought when it is first trained on, or give --data DIR"


def terminal() -> Iterator[Line]:
    """What the terminal can show."""
    if not sys.stdout.isatty():
        yield "·", "terminal", "none; the app needs one"
        return
    size = shutil.get_terminal_size()
    colours = "true colour" if os.environ.get("COLORTERM") in ("truecolor", "24bit") else "256 colours or fewer"
    yield "✓", "terminal", f"{size.columns}×{size.lines}, {os.environ.get('TERM', 'unknown')}, {colours}"
    encoding = sys.stdout.encoding or ""
    if encoding.lower().replace("-", "") != "utf8":
        yield "·", "", f"{encoding}: blocks and curves need UTF-8; set LANG=C.UTF-8"


def folders() -> Iterator[Line]:
    """Where things are kept, and whether they can be."""
    places = {
        "runs": runs_folder(),
        "presets": user_folder(),
        "cache": platformdirs.user_cache_path("alexplore"),
    }
    for subject, path in places.items():
        standing = next(parent for parent in (path, *path.parents) if parent.exists())
        try:
            with tempfile.NamedTemporaryFile(dir=standing) as file:  # permissions alone don't tell
                file.write(b"1")
                file.flush()
        except OSError as error:
            yield "✗", subject, f"{path} can't be written: {error.strerror}; {REMEDIES[subject]}"
        else:
            yield "✓", subject, f"{path}, {bytes_text(shutil.disk_usage(standing).free)} free"


REMEDIES = {
    "runs": "set $ALEXPLORE_RUNS or give --runs-dir",
    "presets": "set $XDG_CONFIG_HOME, or give paths to --preset",
    "cache": "set $XDG_CACHE_HOME, or give --data DIR",
}

if __name__ == "__main__":
    sys.exit(run_guarded(doctor, print_error))
