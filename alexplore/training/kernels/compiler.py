"""Compile a C source with this machine's compiler and load it.

The result is kept in the user's cache folder. Its name depends on the source and the options, but not on the compiler:
the sources are written so that every compiler gives the same bits.
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

COMPILERS = ("gcc", "cc")

OPTIONS = ("-std=c11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-w")
LIBRARY = ("-fopenmp", "-fPIC", "-shared", "-lm")  # gcc's OpenMP library is the one that PyTorch has loaded

AVX512 = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl")
INSTRUCTIONS = {"avx2": ("-mavx2",), "avx512": AVX512, "avx512_bf16": AVX512, "amx": AVX512}
"""Options by class of processor; others have the instructions that the compiler uses by default."""

COMPILE_TIMEOUT = 60
"""In seconds. It takes less than one."""


class NotCompiled(Exception):
    """A source can't be compiled or loaded on this machine; the message is the reason."""


def load_compiled(source: Path, options: Sequence[str] = ()) -> ctypes.CDLL:
    """Return the library of a C source, from the cache if it was compiled before.

    Raises:
        NotCompiled: there is no compiler, or it can't compile the source.
    """
    if not sys.platform.startswith("linux"):
        raise NotCompiled("it is compiled on Linux only")
    options = [*OPTIONS, *INSTRUCTIONS.get(processor_class("cpu"), ()), *options]
    name = f"{source.stem}-{_digest(source, options)}.so"
    with suppress(NoHomeError, OSError, NotCompiled):  # no folder, or one that can't be written, is full, or is noexec
        return _load_cached(source, options, user_folder("cache", "") / "kernels" / name)
    with tempfile.TemporaryDirectory() as folder:
        return _compile(source, options, Path(folder, name))


def _digest(source: Path, options: Sequence[str]) -> str:
    made_from = "\n".join([*options, *LIBRARY, platform.machine(), source.read_text()])
    return hashlib.sha256(made_from.encode()).hexdigest()[:16]


def _load_cached(source: Path, options: Sequence[str], path: Path) -> ctypes.CDLL:
    if path.exists():
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            path.unlink()  # damaged
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        library = _compile(source, options, made := Path(folder, path.name))
        if not path.exists():  # other ranks do the same at this moment
            made.rename(path)
        return library


def _compile(source: Path, options: Sequence[str], output: Path) -> ctypes.CDLL:
    command = [*_compiler(), *options, str(source), *LIBRARY, "-o", str(output)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            check=False,
            timeout=COMPILE_TIMEOUT,
            env={**os.environ, "LC_ALL": "C"},
        )
        if not done.returncode:
            return ctypes.CDLL(str(output))
    except subprocess.TimeoutExpired:
        raise NotCompiled(f"{command[0]} takes longer than {COMPILE_TIMEOUT} seconds") from None
    except OSError as error:
        raise NotCompiled(f"{command[0]}: {error}") from error
    lines = (line for line in done.stderr.splitlines() if "error" in line)
    raise NotCompiled(f"{command[0]}: {next(lines, f'exit code {done.returncode}')}")


def _compiler() -> list[str]:
    """Return the command of the C compiler: `$CC`, or the first one that is found."""
    try:
        chosen = shlex.split(os.environ.get("CC", ""))
    except ValueError as error:
        raise NotCompiled(f"$CC: {error}") from None
    if chosen:
        return chosen
    found = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if found is None:
        raise NotCompiled(f"no C compiler is found ({', '.join(COMPILERS)}, or $CC)")
    return [found]
