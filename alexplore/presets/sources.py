"""Models as presets: what a SOURCE is, and the process that imports it.

The process is the only part of alexplore that runs code from a user's file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from alexplore.core.errors import FAILED
from alexplore.core.processes import CommandError, ended_text, starting, torch_command
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.presets.reader import parse_preset

FILES = (".pt2", ".onnx")
"""The suffixes of files that are sources without a NAME."""

MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

FORMS = "FILE.py:NAME, package.module:NAME, torchvision:NAME, FILE.pt2 or FILE.onnx"


def is_source(text: str) -> bool:
    """Return whether a text names a model to import, and not a preset."""
    if text.endswith(".toml"):
        return False
    where, colon, name = text.partition(":")
    if colon and name:
        return where.endswith(".py") or MODULE.fullmatch(where) is not None
    return text.endswith(FILES)


def source_name(source: str) -> str:
    """Return the name of the preset of a source: `Net` for net.py:Net(10), and the file's for net-1.0.onnx."""
    where, colon, model = source.partition(":")
    name = model.partition("(")[0].rpartition(".")[2].strip() if colon else Path(where).stem
    return re.sub(r"^[.-]|[^\w.-]", "_", name) or "imported"


def open_preset(name: str, report: Callable[[str], None], input: tuple[int, int, int] | None = None) -> Preset:
    """Return the preset of a name, a path or a source, which is imported with images of (channels, height, width).

    `report` gets a line when PyTorch is started, and each warning.

    Raises:
        PresetError: the preset can't be found, read or used.
        CommandError: the model can't be imported.
        StartError: PyTorch is not installed, or no process can be started.
    """
    if not is_source(name):
        return load_preset(name)
    report(f"importing {name} with PyTorch; `alexplore import` keeps it as a preset")
    return import_preset(name, report, input=input)


def import_preset(
    source: str,
    report: Callable[[str], None],
    *,
    input: tuple[int, int, int] | None = None,
    name: str | None = None,
    weights: Path | None = None,
    quiet: bool = False,
) -> Preset:
    """Import a model in a separate process, and return it as a preset that is not saved.

    `input` is (channels, height, width); if it is None, the usual sizes are tried. `weights` is a file into which the
    model's own weights are written. Output of the model's code goes to stderr, or is discarded if `quiet`.

    Raises:
        CommandError: the model can't be imported.
        StartError: PyTorch is not installed, or no process can be started.
    """
    import subprocess  # imported here: opening a preset file does not need it

    with starting_import(source):
        done = subprocess.run(
            import_command(source, input=input, name=name, weights=weights),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            encoding="utf-8",
        )
    return read_answer(source, done.stdout, done.returncode, report)


def starting_import(source: str) -> AbstractContextManager[None]:
    """Return a context in which the process that imports a source is started; see `starting`."""
    return starting(f"the process that imports {source}")


def import_command(
    source: str,
    *,
    input: tuple[int, int, int] | None = None,
    name: str | None = None,
    weights: Path | None = None,
) -> list[str]:
    """Return the command line of the process that imports a model; see `import_preset`.

    Raises:
        StartError: PyTorch is not installed.
    """
    arguments = [
        *(["--input", "x".join(map(str, input))] if input else []),
        *(["--name", name] if name else []),
        *(["--weights", str(weights)] if weights else []),
    ]
    return torch_command("alexplore.importing.command", *arguments, "--", source)


def read_answer(source: str, printed: str, code: int, report: Callable[[str], None]) -> Preset:
    """Return the preset that the process `printed` before it ended with the exit code `code`; see `import_preset`.

    Raises:
        CommandError: it printed an error, or nothing.
    """
    answer = _answer(printed)
    if answer is None:
        raise CommandError(f"{source}: the process that imports it gave no answer; it {ended_text(code)}", FAILED)
    if "error" in answer:
        raise CommandError(answer["error"], code)
    for warning in answer["warnings"]:
        report(warning)
    preset = parse_preset(answer["preset"], Path(f"{answer['name']}.toml"))
    return replace(preset, path=None)


def _answer(printed: str) -> dict[str, Any] | None:
    """Return the object that the process printed, None if it printed none, or an empty one, because it was killed."""
    import json

    try:
        answer = json.loads(printed)
    except ValueError:
        return None
    complete = isinstance(answer, dict) and ("error" in answer or answer.keys() >= {"preset", "name", "warnings"})
    return answer if complete else None
