"""Golden texts: exact output that a person has reviewed, and that no change may alter unnoticed.

They are the files in `tests/golden`. `pytest --update-golden` writes them anew; read what `git diff` shows then.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "golden"

Golden = Callable[[str, str], None]
"""Takes the name of a golden text and the text that must be in it."""


def update_golden(name: str, text: str) -> None:
    """Write a golden text."""
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def read_golden(name: str) -> str:
    """Return a golden text; an empty one if there is none yet."""
    path = FOLDER / name
    return path.read_bytes().decode() if path.is_file() else ""


def check_golden(name: str, text: str) -> None:
    """Fail the test, with the lines that differ, unless the text is exactly the golden one."""
    path = FOLDER / name
    if not path.is_file():
        pytest.fail(f"{path} does not exist: run pytest --update-golden, and read the file that it writes")
    expected = read_golden(name)
    if text != expected:
        lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), str(path), "now", lineterm="", n=1)
        pytest.fail("\n".join([*lines, "if this is as it should be: pytest --update-golden"]), pytrace=False)
