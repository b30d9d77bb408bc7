"""The launcher: ranks without heartbeats, and which of several failures is the reason."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from alexplore.runs.directory import RunDirectory
from alexplore.training.parallel import launcher
from alexplore.training.parallel.launched import HEARTBEAT, LAUNCHER, Launch, read_launch
from alexplore.training.parallel.launcher import HEARTBEAT_TIMEOUT, STARTUP_TIMEOUT, Rank
from tests.training.conftest import MakeRun


def process(code: int | None) -> subprocess.Popen[bytes]:
    """Return what looks like a process that has ended with a code, or still runs."""
    return cast("subprocess.Popen[bytes]", SimpleNamespace(poll=lambda: code, returncode=code))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, written = os.pipe()
    os.set_blocking(read, False)
    yield read, written
    os.close(read)
    os.close(written)


def test_a_rank_without_recent_heartbeat_hangs(pipe: tuple[int, int]) -> None:
    rank = Rank(1, process(None), pipe[0])

    def hangs(heartbeats: bytes, seconds: float) -> bool:
        os.write(pipe[1], heartbeats)
        rank.read_heartbeats(seconds)
        return rank.hangs

    assert not hangs(b"", STARTUP_TIMEOUT - 1)  # it may still import torch
    assert not hangs(b"..", 1)
    assert not hangs(b"", HEARTBEAT_TIMEOUT)
    assert hangs(b"", 1)
    assert not hangs(b".", 1)


def test_a_rank_without_any_heartbeat_hangs(pipe: tuple[int, int]) -> None:
    rank = Rank(0, process(None), pipe[0])
    rank.read_heartbeats(STARTUP_TIMEOUT + 1)
    assert rank.hangs


@pytest.mark.parametrize(
    ("codes", "printed", "reason"),
    [
        ((1, -9), "error: rank 0: of another one\n", "rank 1 ended with signal 9"),
        ((1, 1), "error: rank 1: no images\n", "rank 1: no images"),
        ((None, 1), "nothing\n", "rank 1 ended with exit code 1"),
    ],
)
def test_the_reason_is_the_first_ones(
    make_run: MakeRun, codes: tuple[int | None, ...], printed: str, reason: str
) -> None:
    run: RunDirectory = make_run()
    earlier = "error: rank 1: of an earlier attempt\n"
    run.console_file.write_text(earlier + printed)
    ranks = [Rank(number, process(code), 0) for number, code in enumerate(codes)]
    assert launcher._reason(run, ranks, len(earlier)) == reason


@pytest.mark.parametrize(
    ("codes", "waits"),
    [((None, 1), True), ((None, -signal.SIGABRT), True), ((None, -signal.SIGKILL), False), ((1, 1), False)],
)
def test_a_killed_rank_is_the_reason_whatever_the_others_would_report(
    codes: tuple[int | None, ...], waits: bool
) -> None:
    ranks = [Rank(number, process(code), 0) for number, code in enumerate(codes)]
    assert launcher._may_report(ranks) == waits


def test_a_rank_knows_its_launcher() -> None:
    assert read_launch({}) is None
    assert read_launch({LAUNCHER: "1", HEARTBEAT: "5"}) == Launch(1, 5)
