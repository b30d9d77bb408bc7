"""The pictures of the README show the app as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.picture import HERE, PICTURES, draw
from tests.support.waiting import PATIENCE


@pytest.mark.parametrize("name", PICTURES)
async def test_a_picture_shows_the_app_as_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    expected = (HERE / name).read_text(encoding="utf-8")
    drawn = await draw(name, tmp_path, expected=expected, seconds=PATIENCE)
    assert drawn == expected, f"docs/{name} is old: run `make picture`, and look at it"


def test_no_picture_is_left_that_nothing_draws() -> None:
    assert {path.name for path in HERE.glob("*.svg")} == set(PICTURES)


def test_every_picture_of_the_readme_is_drawn() -> None:
    text = (HERE.parent / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(docs/([^)]*\.svg)\)", text)) <= set(PICTURES)
