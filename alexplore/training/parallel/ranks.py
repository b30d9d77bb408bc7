"""Ranks: this process's share of the work, and the collective operations between ranks."""

from __future__ import annotations

import os
import socket
import time
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented, but not in its __all__
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from alexplore.training.collectives import all_reduce, average_bucket, use_memory, uses_memory
from alexplore.training.errors import RankError, UsageError
from alexplore.training.parallel.launched import read_launch
from alexplore.training.shared_memory import share_memory

T = TypeVar("T")

SMALL_BYTES = 16 * 2**20
"""Gradients of up to so many bytes are exchanged through shared memory, where ranks wait for each other.

Gloo takes longer, but exchanges a bucket while the backward pass goes on. An exchange of the 244 MB of `torchvision`
takes 1 % of a step by gloo and 5 % through memory, one of the 0.9 MB of `fmnist-28` 25 % and 4 %.
"""

JOIN_TIMEOUT = timedelta(minutes=10)

COLLECTIVE_TIMEOUT = timedelta(days=2)
"""It is long because a pause or a slow disk is not a failure. If a rank ends, gloo raises an error at once; NCCL waits,
but the launcher ends the other ranks, also if one hangs."""


@dataclass(frozen=True)
class Ranks:
    """The number of this process among those that train together.

    With `towers` every rank reads every sample, otherwise its share of each batch.
    """

    rank: int = 0
    size: int = 1

    local_rank: int = 0
    """Number of this rank on its machine."""

    local_size: int = 1
    """Ranks on this machine."""

    towers: bool = False

    @property
    def data_rank(self) -> int:
        """The number of this rank's share of the samples."""
        return 0 if self.towers else self.rank

    @property
    def data_size(self) -> int:
        """The number of shares that the samples are split into."""
        return 1 if self.towers else self.size

    def share(self, count: int) -> slice:
        """Return this rank's share of `count` samples. Sizes differ by at most one; larger shares come first."""
        each, over = divmod(count, self.data_size)
        start = self.data_rank * each + min(self.data_rank, over)
        return slice(start, start + self.share_size(count))

    def share_size(self, count: int) -> int:
        """Return the size of this rank's share of `count` samples."""
        each, over = divmod(count, self.data_size)
        return each + (self.data_rank < over)

    def share_of_order(self, order: Tensor, batch_size: int) -> Tensor:
        """Return this rank's share of every batch of an epoch, concatenated."""
        whole = len(order) // batch_size * batch_size
        batches = order[:whole].view(-1, batch_size)[:, self.share(batch_size)]
        rest = order[whole:]
        return torch.cat((batches.flatten(), rest[self.share(len(rest))]))

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor on the CPU over all ranks; for towers, rank 0's. `values` may be overwritten."""
        if self.towers and self.rank:
            values = torch.zeros_like(values)
        return self.total(values)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over all ranks, and over towers, of a tensor on the CPU, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def max(self, values: Tensor) -> Tensor:
        """Return the largest over the ranks of each value of a tensor on the CPU, in place."""
        if self.size > 1:
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values

    def slowest(self, seconds: list[float]) -> list[float]:
        """Return the largest over the ranks of each value."""
        largest: list[float] = self.max(torch.tensor(seconds, dtype=torch.float64)).tolist()
        return largest

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value."""
        values = [value]
        if self.size > 1:
            dist.broadcast_object_list(values, src=0)
        return values[0]

    def agree(self, flags: Tensor) -> Tensor:
        """Return flags on the device, each 1 if it is 1 on any rank, in place and without waiting for the device.

        This is for towers; ranks that share gradients have equal flags.
        """
        if self.towers:
            all_reduce(flags, dist.ReduceOp.MAX)
        return flags

    def merge(self, values: dict[str, T]) -> dict[str, T]:
        """Return the entries of all ranks."""
        parts: list[dict[str, T]] = [values] * self.size
        if self.size > 1:
            dist.all_gather_object(parts, values)
        return {key: value for part in parts for key, value in part.items()}

    def first_then_others(self, action: Callable[[], T]) -> T:
        """Do an action on rank 0 and then on the others, which find the files that rank 0 has downloaded or written."""
        if self.rank == 0:
            result = action()
            self.barrier()
            return result
        self.barrier()
        return action()

    def barrier(self) -> None:
        """Wait for all ranks."""
        self.max(torch.zeros(1))

    def device(self, kind: torch.device) -> torch.device:
        """Return this rank's device of a type: its own GPU, or the CPU."""
        return torch.device("cuda", self.local_rank) if kind.type == "cuda" else kind

    def average_gradients(self, objective: nn.Module) -> nn.Module:
        """Return a wrapper of a module that averages gradients over the ranks during the backward pass."""
        if self.data_size == 1:
            return objective
        with warnings.catch_warnings():
            # PyTorch 2.14 asks for `forward_sync_buffers` in place of `broadcast_buffers`; 2.11 does not know it.
            warnings.simplefilter("ignore", FutureWarning)
            # Buffers are equal on all ranks already: see `SharedBatchNorm`.
            averaging = DistributedDataParallel(objective, gradient_as_bucket_view=True, broadcast_buffers=False)
        gradient_bytes = sum(p.numel() * p.element_size() for p in objective.parameters() if p.requires_grad)
        if uses_memory() and gradient_bytes <= SMALL_BYTES:
            # A lambda, because PyTorch refuses hooks whose annotations are not evaluated.
            averaging.register_comm_hook(None, lambda _, bucket: average_bucket(bucket))
        return averaging


SINGLE_RANK = Ranks()
"""A process that trains alone."""


def join(device: torch.device, *, towers: bool) -> Ranks:
    """Connect to the other ranks by the environment variables of torchrun, which our own launcher sets too.

    Raises:
        UsageError: this machine has no GPU for this rank.
        RankError: not all ranks have connected within `JOIN_TIMEOUT`.
    """
    if os.environ.get("MASTER_ADDR") in ("127.0.0.1", "localhost"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback())  # host names often don't resolve
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))  # launchers with one rank a machine may leave it out
    gpu = None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {device.type}: several ranks train on CPUs or on CUDA's GPUs; use --device cpu")
    if device.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise UsageError(
                f"rank {os.environ['RANK']} is number {local_rank + 1} on this machine, which has "
                f"{torch.cuda.device_count()} GPUs: start as many ranks as GPUs"
            )
        gpu = torch.device("cuda", local_rank)
        torch.cuda.set_device(gpu)
    if read_launch():  # the launcher has a store
        rank, size, port = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"))
        store: Store = TCPStore(os.environ["MASTER_ADDR"], port, size, is_master=False, timeout=JOIN_TIMEOUT)
    else:
        store, rank, size = next(rendezvous("env://", timeout=JOIN_TIMEOUT))
    fresh = PrefixStore(_agree_on_prefix(store, rank, size), store)
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    dist.init_process_group(backend, store=fresh, rank=rank, world_size=size, timeout=COLLECTIVE_TIMEOUT, device_id=gpu)
    machines: list[Any] = [None] * size
    dist.all_gather_object(machines, (socket.gethostname(), uuid.getnode()))
    local_size = machines.count(machines[rank])
    if gpu is None and local_size == size:
        use_memory(share_memory(rank, size))
    return Ranks(rank, size, local_rank, local_size, towers)


def _agree_on_prefix(store: Store, rank: int, size: int) -> str:
    """Return a new prefix for the keys of this group of ranks in the store, the same on all ranks.

    After a restart, torchrun's store still contains the addresses of earlier ranks, and a fast rank would connect to
    them. So rank 0 answers every other rank under a key that only ranks of this group know.
    """
    own = uuid.uuid4().hex
    deadline = time.monotonic() + JOIN_TIMEOUT.total_seconds()
    if rank > 0:
        store.set(f"hello/{rank}", own)
        prefix: str = store.get(f"welcome/{own}").decode()
        store.set(f"{prefix}/{rank}", "here")
        return prefix
    absent = set(range(1, size))
    while absent:
        for other in sorted(absent):
            if store.check([f"{own}/{other}"]):
                absent.remove(other)
            elif store.check([f"hello/{other}"]):
                store.set(f"welcome/{store.get(f'hello/{other}').decode()}", own)
        if time.monotonic() > deadline:
            raise RankError(f"ranks {', '.join(map(str, sorted(absent)))} did not connect within {JOIN_TIMEOUT}")
        time.sleep(0.01)
    return own


def leave() -> None:
    """Disconnect from the other ranks."""
    use_memory(None)
    if dist.is_initialized():
        dist.destroy_process_group()


def loopback() -> str:
    """Return the name of the network interface for connections within this machine."""
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in ("lo", "lo0") if name in names), names[0])
