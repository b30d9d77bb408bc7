"""Report results of a benchmark: print them, and write them to the file that `python -m benchmarks` reads."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from turns import Figure, Turns

VARIABLE = "ALEXPLORE_BENCHMARK_RESULTS"
"""The environment variable with the path of that file; nothing is written without it."""


@dataclass(frozen=True)
class Result:
    """A measured figure, such as a ratio of two times or images a second."""

    name: str
    figure: Figure
    unit: str = "times"
    format: str = ".2f"
    goal: str = ""
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Return the result as a line of text."""
        goal = f", goal {self.goal}" if self.goal else ""
        note = f"; {self.note}" if self.note else ""
        return f"{self.name}: {self.figure.text(self.format)} {self.unit}{goal}{note}"


def report(
    name: str,
    figure: Figure,
    unit: str = "times",
    format: str = ".2f",
    goal: str = "",
    turns: Turns | None = None,
    note: str = "",
) -> None:
    """Print a result, and add it to the file of results, with the `turns` that it was calculated from."""
    notes = "; ".join(filter(None, (note, turns.note() if turns else "")))
    result = Result(name, figure, unit, format, goal, notes, turns.to_dict() if turns else {})
    print(result.text(), flush=True)
    if path := os.environ.get(VARIABLE):
        with Path(path).open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")
