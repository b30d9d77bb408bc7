"""Two machines that train together, each a network namespace of this one: cut off from each other, and brought back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from alexplore.runs.control import send_request, wait_for_answer
from alexplore.runs.directory import RunDirectory
from alexplore.runs.status import read_status
from tests.support.runs import events, steps_done, wait_for_steps, wait_for_worker
from tests.training.conftest import MakeRun

pytestmark = pytest.mark.faults

PORT = 29_400

FORGOTTEN_SECONDS = 20.0
"""After which torchrun counts a machine as gone: three times 5 s without a sign of life. Nothing shows it, and with one
that comes back sooner its own restart fails.
"""


@dataclass(frozen=True)
class Machine:
    """A network namespace with one network card, eth0."""

    namespace: str
    address: str

    def ip(self, *arguments: str) -> None:
        """Run `ip` inside."""
        subprocess.run(["ip", "-n", self.namespace, *arguments], check=True, capture_output=True)

    def unplug(self) -> None:
        """Cut it off: nothing arrives and nothing leaves."""
        self.ip("link", "set", "eth0", "down")

    def plug_in(self) -> None:
        """Connect it again."""
        self.ip("link", "set", "eth0", "up")

    def torchrun(self, run: RunDirectory, first: Machine) -> subprocess.Popen[bytes]:
        """Start torchrun with one rank, which meets the others at the first machine."""
        options = {
            "nnodes": 2, "nproc-per-node": 1, "max-restarts": 3, "rdzv-backend": "c10d", "rdzv-id": "machines",
            "rdzv-endpoint": f"{first.address}:{PORT}", "rdzv-conf": f"is_host={int(self == first)}",
            "local-addr": self.address,
        }  # fmt: skip
        command = [
            *("ip", "netns", "exec", self.namespace, sys.executable, "-m", "torch.distributed.run"),
            *(f"--{name}={value}" for name, value in options.items()),
            *("-m", "alexplore.training.worker", str(run.path)),
        ]
        environment = {
            **os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "eth0", "CUDA_VISIBLE_DEVICES": "",
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",  # else a machine that is back is not told where to meet
        }  # fmt: skip
        with run.console_file.open("ab") as console:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=environment,
                start_new_session=True,
            )


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    """Return two machines that are connected; skip where network namespaces can't be made."""
    mark = os.getpid()
    both = Machine(f"alexplore-{mark}-a", "10.213.77.1"), Machine(f"alexplore-{mark}-b", "10.213.77.2")
    if shutil.which("ip") is None:
        pytest.skip("needs the command ip")
    made: list[str] = []
    try:
        for machine in both:
            done = subprocess.run(
                ["ip", "netns", "add", machine.namespace], check=False, capture_output=True, text=True
            )
            if done.returncode:
                pytest.skip(f"network namespaces can't be made: {done.stderr.strip()}")
            made.append(machine.namespace)
        ends = [["eth0", "netns", machine.namespace] for machine in both]
        cable = ["ip", "link", "add", *ends[0], "type", "veth", "peer", "name", *ends[1]]
        done = subprocess.run(cable, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"virtual network cards can't be made: {done.stderr.strip()}")
        for machine in both:
            machine.ip("addr", "add", f"{machine.address}/24", "dev", "eth0")
            machine.ip("link", "set", "lo", "up")
            machine.plug_in()
        yield both
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def end(agent: subprocess.Popen[bytes]) -> None:
    """Kill a machine's processes, as when its power fails."""
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(agent.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()
    with suppress(ProcessLookupError):
        os.killpg(agent.pid, signal.SIGKILL)
    agent.wait()


def test_two_machines_are_cut_off_and_brought_back(make_run: MakeRun, machines: tuple[Machine, Machine]) -> None:
    first, second = machines
    run = make_run(epochs=100_000, checkpoint_minutes=1e-9)
    agents = [machine.torchrun(run, first) for machine in machines]
    try:
        wait_for_steps(run, 5)
        assert events(run, "start")[0]["ranks"] == 2

        second.unplug()  # a cable that is out for a moment: nothing is lost, and nothing starts again
        before = steps_done(run)
        second.plug_in()
        wait_for_steps(run, before + 5)
        assert len(events(run, "start")) == 1

        second.unplug()  # a machine whose power fails: the other one waits, and goes on when it is back
        end(agents[1])
        saved = steps_done(run)
        time.sleep(FORGOTTEN_SECONDS)
        second.plug_in()
        agents[1] = second.torchrun(run, first)
        wait_for_worker(run, lambda: len(events(run, "start")) == 2, "a restart")
        again = events(run, "start")[1]
        assert again["ranks"] == 2
        assert 0 < again["step"] <= saved + 1
        wait_for_steps(run, again["step"] + 3)

        assert wait_for_answer(run, send_request(run, "stop"), 120)
        wait_for_worker(run, lambda: read_status(run).state == "stopped", "its end")
    finally:
        for agent in agents:
            end(agent)


def test_the_machines_are_gone_afterwards() -> None:
    names = Path("/run/netns")
    left = [name.name for name in names.iterdir()] if names.is_dir() else []
    assert not [name for name in left if name.startswith(f"alexplore-{os.getpid()}")]
