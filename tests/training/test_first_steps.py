"""What the status says while a device prepares its first steps."""

from __future__ import annotations

import pytest
import torch

from alexplore.runs.directory import RunDirectory
from alexplore.runs.status import Status
from alexplore.training import loop
from alexplore.training.hardware import first_steps_text
from alexplore.training.run_writer import RunWriter
from tests.support.training import train_here
from tests.training.conftest import MakeRun


def test_only_a_cpu_has_nothing_to_compile() -> None:
    assert first_steps_text(torch.device("cpu")) is None
    assert all("kernels" in str(first_steps_text(torch.device(name))) for name in ("cuda", "mps"))


@pytest.mark.parametrize("activity", [None, "compiling"])
def test_the_status_says_so_until_the_first_metrics(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, activity: str | None
) -> None:
    run: RunDirectory = make_run("first", epochs=1)
    seen: list[tuple[str, str | None, bool]] = []
    write = RunWriter._write

    def observed(self: RunWriter, status: Status) -> None:
        seen.append((status.state, status.reason, run.metrics_file.exists()))
        write(self, status)

    monkeypatch.setattr(RunWriter, "_write", observed)
    monkeypatch.setattr(loop, "first_steps_text", lambda device: activity)
    train_here(run)
    states = [state for state, _, _ in seen]
    reasons = [reason for state, reason, _ in seen if state == "starting"]
    if activity is None:
        assert reasons[-1] == "timing a matrix multiplication"
    else:
        assert reasons[-1] == activity
        assert seen[states.index("running")][2]  # there are metrics
