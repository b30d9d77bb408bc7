"""The files that the documents name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/glossary.md", "docs/reliability.md",
)  # fmt: skip
FILE = re.compile(r"`([\w./-]+\.(?:md|py|toml|tcss|svg))`|\]\(([^):#]+)\)")  # `folder/file.py`, [words](file.md)


def named_files(document: str) -> set[str]:
    """Return the files that a document names, without those whose NAME stands for any."""
    found = {code or link for code, link in FILE.findall((ROOT / document).read_text(encoding="utf-8"))}
    return {name for name in found if "NAME" not in name}


def exists(name: str, document: str) -> bool:
    """Return whether a name leads to a file from the root, the package or the document, or ends the path of one."""
    starts = (ROOT, ROOT / "alexplore", (ROOT / document).parent)
    return any((start / name).is_file() for start in starts) or any(
        any((ROOT / folder).rglob(name)) for folder in ("alexplore", "tests") if not name.startswith(".")
    )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_files_exist(document: str) -> None:
    assert not [name for name in named_files(document) if not exists(name, document)]


def test_there_are_names() -> None:
    assert {"CHANGELOG.md", "alexplore/runs/protocol.py", "tests/tui/test_snapshots.py"} <= named_files(
        "CONTRIBUTING.md"
    )
