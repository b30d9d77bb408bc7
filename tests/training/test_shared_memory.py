"""The collective operations through shared memory, in processes that are ranks, beside gloo's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

import pytest

from alexplore.training.parallel.ranks import loopback
from tests.support.waiting import PATIENCE

JOIN = """
import os, signal, sys, time
import torch
import torch.distributed as dist
from alexplore.core.process_exit import exit_process
from alexplore.training import shared_memory
from alexplore.training.errors import RankError

torch.set_num_threads(1)
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
dist.init_process_group("gloo")
"""

LEAVE = """
sys.stdout.flush()
exit_process(0)  # as a rank does: threads of gloo must not outlive the interpreter
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def run_ranks(size: int, code: str) -> list[tuple[int, str]]:
    """Run a program as several ranks that have joined a process group; return their exit codes and what they print."""
    processes = ranks(size, code)
    ended = [process.communicate(timeout=PATIENCE) for process in processes]
    return [(process.returncode, out + errors) for process, (out, errors) in zip(processes, ended, strict=True)]


def ranks(size: int, code: str) -> Sequence[subprocess.Popen[str]]:
    port = str(free_port())
    return [
        subprocess.Popen(
            [sys.executable, "-c", JOIN + code + LEAVE],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "RANK": str(rank),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "GLOO_SOCKET_IFNAME": loopback(),
            },
        )
        for rank in range(size)
    ]


COMPARE = """
memory = shared_memory.share_memory(rank, size)
draw = torch.Generator().manual_seed(rank)
block = shared_memory.BLOCK_BYTES // 4
for count in (0, 1, 7, block - 1, block, 3 * block + 5):
    for dtype in (torch.float32, torch.bfloat16, torch.float64, torch.int64):
        own = torch.randint(-40, 40, (count,), generator=draw).to(dtype)  # whose sums are exact
        for op in (dist.ReduceOp.SUM, dist.ReduceOp.MAX):
            found, expected = own.clone(), own.clone()
            memory.all_reduce(found, op)
            dist.all_reduce(expected, op)
            assert torch.equal(found, expected), (count, dtype, op)
        parts, wanted = ([torch.empty_like(own) for _ in range(size)] for _ in range(2))
        memory.all_gather(parts, own)
        dist.all_gather(wanted, own)
        assert all(torch.equal(one, other) for one, other in zip(parts, wanted))
# One after the other, with ranks that come late: nothing may be overwritten before all have read it.
for turn in range(300):
    if turn % 100 == 10 * rank:
        time.sleep(0.02)
    values = torch.full((1000,), float(turn * (rank + 1)))
    memory.all_reduce(values)
    assert (values == turn * size * (size + 1) / 2).all(), turn
same = [torch.empty(50_000) for _ in range(size)]
own = torch.randn(50_000, generator=draw)
memory.all_reduce(own)
dist.all_gather(same, own)
assert all(torch.equal(other, own) for other in same)  # the same bits on all ranks
print("done")
"""


@pytest.mark.heavy
@pytest.mark.skipif(sys.platform != "linux", reason="memory is shared on Linux only")
def test_the_results_are_those_of_gloo() -> None:
    assert run_ranks(3, COMPARE) == [(0, "done\n")] * 3


@pytest.mark.heavy
@pytest.mark.skipif(sys.platform != "linux", reason="memory is shared on Linux only")
def test_a_rank_whose_peer_was_killed_says_so() -> None:
    first, second = ranks(
        2,
        """
memory = shared_memory.share_memory(rank, size)
print("ready", flush=True)
try:
    while True:
        memory.all_reduce(torch.ones(10))
except RankError as error:
    print(error)
""",
    )
    assert first.stdout
    assert second.stdout
    assert [first.stdout.readline(), second.stdout.readline()] == ["ready\n"] * 2
    second.send_signal(signal.SIGKILL)
    out, errors = first.communicate(timeout=PATIENCE)
    assert (out, errors) == ("another rank ended before its work was done; the end of console.log says why\n", "")
    second.communicate(timeout=PATIENCE)


FAIL = """
from contextlib import nullcontext
from unittest.mock import patch
shared_memory.CONNECT_SECONDS = 5.0

def fail(*_):
    raise OSError

def attempt(where, target, value):
    with patch.object(*target, value) if rank in where else nullcontext():
        print(shared_memory.share_memory(rank, size))

attempt({0}, (shared_memory, "_listen"), lambda: None)
attempt({0}, (os, "posix_fallocate"), fail)
attempt({1}, (shared_memory, "_connect"), fail)
attempt({1}, (shared_memory.socket.socket, "sendall"), fail)  # after it has connected
attempt({0, 1}, (shared_memory, "MOST_RANKS"), 1)
attempt({}, (), None)
"""
"""Attempts to share memory that fail on one rank, or on both, and at last one that does not."""


@pytest.mark.heavy
@pytest.mark.skipif(sys.platform != "linux", reason="memory is shared on Linux only")
def test_no_rank_uses_memory_if_one_can_not() -> None:
    for code, out in run_ranks(2, FAIL):
        *failed, shared = out.splitlines()
        assert (code, failed) == (0, ["None"] * 5)
        assert "SharedMemory object" in shared
