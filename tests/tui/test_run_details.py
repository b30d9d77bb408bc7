"""What is told of one run."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from alexplore.presets.library import load_preset
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.listing import ListedRun, Listing
from alexplore.runs.notes import write_note
from alexplore.runs.status import Status, write_status
from alexplore.tui.run_details import detail_lines, headline, read_details, size_text, when_text
from tests.support.runs import finished_run


def facts(run: ListedRun) -> dict[str, str]:
    return {fact.label: fact.text for fact in detail_lines(run, read_details(run.summary))}


def test_a_finished_run(config: RunConfig, tmp_path: Path) -> None:
    run = finished_run(config, tmp_path, "alpha", 0.875)
    write_note(run, "good")
    told = facts(Listing().read([run])[0])
    assert told["state"].startswith("✓ finished · epoch 2.00/2 · ")
    assert told["best"] == "87.5% at epoch 2"
    assert told["recipe"] == "adam 0.005 constant · batch 128 · seed 0"
    assert told["data"] == "synthetic · 512 to train · 128 to validate"
    assert told["note"] == "good"
    assert "r resumes" not in told
    assert told["folder"].endswith("alpha")


def test_a_failed_run_says_why_and_from_where_it_resumes(tmp_path: Path) -> None:
    preset = load_preset("fmnist-28")
    recipe = replace(preset.recipe, epochs=3)
    run = create_run(RunConfig(preset.name, preset.network, recipe), tmp_path, "alpha")
    write_status(run, Status("failed", step=5, epoch=0.1, updated=time.time(), reason="no folder of images was named"))
    listed = Listing().read([run])[0]
    told = facts(listed)
    assert told["state"].endswith(": no folder of images was named")
    assert told["r resumes"] == "from the start: it has no checkpoint yet (5 steps again)"
    assert told["≠ preset"] == f"epochs 3 ({preset.recipe.epochs})"
    assert headline(listed).text == "✗ alpha: no folder of images was named"
    assert headline(listed).state == "failed"


def test_what_a_deletion_takes_with_it(config: RunConfig, tmp_path: Path) -> None:
    run = finished_run(config, tmp_path, "alpha", 0.875)
    assert size_text(Listing().read([run])[0].summary, 3 * 1024**2) == "3.0 MiB · 2.00/2 epochs · best 87.5%"


def test_a_damaged_run_has_what_can_be_told(config: RunConfig, tmp_path: Path) -> None:
    run = create_run(config, tmp_path, "alpha")
    run.config_file.write_text("{")
    told = facts(Listing().read([run])[0])
    assert "recipe" not in told
    assert "size" in told


def test_times() -> None:
    assert len(when_text(time.time())) == 5
    assert when_text(0.0).startswith(("1970", "1969"))
    assert when_text(1e300) == "–"
