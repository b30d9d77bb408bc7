"""Where the time of a step of several ranks goes: one that is slow, and an exchange that is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alexplore.runs.step_time import step_time
from alexplore.runs.watch import Watch
from tests.support.processes import exit_code, start_worker
from tests.training.conftest import MakeRun
from tests.training.parallel.test_towers import PAPER

SITECUSTOMIZE = """
import os, sys, time

def slow(owner, name, caller=None):
    function = getattr(owner, name)
    def slowed(*arguments, **keywords):
        if caller in (None, sys._getframe(2).f_code.co_name):
            time.sleep(0.5)
        return function(*arguments, **keywords)
    setattr(owner, name, slowed)

if os.environ.get("SLOW") == "rank 1" and os.environ.get("RANK") == "1":
    from alexplore.training.data.preprocess import Preprocess
    slow(Preprocess, "draw")
if os.environ.get("SLOW") == "exchange" and "RANK" in os.environ:
    import torch.distributed
    slow(torch.distributed, "all_gather", caller="forward")
"""
"""Python runs this at the start of each process that has its folder on PYTHONPATH."""


def verdict(run_name: str, slow: str, make_run: MakeRun, tmp_path: Path, **recipe: object) -> str:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    run = make_run(run_name, epochs=1, **recipe)
    assert exit_code(start_worker(run, PYTHONPATH=path, SLOW=slow), run) == 0
    found = step_time(Watch(run).poll())
    assert found is not None
    return found.verdict


@pytest.mark.exhaustive
def test_a_slow_rank_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    """In the second step, PyTorch builds its buckets anew: there, the forward pass waits."""
    found = verdict("ranks", "rank 1", make_run, tmp_path, gpus=2, limit_train=128)
    assert found.startswith("slow rank")
    assert found.endswith("the slowest is rank 1")


@pytest.mark.exhaustive
def test_a_slow_exchange_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    recipe = {"network": PAPER, "parallel": "towers", "optimizer": "sgd", "batch_size": 8}
    found = verdict("towers", "exchange", make_run, tmp_path, limit_train=24, limit_val=6, **recipe)
    assert found.startswith("exchange-bound")
