"""What is printed at a terminal of some columns, and what goes to a pipe: names, marks and numbers are never cut."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from alexplore.cli.tui import require_terminal
from alexplore.core.errors import WrongUseError
from alexplore.presets.library import load_preset, shipped_folder
from alexplore.runs.config import RunConfig
from tests.support.networks import TINY_PRESET
from tests.support.processes import Alexplore
from tests.support.runs import finished_run

AtTerminal = Callable[..., list[str]]
NARROW = [60, 80]


@pytest.fixture
def at_terminal(heavy: None) -> AtTerminal:
    """Runs the command line at a terminal of so many columns; the lines that it shows there."""

    def run(columns: int, *arguments: str, **environment: str) -> list[str]:
        outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        inherited = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        process = subprocess.Popen(
            [sys.executable, "-m", "alexplore", *arguments],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**inherited, "TERM": "xterm-256color", **environment},
        )
        os.close(inner)
        shown = _read(outer)
        assert process.wait(60) == 0, shown
        return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()]

    return run


def _read(descriptor: int) -> str:
    shown = b""
    with os.fdopen(descriptor, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(4096):
                shown += piece
        except OSError:  # how Linux tells that nobody writes any more
            pass
    return shown.decode()


@pytest.mark.parametrize("columns", NARROW)
def test_shapes_has_every_number_whole(at_terminal: AtTerminal, alexplore: Alexplore, columns: int) -> None:
    lines = at_terminal(columns, "shapes", "--preset", "paper")
    assert max(map(len, lines)) <= columns
    layers = json.loads(alexplore("shapes", "--preset", "paper", "--json").stdout)["layers"]
    rows = [line for line in lines if re.match(r" +\d+  \w", line)]
    assert len(rows) == len(layers) == 23
    for row, layer in zip(rows, layers, strict=True):
        numbers = [f"{layer[key]:,}" if layer[key] else "–" for key in ("params", "macs")]
        output = "×".join(map(str, layer["output"]))
        assert row.split()[:2] == [str(layer["index"]), layer["name"]]
        assert row.split()[-4:] == [output, *numbers, str(layer["receptive_field"])]
    assert ("256 · 5×5" in lines[8]) == (columns == 80)


@pytest.mark.parametrize("columns", NARROW)
def test_diff_has_marks_names_and_differences_whole(
    at_terminal: AtTerminal, alexplore: Alexplore, columns: int
) -> None:
    lines = at_terminal(columns, "diff", "paper", "torchvision")
    assert max(map(len, lines)) <= columns
    pairs = json.loads(alexplore("diff", "paper", "torchvision", "--json").stdout)["layers"]
    marks = {"same": "", "changed": "≠", "follows": "≈", "only a": "−", "only b": "+"}
    place = {side: lines[3].index(f" {side} ") + 1 for side in ("a", "b")}
    for row, pair in zip(lines[5:], pairs, strict=False):
        assert row[:3].strip() == marks[pair["kind"]]
        for side, start in place.items():
            assert row.ljust(columns)[start:].startswith(f"{pair[side]['name']} " if pair[side] else " ")
        if "params" in pair["numbers"]:
            a, b = pair["numbers"]["params"]
            assert f"{b - a:+,}" in row.split()
    assert len(pairs) == 25
    assert any(line.split()[-3:] == ["724,406,816", "714,188,480", "-10,218,336"] for line in lines)


@pytest.mark.parametrize("columns", NARROW)
def test_presets_have_names_sizes_and_counts_whole(at_terminal: AtTerminal, columns: int) -> None:
    lines = at_terminal(columns, "presets")
    assert max(map(len, lines)) <= columns
    rows = {line.split()[0]: line for line in lines if line.strip()}
    for file in shipped_folder().glob("*.toml"):
        content = tomllib.loads(file.read_text())
        size, layers, _ = rows[file.stem].split()[-3:]
        assert size == "×".join(map(str, content["input"]))
        assert layers == str(len(content["layers"]))
    assert rows["paper"].endswith(" 60,965,224")
    assert ("LeNet-5, as tutorials" in rows["lenet"]) == (columns == 80)


def test_a_long_name_goes_over_lines_before_a_number_is_cut(
    at_terminal: AtTerminal, alexplore: Alexplore, tmp_path: Path
) -> None:
    name = "a_name_of_forty_characters_for_one_layer"
    path = tmp_path / "long.toml"
    path.write_text(TINY_PRESET.replace("conv1", name))
    lines = at_terminal(60, "shapes", "--preset", str(path))
    assert any(line.endswith("4×28×28      40") for line in lines)
    assert not any("…" in line for line in lines)
    assert name in re.sub(r"\s|4×28×28|40", "", "".join(lines))


@pytest.mark.parametrize("columns", [*NARROW, 120])
@pytest.mark.parametrize("arguments", [["shapes", "-p", "paper", "--explain"], ["presets", "paper"]])
def test_lines_break_between_words(
    at_terminal: AtTerminal, alexplore: Alexplore, columns: int, arguments: list[str]
) -> None:
    shown = at_terminal(columns, *arguments)
    assert max(map(len, shown)) <= columns
    assert " ".join(shown).split() == alexplore(*arguments).stdout.split()


def test_what_is_under_the_table_stays_beside_its_label(at_terminal: AtTerminal, alexplore: Alexplore) -> None:
    shown = at_terminal(60, "shapes", "--preset", "paper")
    totals = alexplore("shapes", "-p", "paper").stdout.partition("\nparameters")[2]
    shown = shown[next(number for number, line in enumerate(shown) if line.startswith("parameters")) :]
    assert " ".join(shown).split() == ["parameters", *totals.split()]
    assert shown[4:7] == [
        "training     706 MiB at batch 1 with sgd in fp32: weights",
        "             233 MiB, gradients 233 MiB, optimizer 233 MiB,",
        "             activations 8.2 MiB",
    ]


def test_a_pipe_gets_everything_on_one_line(alexplore: Alexplore, tmp_path: Path) -> None:
    title = "A title " + "that goes on " * 40 + "to its end"
    path = tmp_path / "config" / "alexplore" / "presets" / "mine.toml"
    path.parent.mkdir(parents=True)
    path.write_text(TINY_PRESET.replace("A tiny network", title))
    listed = alexplore("presets", COLUMNS="40").stdout
    assert title in listed
    assert "…" not in listed
    explained = alexplore("shapes", "-p", "paper", "--explain", COLUMNS="40").stdout
    total = next(line for line in explained.splitlines()[-16:] if line.startswith("  activation bytes"))
    assert total.count(" + ") == 22
    assert total.endswith(" = 7,737,760 (for one image)")
    assert not any(line.endswith(" ") for line in explained.splitlines())


@pytest.mark.parametrize("columns", NARROW)
def test_compared_runs_have_their_names_and_numbers_whole(
    at_terminal: AtTerminal, tmp_path: Path, columns: int
) -> None:
    preset = load_preset("fmnist-28")
    names = [f"fmnist-28-2026-11-28-06-5{number}-00" for number in range(8)]
    for number, name in enumerate(names):
        recipe = replace(preset.recipe, lr=0.001 * (number + 1))
        finished_run(RunConfig(preset.name, preset.network, recipe), tmp_path, name, accuracy=0.9001 + number / 1000)
    lines = at_terminal(columns, "runs", "compare", *names, "--runs-dir", str(tmp_path))
    shown = "\n".join(lines)
    assert max(map(len, lines)) <= columns
    assert "…" not in shown
    assert re.findall(r"fmnist-28-[-\d]+", shown) == names
    rates = [number for line in lines if line.split()[:1] == ["lr"] for number in line.split()[1:]]
    assert list(map(float, rates)) == [0.001 * (number + 1) for number in range(8)]


@pytest.mark.usefixtures("heavy")
def test_the_app_is_refused_where_stderr_is_no_terminal() -> None:
    outer, inner = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "alexplore", "tui"],
        stdin=inner,
        stdout=inner,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(inner)
    os.close(outer)
    assert done.returncode == 2
    assert b"needs a terminal for stdin, stdout and stderr" in done.stderr


@pytest.mark.parametrize("terminal", ["dumb", "unknown"])
def test_the_app_is_refused_on_a_terminal_that_can_not_draw(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    monkeypatch.setattr("alexplore.cli.tui.on_a_terminal", lambda: True)
    monkeypatch.setenv("TERM", terminal)
    with pytest.raises(WrongUseError, match=f"TERM={terminal}.*TERM=xterm-256color alexplore"):
        require_terminal()


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_locale_of_ascii_is_no_traceback(at_terminal: AtTerminal, alexplore_process: Alexplore) -> None:
    done = alexplore_process("shapes", "--preset", "paper", **ASCII)
    assert (done.returncode, done.stderr) == (0, "")
    assert "96×55×55" in done.stdout
    shown = "\n".join(at_terminal(80, "shapes", "--preset", "paper", **ASCII))
    assert "96?55?55" in shown
    assert "105,415,200" in shown
    asked = alexplore_process("doctor", **ASCII)  # prints in a process of its own
    assert "✓ " in asked.stdout
    assert "Traceback" not in asked.stderr
