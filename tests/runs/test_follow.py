"""What the commands about runs tell other programs."""

from __future__ import annotations

import json
from pathlib import Path

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.events import LineWriter
from alexplore.runs.status import Status, write_status
from tests.conftest import Alexplore


def test_a_run_that_has_ended_is_passed_on_to_its_last_line(
    alexplore: Alexplore, config: RunConfig, tmp_path: Path
) -> None:
    run = create_run(config, tmp_path / "runs", "long")
    with LineWriter(run.metrics_file, attempt=0) as metrics:
        for step in range(500):  # of 12 kB each: more than is read at a time
            metrics.append(step=step, **{f"metric {number}": float(number) for number in range(600)})
    write_status(run, Status("finished", step=500, epoch=2.0, updated=1.0))
    watched = alexplore("runs", "watch", "long", "--json")
    assert [json.loads(line)["step"] for line in watched.stdout.splitlines()] == list(range(500))
