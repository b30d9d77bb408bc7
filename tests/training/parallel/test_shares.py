"""How samples are shared among ranks."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from alexplore.training.parallel.ranks import Ranks
from tests.support.examples import examples


@examples(200)
@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 6))
def test_the_shares_of_a_batch_are_disjoint_complete_and_even(count: int, batch: int, size: int) -> None:
    order = torch.randperm(count)
    ranks = [Ranks(rank, size) for rank in range(size)]
    shares = [list(torch.split(rank.share_of_order(order, batch), max(1, rank.share_size(batch)))) for rank in ranks]
    for start in range(0, count, batch):
        whole = order[start : start + batch]
        parts = [share.pop(0) if share else whole[:0] for share in shares]
        if all(rank.share_size(batch) for rank in ranks):
            assert torch.equal(torch.cat(parts), whole)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_each_tower_sees_all_samples() -> None:
    order = torch.randperm(10)
    for rank in range(2):
        assert torch.equal(Ranks(rank, 2, towers=True).share_of_order(order, 4), order)
