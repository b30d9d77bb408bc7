"""Ranks: which part of the work is this process's, and what all of them must agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone by default.

    Under `towers`, every rank reads every sample; otherwise each reads its share of a batch.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    towers: bool = False

    @property
    def data_rank(self) -> int:
        """Whose share of the samples this rank reads."""
        return 0 if self.towers else self.rank

    @property
    def data_size(self) -> int:
        """Into how many shares the samples are split."""
        return 1 if self.towers else self.size

    def share(self, count: int) -> slice:
        """This rank's part of `count` samples: the parts differ by one at most, the first ranks' being the larger."""
        each, over = divmod(count, self.data_size)
        start = self.data_rank * each + min(self.data_rank, over)
        return slice(start, start + each + (self.data_rank < over))

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
        """The largest over the ranks."""
        if self.size > 1:
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values

    def tell(self, message: Any) -> Any:
        """What rank 0 says, on every rank."""
        messages = [message]
        if self.size > 1:
            dist.broadcast_object_list(messages, src=0)
        return messages[0]


ALONE = Ranks()
