"""Compile a C source with this machine's compiler, once for each user, and load it.

The result is in the cache folder, under a name that depends on all that it was made from.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from alexplore.core.home import NoHomeError, user_folder
from alexplore.training.kernels.processor import processor_class

COMPILERS = ("cc", "gcc", "clang")

OPTIONS = ("-std=c11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-w")
LIBRARY = ("-fopenmp", "-fPIC", "-shared", "-lm")  # of OpenMP, PyTorch has loaded the library already

INSTRUCTIONS = {"avx2": "x86-64-v3", "avx512": "x86-64-v4", "avx512_bf16": "x86-64-v4", "amx": "x86-64-v4"}
"""The value of -march by class of processor; the compiler's default for others."""

SECONDS = 60
"""After this time the compiler is ended. It takes less than a second."""


class NotCompiled(Exception):
    """A source can't be compiled or loaded on this machine; the message is the reason."""


def load_compiled(source: Path, options: Sequence[str] = ()) -> ctypes.CDLL:
    """Return the library of a C source, from the cache if it was compiled before.

    Raises:
        NotCompiled: there is no compiler, or it can't compile the source.
    """
    level = INSTRUCTIONS.get(processor_class("cpu"))
    instructions = [f"-march={level}"] if level else []
    command = [*_compiler(), *OPTIONS, *instructions, *options, str(source), *LIBRARY]
    made_from = "\n".join([*command, platform.machine(), source.read_text()])
    name = f"{source.stem}-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}.so"
    try:
        with suppress(NoHomeError, OSError):  # no folder, or one that can't be written
            return _load_cached(command, user_folder("cache", "") / "kernels" / name)
        with tempfile.TemporaryDirectory() as folder:
            return _load_new(command, Path(folder, name))
    except subprocess.CalledProcessError as error:
        lines = error.stderr.splitlines()
        first = next((line for line in lines if "error" in line), f"exit code {error.returncode}")
        raise NotCompiled(f"{command[0]}: {first}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotCompiled(f"{command[0]}: {error}") from error


def _compiler() -> list[str]:
    """Return the command of the C compiler: `$CC`, or the first one that is found."""
    if chosen := shlex.split(os.environ.get("CC", "")):
        return chosen
    if not sys.platform.startswith("linux"):
        raise NotCompiled("it is done on Linux only")
    found = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if found is None:
        raise NotCompiled(f"no C compiler is found ({', '.join(COMPILERS)}, or $CC)")
    return [found]


def _load_cached(command: Sequence[str], path: Path) -> ctypes.CDLL:
    if path.exists():
        with suppress(OSError):  # damaged: it is compiled again
            return ctypes.CDLL(str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        library = _load_new(command, made := Path(folder, path.name))
        made.replace(path)  # in one step, because other ranks do the same at this moment
        return library


def _load_new(command: Sequence[str], output: Path) -> ctypes.CDLL:
    subprocess.run([*command, "-o", str(output)], capture_output=True, text=True, check=True, timeout=SECONDS)
    return ctypes.CDLL(str(output))
