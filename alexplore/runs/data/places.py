"""Find the files of a data set in the first place that has all of them. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple


class Part(NamedTuple):
    """A place that has only some of the files."""

    place: Path
    missing: list[str]


def find_all(
    names: Sequence[str], places: Iterable[Path], suffixes: Sequence[str] = ("",)
) -> tuple[dict[str, Path], Part | None]:
    """Return the files of the first place that has all, by their names; or none, and the first place that has some.

    Each name may have one of the suffixes; the first that is there is taken.
    """
    part = None
    for place in places:
        found = {}
        for name in names:
            candidates = (place / f"{name}{suffix}" for suffix in suffixes)
            if (path := next(filter(Path.is_file, candidates), None)) is not None:
                found[name] = path
        if len(found) == len(names):
            return found, None
        if found and part is None:
            part = Part(place, [name for name in names if name not in found])
    return {}, part
