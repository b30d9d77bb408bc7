"""What the list of presets shows, without the app."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.presets.library import shipped_folder, shipped_names
from alexplore.tui.preset_catalog import (
    FAMILIES,
    START_HERE,
    YOURS,
    PresetEntry,
    heading_text,
    list_entries,
    list_lines,
    read_entry,
)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's own presets."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "alexplore" / "presets"
    folder.mkdir(parents=True)
    return folder


def test_every_shipped_preset_is_listed_under_its_family(own: Path) -> None:
    entries = list_entries()
    assert {entry.name for entry in entries} == set(shipped_names())
    assert {entry.family for entry in entries} <= set(FAMILIES)
    assert START_HERE in shipped_names()
    lines = list(list_lines(entries))
    assert lines[0] == "alexnet"
    assert [line for line in lines if isinstance(line, str)] == [
        family for family in FAMILIES if any(entry.family == family for entry in entries)
    ]


def test_presets_of_ones_own_come_last_whatever_their_family(own: Path) -> None:
    (own / "mine.toml").write_text((shipped_folder() / "paper.toml").read_text())
    (own / "broken.toml").write_text("layers = 3")
    entries = list_entries()
    assert [(entry.name, entry.family) for entry in entries[-2:]] == [("broken", YOURS), ("mine", YOURS)]
    assert read_entry(entries[-2]).error
    assert read_entry(entries[-1]).params == 60_965_224


def test_an_entry_tells_size_and_what_training_takes(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    by_name = {entry.name: read_entry(entry) for entry in list_entries()}
    assert (by_name["paper"].params, by_name["paper"].need) == (60_965_224, "needs a folder")
    assert by_name["cifar10-relu"].need == "to fetch"
    cached = tmp_path / "cache" / "alexplore" / "cifar10"
    cached.mkdir(parents=True)
    (cached / "images.safetensors").touch()
    assert read_entry(by_name["cifar10-relu"]).need == "here"


def test_a_heading_tells_a_need_that_all_of_its_presets_share() -> None:
    path = Path("one.toml")
    alike = [PresetEntry(name, "alexnet", path, need="here") for name in ("a", "b")]
    assert heading_text("alexnet", alike) == ("AlexNet", "here")
    assert heading_text("alexnet", [*alike, PresetEntry("c", "alexnet", path, need="to fetch")]) == ("AlexNet", "")
    assert heading_text("unheard", []) == ("unheard", "")


def test_words_are_looked_for_in_name_family_title_and_need() -> None:
    entry = PresetEntry("fmnist-28", "fashion-mnist", Path("x"), title="AlexNet at 28×28", need="here")
    for words in ("28", "FASHION", "alexnet 28", "here fmnist", ""):
        assert entry.matches(words)
    assert not entry.matches("alexnet 29")
