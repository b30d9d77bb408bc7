"""Collective operations between the ranks of one machine, through memory that they share.

A rank copies its values into shared memory, sends a byte to each of the others, and then reads what they have copied.
Gloo sends the values through sockets, by threads that wait for a processor while the ranks compute. It is used where
memory can't be shared: between machines, on systems other than Linux, and for many ranks.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from alexplore.core.cpu_count import processors
from alexplore.training.errors import ANOTHER_RANK, RankError

MOST_RANKS = 8
"""With more ranks gloo is used: here every rank reads the values of all others, in gloo's ring those of two."""

BLOCK_BYTES = 2**20
"""Size of the parts in which a tensor is exchanged, which fit into a processor's cache."""

BLOCKS = 2
"""Blocks of each rank, used in turn: when a rank writes a block again, all have met since, and so have read it."""

SPIN_SECONDS = 0.005
"""How long a rank polls for another one before it sleeps.

Linux wakes a sleeping process on its waker's processor, where the two would take turns. With more ranks than
processors a rank sleeps at once, so that another one can compute."""

CONNECT_SECONDS = 60.0

COMBINE: Mapping[dist.ReduceOp.RedOpType, Callable[..., Tensor]] = {
    dist.ReduceOp.SUM: torch.add,
    dist.ReduceOp.MAX: torch.maximum,
}
"""The operations of `all_reduce`."""


class SharedMemory:
    """Collective operations of the ranks that have mapped the same memory. All ranks must call them together."""

    def __init__(self, rank: int, memory: mmap.mmap, peers: Sequence[socket.socket]) -> None:
        """`memory` has room for `BLOCKS` blocks of each rank, and `peers` are connections to the other ranks."""
        self._rank, self._size, self._peers = rank, len(peers) + 1, peers
        self._blocks = torch.frombuffer(memory, dtype=torch.uint8).view(BLOCKS, self._size, BLOCK_BYTES)
        self._turn = 0
        self._spin_seconds = SPIN_SECONDS if self._size <= processors() else 0.0

    def all_reduce(self, values: Tensor, op: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> None:
        """Replace a contiguous tensor by its sum over the ranks, or its maximum: the same bits on all of them.

        Raises:
            RankError: another rank has ended.
        """
        combine = COMBINE[op]
        for block in self._split(values):
            first, second, *others = self._exchange(block)
            combine(first, second, out=block)
            for other in others:
                combine(block, other, out=block)

    def all_gather(self, parts: Sequence[Tensor], own: Tensor) -> None:
        """Write the contiguous tensors `own` of all ranks into `parts`.

        Raises:
            RankError: another rank has ended.
        """
        for own_block, *blocks in zip(self._split(own), *map(self._split, parts), strict=True):
            for block, values in zip(blocks, self._exchange(own_block), strict=True):
                block.copy_(values)

    def _split(self, values: Tensor) -> list[Tensor]:
        return list(torch.split(values.view(-1), BLOCK_BYTES // values.element_size()))

    def _exchange(self, values: Tensor) -> list[Tensor]:
        """Return the values of all ranks, in shared memory, which they overwrite after the next exchange."""
        size = values.numel() * values.element_size()
        blocks = [block[:size].view(values.dtype) for block in self._blocks[self._turn]]
        blocks[self._rank].copy_(values)
        self._meet()
        self._turn = (self._turn + 1) % BLOCKS
        return blocks

    def _meet(self) -> None:
        """Wait until all ranks have called this."""
        try:
            for peer in self._peers:
                peer.sendall(b"\0")
            gone = not all(_receive(peer, self._spin_seconds) for peer in self._peers)
        except OSError:
            gone = True
        if gone:
            raise RankError(ANOTHER_RANK)


def _receive(peer: socket.socket, spin_seconds: float) -> bytes:
    """Return the next byte from a rank; nothing if it has ended. Sleep only after `spin_seconds`."""
    deadline = time.monotonic() + spin_seconds
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            return peer.recv(1, socket.MSG_DONTWAIT)
    return peer.recv(1)


def share_memory(rank: int, size: int) -> SharedMemory | None:
    """Return memory shared by all ranks, which must be on one machine; None on each of them if that is not possible.

    All ranks must call it together, after they have joined a process group.
    """
    if size > MOST_RANKS:
        return None
    listener = _listen()
    addresses: list[Any] = [None] * size
    dist.all_gather_object(addresses, listener and listener.getsockname())
    shared = None
    if listener and all(addresses):
        with suppress(OSError):
            shared = _connect(rank, listener, addresses)
    possible = torch.tensor([shared is not None], dtype=torch.int64)
    dist.all_reduce(possible, dist.ReduceOp.MIN)
    return shared if possible else None


def _listen() -> socket.socket | None:
    """Return a socket for the other ranks to connect to; its address is not a file. None if there are no such sockets.

    Only Linux has them, and memory without a file.
    """
    if sys.platform != "linux":
        return None
    try:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"\0alexplore-{uuid.uuid4().hex}")
        listener.listen(MOST_RANKS)
        listener.settimeout(CONNECT_SECONDS)
    except OSError:
        return None
    return listener


def _connect(rank: int, listener: socket.socket, addresses: Sequence[str]) -> SharedMemory:
    """Connect to all other ranks, and share the memory that rank 0 makes.

    Raises:
        OSError: memory or a connection can't be made; the other ranks raise it, too.
    """
    size = len(addresses)
    peers: dict[int, socket.socket] = {}
    with ExitStack() as opened:
        opened.enter_context(listener)
        for other in range(rank):
            peers[other] = opened.enter_context(socket.socket(socket.AF_UNIX))
            peers[other].settimeout(CONNECT_SECONDS)
            peers[other].connect(addresses[other])
            peers[other].sendall(bytes([rank]))
        while len(peers) < size - 1:
            peer, _ = listener.accept()
            if _user(peer) == os.getuid():  # programs of other users can connect, too
                opened.enter_context(peer).settimeout(CONNECT_SECONDS)
                number = peer.recv(1)
                if not number:
                    raise ConnectionError("a rank has closed its connection")
                peers[number[0]] = peer
        memory = _make_memory(list(peers.values()), size) if rank == 0 else _receive_memory(peers[0])
        for peer in peers.values():
            peer.settimeout(None)  # a pause is not a failure
        opened.pop_all()
    listener.close()
    return SharedMemory(rank, memory, list(peers.values()))


def _user(peer: socket.socket) -> int:
    """Return the user of the process at the other end of a connection."""
    _, user, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(user)


def _make_memory(peers: Sequence[socket.socket], size: int) -> mmap.mmap:
    descriptor = os.memfd_create("alexplore")
    try:
        os.posix_fallocate(descriptor, 0, BLOCKS * size * BLOCK_BYTES)
        for peer in peers:
            socket.send_fds(peer, [b"\0"], [descriptor])
        return mmap.mmap(descriptor, 0)
    finally:
        os.close(descriptor)


def _receive_memory(first: socket.socket) -> mmap.mmap:
    _, descriptors, *_ = socket.recv_fds(first, 1, 1)
    if not descriptors:
        raise ConnectionError("rank 0 has no memory to share")
    try:
        return mmap.mmap(descriptors[0], 0)
    finally:
        os.close(descriptors[0])
