"""Ranks: which part of the work is this process's, and what all of them must agree on."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from alexplore.training.errors import RankError, UsageError

T = TypeVar("T")

MEETING = timedelta(minutes=10)
# A pause or a slow disk is no failure. A rank that is gone is: gloo notices at once, and where NCCL would wait, the
# launcher ends the others.
PATIENCE = timedelta(days=2)


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    In towers every rank sees every sample; otherwise each sees its share of a batch.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    towers: bool = False

    @property
    def data_rank(self) -> int:
        """Whose share of the samples this rank sees."""
        return 0 if self.towers else self.rank

    @property
    def data_size(self) -> int:
        """Into how many shares the samples are split."""
        return 1 if self.towers else self.size

    def share(self, count: int) -> slice:
        """This rank's part of `count` samples: the parts differ by one at most, the first ranks' being the larger."""
        each, over = divmod(count, self.data_size)
        start = self.data_rank * each + min(self.data_rank, over)
        return slice(start, start + self.share_size(count))

    def share_size(self, count: int) -> int:
        """How many samples this rank's part of `count` has."""
        each, over = divmod(count, self.data_size)
        return each + (self.data_rank < over)

    def share_of_order(self, order: Tensor, batch_size: int) -> Tensor:
        """This rank's samples of every batch of an epoch, one batch after the other."""
        whole = len(order) // batch_size * batch_size
        batches = order[:whole].view(-1, batch_size)[:, self.share(batch_size)]
        rest = order[whole:]
        return torch.cat((batches.flatten(), rest[self.share(len(rest))]))

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all samples of a tensor on the CPU. In towers all ranks saw the same ones, and one counts."""
        if self.towers and self.rank:
            values = torch.zeros_like(values)
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def largest(self, values: Tensor) -> Tensor:
        """The largest over the ranks, value by value."""
        if self.size > 1:
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values

    def slowest(self, seconds: list[float]) -> list[float]:
        """The largest of each over the ranks."""
        largest: list[float] = self.largest(torch.tensor(seconds, dtype=torch.float64)).tolist()
        return largest

    def tell(self, message: Any) -> Any:
        """What rank 0 says, on every rank."""
        messages = [message]
        if self.size > 1:
            dist.broadcast_object_list(messages, src=0)
        return messages[0]

    def agree(self, flag: Tensor) -> Tensor:
        """1 on every rank where it is 1 on any, without waiting; ranks that share gradients agree already."""
        if self.towers:
            dist.all_reduce(flag, dist.ReduceOp.MAX)
        return flag

    def union(self, values: dict[str, T]) -> dict[str, T]:
        """The entries of all ranks."""
        parts: list[dict[str, T]] = [values] * self.size
        if self.size > 1:
            dist.all_gather_object(parts, values)
        return {key: value for part in parts for key, value in part.items()}

    def first(self, action: Callable[[], T]) -> T:
        """Do something on rank 0, then on the others: what it downloads or builds is there for them."""
        if self.rank == 0:
            done = action()
            self.meet()
            return done
        self.meet()
        return action()

    def meet(self) -> None:
        """Wait for all ranks."""
        self.largest(torch.zeros(1))

    def device(self, kind: torch.device) -> torch.device:
        """This rank's device of a kind."""
        return torch.device("cuda", self.local_rank) if kind.type == "cuda" else kind

    def sharing_gradients(self, objective: nn.Module) -> nn.Module:
        """`objective` with its gradients averaged over the ranks as they are computed."""
        if self.data_size == 1:
            return objective
        # Buffers are the same on all ranks: see `batch_norm`.
        return DistributedDataParallel(objective, gradient_as_bucket_view=True, broadcast_buffers=False)


ALONE = Ranks()


def join(device: torch.device, *, towers: bool) -> Ranks:
    """Meet the other ranks, as torchrun's environment variables say, and connect to them.

    Raises:
        UsageError: this machine has no GPU for this rank.
        RankError: not all ranks came in time.
    """
    if os.environ.get("MASTER_ADDR") in ("127.0.0.1", "localhost"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback())  # host names often don't resolve
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))  # one rank a machine: some launchers leave it out
    gpu = None
    if device.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise UsageError(
                f"rank {os.environ['RANK']} is number {local_rank + 1} on this machine, which has "
                f"{torch.cuda.device_count()} GPUs: start as many ranks as GPUs"
            )
        gpu = torch.device("cuda", local_rank)
        torch.cuda.set_device(gpu)
    store, rank, size = next(rendezvous("env://", timeout=MEETING))
    fresh = PrefixStore(_meeting(store, rank, size), store)
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    dist.init_process_group(backend, store=fresh, rank=rank, world_size=size, timeout=PATIENCE, device_id=gpu)
    machines: list[Any] = [None] * size
    dist.all_gather_object(machines, (socket.gethostname(), uuid.getnode()))
    return Ranks(rank, size, local_rank, machines.count(machines[rank]), towers)


def _meeting(store: Store, rank: int, size: int) -> str:
    """A name for this meeting of ranks that no earlier one had; the same on all of them.

    After a restart, torchrun's store still holds what ranks that are gone have left in it, and a rank that is quick
    would try to reach them. So rank 0 answers every other rank under a name that only the living can know.
    """
    own = uuid.uuid4().hex
    deadline = time.monotonic() + MEETING.total_seconds()
    if rank > 0:
        store.set(f"hello/{rank}", own)
        meeting: str = store.get(f"welcome/{own}").decode()
        store.set(f"{meeting}/{rank}", "here")
        return meeting
    absent = set(range(1, size))
    while absent:
        for other in sorted(absent):
            if store.check([f"{own}/{other}"]):
                absent.remove(other)
            elif store.check([f"hello/{other}"]):
                store.set(f"welcome/{store.get(f'hello/{other}').decode()}", own)
        if time.monotonic() > deadline:
            raise RankError(f"ranks {', '.join(map(str, sorted(absent)))} did not come within {MEETING}")
        time.sleep(0.01)
    return own


def leave() -> None:
    """Disconnect from the other ranks."""
    if dist.is_initialized():
        dist.destroy_process_group()


def loopback() -> str:
    """The network interface by which processes of one machine reach each other."""
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in ("lo", "lo0") if name in names), names[0])


def end_with_parent(parent: int) -> None:
    """End this process within a second of its parent's end, however that came about."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
