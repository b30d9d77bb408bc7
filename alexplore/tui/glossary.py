"""The terms in the app's help: those of docs/glossary.md, which is shipped with the package, and the quantities."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from alexplore.core.shipped_files import shipped_path
from alexplore.network.quantities import QUANTITIES

SECTIONS = ("Networks", "Runs", "Screens")
"""The sections of the glossary that users of the app need."""


class Word(NamedTuple):
    """A term and what it means."""

    term: str
    meaning: str


def glossary_file() -> Path:
    """Return the file of the glossary."""
    return shipped_path("tui/glossary.md", "docs/glossary.md")


@cache
def words() -> tuple[Word, ...]:
    """Return the terms of the glossary, and the titles of quantities that are not among them."""
    terms: list[Word] = []
    section = ""
    for line in glossary_file().read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if section in SECTIONS and line.startswith("| ") and cells[0] not in ("term", "mark"):
            terms.append(Word(_plain(cells[0]), _plain(cells[1].rstrip("|").strip())))
    known = {term.casefold() for term, _ in terms}
    terms += [Word(one.title, one.doc) for one in QUANTITIES if one.title.casefold() not in known]
    return tuple(terms)


def _plain(markdown: str) -> str:
    """Return the text without Markdown's code marks and links."""
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", markdown).replace("`", "")
