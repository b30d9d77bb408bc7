"""A preset's words are printed as they are, brackets and colons too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.networks import TINY_PRESET
from tests.support.processes import Alexplore


@pytest.mark.parametrize("command", [["shapes", "--preset", "odd.toml"], ["diff", "odd.toml", "lenet"]])
def test_titles_are_no_markup(command: list[str], tmp_path: Path, alexplore: Alexplore) -> None:
    odd = tmp_path / "odd.toml"
    odd.write_text(TINY_PRESET.replace("A tiny network", "[/b] [red] :smile:"))
    done = alexplore(*(str(odd) if word == "odd.toml" else word for word in command))
    assert done.returncode == 0, done.stderr
    assert "[/b] [red] :smile:" in done.stdout
