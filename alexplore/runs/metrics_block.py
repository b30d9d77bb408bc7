"""Lines of metrics.jsonl as columns, which takes a fifth of the time of one `MetricsLine` a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from operator import lt
from typing import Any

from alexplore.core.settings import LARGEST
from alexplore.runs.lines import VERSION, read_number
from alexplore.runs.protocol import MetricsLine, read_metrics

Columns = tuple[Sequence[int], Sequence[float]]


@dataclass(frozen=True)
class MetricsBlock:
    """Consecutive lines of metrics.jsonl that `read_metrics` can read."""

    records: Sequence[Mapping[str, Any]]

    def lines(self) -> Iterator[MetricsLine]:
        """Yield the lines."""
        return (line for record in self.records if (line := read_metrics(record)))

    @cached_property
    def steps(self) -> Sequence[int]:
        """The step of each line."""
        return [record["step"] for record in self.records]

    @cached_property
    def epochs(self) -> Sequence[float]:
        """The epoch of each line, a fraction."""
        return self.column("epoch")[1]

    @cached_property
    def attempts(self) -> Sequence[int]:
        """The attempt that wrote each line."""
        return [record.get("attempt", 0) for record in self.records]

    @cached_property
    def times(self) -> Sequence[float]:
        """When each line was written, in seconds since 1970."""
        return [record.get("time", 0.0) for record in self.records]

    @cached_property
    def keys(self) -> Set[str]:
        """All keys of the lines."""
        return set().union(*self.records)

    def column(self, key: str) -> Columns:
        """Return the indices of the lines with a number under a key, and the numbers, finite or not."""
        indices: Sequence[int] = range(len(self.records))
        try:
            values = [record[key] for record in self.records]
        except KeyError:
            indices = [index for index, record in enumerate(self.records) if key in record]
            values = [self.records[index][key] for index in indices]
        if set(map(type, values)) <= {float}:
            return indices, values
        numbers = [
            (index, number)
            for index, value in zip(indices, values, strict=True)
            if (number := read_number(value)) is not None
        ]
        return [index for index, _ in numbers], [number for _, number in numbers]

    def deciding_lines(self) -> Iterator[MetricsLine]:
        """Yield the lines that are needed to find the last values.

        These are the last line with each key, and each line whose step may be lower than that of the line before, which
        a resumed run wrote. The line before the first is in another block.
        """
        if not self.records:
            return iter(())
        last = len(self.records) - 1
        chosen = {0} | {next(index for index in range(last, -1, -1) if key in self.records[index]) for key in self.keys}
        if not all(map(lt, self.steps, self.steps[1:])):
            chosen.update(index for index in range(1, last + 1) if self.steps[index] < self.steps[index - 1])
        return MetricsBlock([self.records[index] for index in sorted(chosen)]).lines()


def read_block(records: Sequence[Mapping[str, Any]]) -> MetricsBlock:
    """Return the lines of metrics.jsonl that `read_metrics` can read."""
    if _are_readable(records):
        return MetricsBlock(records)
    return MetricsBlock([record for record in records if read_metrics(record)])


def _are_readable(records: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether `read_metrics` can certainly read all records; testing them together is faster."""
    try:
        steps, epochs = [record["step"] for record in records], [record["epoch"] for record in records]
    except KeyError:
        return False
    if not records:
        return True
    versions = [record.get("v", VERSION) for record in records]
    return (
        set(map(type, steps)) == {int}
        and set(map(type, epochs)) <= {int, float}
        and min(steps) >= 0
        and max(steps) < 2**63
        and min(epochs) >= 0
        and max(epochs) <= LARGEST
        and isfinite(sum(epochs))  # min and max may miss a NaN, a sum does not
        and max(versions) <= VERSION
    )
