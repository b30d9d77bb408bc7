"""How samples are shared among ranks."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from alexplore.training.metrics import record_interval, recorded
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.randomness import epoch_order, seed_for
from tests.support.examples import examples


@examples(200)
@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 6))
def test_every_batch_is_shared_whole_and_evenly(count: int, batch: int, size: int) -> None:
    order = torch.randperm(count)
    ranks = [Ranks(rank, size) for rank in range(size)]
    shares = [list(torch.split(rank.share_of_order(order, batch), max(1, rank.share_size(batch)))) for rank in ranks]
    for start in range(0, count, batch):
        whole = order[start : start + batch]
        parts = [share.pop(0) if share else whole[:0] for share in shares]
        if all(rank.share_size(batch) for rank in ranks):
            assert torch.equal(torch.cat(parts), whole)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_towers_see_everything() -> None:
    order = torch.randperm(10)
    for rank in range(2):
        assert torch.equal(Ranks(rank, 2, towers=True).share_of_order(order, 4), order)


def test_order_depends_on_seed_and_epoch_alone() -> None:
    assert torch.equal(epoch_order(1, 2, 50), epoch_order(1, 2, 50))
    assert not torch.equal(epoch_order(1, 2, 50), epoch_order(1, 3, 50))
    assert not torch.equal(epoch_order(1, 2, 50), epoch_order(2, 2, 50))
    assert epoch_order(1, 2, 50).sort().values.tolist() == list(range(50))


def test_seeds_differ_by_purpose_and_position() -> None:
    seeds = [seed_for(s, p, a, b) for s in (0, 1) for p in ("images", "dropout") for a in range(5) for b in range(5)]
    assert len(set(seeds)) == len(seeds)
    assert seed_for(0, "x", 1, 11) != seed_for(0, "x", 11, 1)
    assert all(0 <= seed < 2**63 for seed in seeds)


@examples(100)
@given(st.integers(1, 10**9), st.integers(1, 512), st.integers(1, 20_000))
def test_lines_are_neither_too_many_nor_too_few(macs: int, batch: int, steps: int) -> None:
    interval = record_interval(macs, batch, steps)
    lines = [step for step in range(1, steps + 1) if recorded(step, interval, steps)]
    assert lines[0] == 1
    assert lines[-1] == steps
    assert len(lines) <= 1000 + 16
    assert len(lines) >= min(steps, 50)
