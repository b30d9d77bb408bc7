"""No command prints control characters, bidi marks or lone surrogates that stand in the files that it reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alexplore.core.inert import inert
from alexplore.presets.library import user_folder
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory
from tests.support.hostile import HOSTILE, HOSTILE_NAME, check_inert, planted
from tests.support.networks import TINY_PRESET
from tests.support.processes import Alexplore
from tests.support.runs import finished_run

COMMANDS = (
    ("list",), ("list", "--json"), ("show", "run"), ("show", "run", "--json"), ("watch", "run"),
    ("watch", "run", "--json"), ("compare", "run", "other"), ("compare", "run", "other", "--json"), ("export", "run"),
    ("stop", "run"), ("pause", "run"), ("checkpoint", "run"), ("set", "run", "lr=0.1"),
    ("evaluate", "run"), ("doctor", "run"), ("doctor", "run", "--json"),
)  # fmt: skip


def check_commands(
    alexplore: Alexplore,
    commands: tuple[tuple[str, ...], ...] = COMMANDS,
    widths: tuple[int | None, ...] = (None, 100),
) -> str:
    """Check what commands print, in a pipe (None) and on a terminal; return all of it."""
    printed = ""
    for command in commands:
        for columns in widths:
            result = alexplore("runs", *command, columns=columns)
            assert result.returncode in (0, 1, 2)
            check_inert(result.stdout)
            check_inert(result.stderr)
            printed += result.stdout + result.stderr
    return printed


@pytest.fixture
def run(config: RunConfig, tmp_path: Path) -> RunDirectory:
    """A finished run among others."""
    finished_run(config, tmp_path / "runs", "other", 0.75)
    return finished_run(config, tmp_path / "runs", "run", 0.5)


EVENTS = [
    {"event": "preparing", "message": "m"},
    {"event": "dataset", "name": "n", "train": 1, "val": 1, "classes": 2},
    {"event": "precision", "precision": "p", "device": "d", "peak_flops": 1.0, "seconds": {"fp32": 1.0, "bf16": 2.0}},
    {
        "event": "start", "step": 0, "device": "cpu", "device_name": "d", "threads": 1, "ranks": 1, "parallel": "data",
        "precision": "p", "flops_per_image": 1, "peak_flops": 1.0, "recipe": {"lr": "x"},
    },
    {"event": "epoch", "epoch": 1, "step": 8, "val/acc": 0.5},
    {"event": "exchange", "bytes_per_image": {"conv1": 1.0}},
    {"event": "control", "request": "r", "action": "a", "step": 1, "error": "e"},
    {"event": "change", "step": 1, "before": {"lr": "x"}, "after": {"lr": "y"}},
    {"event": "evaluation", "step": 1, "epoch": 0.5, "val/acc": 0.5},
    {"event": "warning", "message": "m"},
    {"event": "error", "message": "m"},
    {"event": "end", "state": "failed", "step": 8, "reason": "r"},
]  # fmt: skip


def test_every_string_of_a_status(alexplore: Alexplore, run: RunDirectory) -> None:
    status = json.loads(run.status_file.read_text()) | {"state": "failed", "reason": "r", "host": "h"}
    for changed in planted(status):
        run.status_file.write_text(json.dumps(changed))
        check_commands(alexplore, (("list",), ("show", "run"), ("stop", "run")), widths=(None,))
    run.status_file.write_text(json.dumps(status | {"reason": HOSTILE}))
    assert inert(HOSTILE) in check_commands(alexplore)


def test_every_string_of_the_events(alexplore: Alexplore, run: RunDirectory) -> None:
    lines = [changed for event in EVENTS for changed in planted(event)]
    heads = ({"v": 1, "seq": number, "attempt": 0, "time": 1.0} for number in range(len(lines)))
    text = "".join(f"{json.dumps({**head, **line})}\n" for head, line in zip(heads, lines, strict=True))
    run.events_file.write_text(text)
    assert inert(HOSTILE) in check_commands(alexplore)


def test_every_string_of_a_config(alexplore: Alexplore, run: RunDirectory) -> None:
    config = json.loads(run.config_file.read_text())
    for changed in planted(config):
        run.config_file.write_text(json.dumps(changed))
        check_commands(alexplore, (("list",), ("show", "run")), widths=(None,))
    run.config_file.write_text(json.dumps({**config, "preset": HOSTILE}))
    assert inert(HOSTILE) in check_commands(alexplore)


def test_names_of_metrics(alexplore: Alexplore, run: RunDirectory, tmp_path: Path) -> None:
    run.metrics_file.write_text(json.dumps({"step": 1, "epoch": 1.0, HOSTILE: 1.0, "train/loss": HOSTILE}) + "\n")
    check_commands(alexplore)
    assert alexplore("runs", "export", "run", "--output", str(tmp_path / "out.csv")).returncode == 0
    check_inert((tmp_path / "out.csv").read_text())


def test_the_end_of_the_console_of_a_crashed_run(alexplore: Alexplore, run: RunDirectory) -> None:
    run.status_file.write_text(json.dumps({"state": "running", "step": 1, "epoch": 0.5}))
    run.console_file.write_bytes(HOSTILE.encode(errors="surrogatepass") + b"\n\x9b2J\xff\n")
    assert "owned" in check_commands(alexplore, (("watch", "run"),))


def test_names_of_runs_and_of_what_is_in_them(
    alexplore: Alexplore, run: RunDirectory, config: RunConfig, tmp_path: Path
) -> None:
    (run.path / HOSTILE_NAME).write_text("")
    run.path.rename(tmp_path / "runs" / HOSTILE_NAME)
    commands = tuple(tuple(HOSTILE_NAME if word == "run" else word for word in command) for command in COMMANDS)
    check_commands(alexplore, (*commands, ("show", "nothing"), ("compare", "other", "x"), ("remove", HOSTILE_NAME)))
    check_commands(alexplore, (("remove", "--yes", HOSTILE_NAME),))


def test_presets(alexplore: Alexplore, tmp_path: Path) -> None:
    folder = user_folder()
    folder.mkdir(parents=True)
    escaped = json.dumps(HOSTILE.replace("\ud800", ""), ensure_ascii=True).replace("\\u007f", "\\u007F")
    text = (
        TINY_PRESET.replace('"A tiny network"', escaped)
        + f'\n[[published]]\nquantity = "top1_error"\nvalue = 1\nnote = {escaped}\n'
    )
    text = f"source = {escaped}\ndescription = {escaped}\n{text}"
    path = folder / f"{HOSTILE_NAME}.toml"
    path.write_text(text)
    broken = tmp_path / "broken.toml"
    broken.write_text(text.replace("conv2d", "conv9d").replace("[training]", f"[training]\n{escaped} = 1"))
    name = path.stem
    for command in (
        ("presets",), ("presets", name), ("presets", name, "--path"), ("presets", "--check", str(path)),
        ("presets", "--check", str(broken)), ("shapes", "-p", name), ("shapes", "-p", str(path), "--json"),
        ("shapes", "-p", name, "--markdown"), ("shapes", "-p", name, "--csv"), ("shapes", "-p", name, "--explain"),
        ("diff", name, "paper"), ("diff", name, "paper", "--json"), ("export", "-p", name, "--to", "pytorch"),
        ("export", "-p", name, "--to", "keras"), ("export", "-p", name, "--to", "json"),
        ("export", "-p", name, "--to", "mermaid"), ("shapes", "-p", f"{name}x"), ("train", "-p", str(broken)),
    ):  # fmt: skip
        for columns in (None, 100):
            result = alexplore(*command, columns=columns)
            check_inert(result.stdout)
            check_inert(result.stderr)
            assert result.stdout + result.stderr
