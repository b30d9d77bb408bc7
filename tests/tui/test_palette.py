"""Every theme that ships with Textual can be read: text 4.5 : 1, frames and marks 3 : 1 (WCAG 2.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from alexplore.presets.library import load_preset
from alexplore.tui.app import ExploreApp

TEXT = ("foreground", "faint", "good", "careful", "bad", "busy", *(f"series-{number}" for number in range(1, 7)))
MARKS = ("frame", "frame-focus", "series-1-faint")


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def colours(theme: str, tmp_path: Path) -> Mapping[str, str]:
    app = ExploreApp(load_preset("lenet"), tmp_path)
    app.theme = theme
    return app.get_css_variables()


@pytest.mark.parametrize("theme", [name for name, theme in BUILTIN_THEMES.items() if "ansi" not in name])
def test_every_colour_of_ours_can_be_read(theme: str, tmp_path: Path) -> None:
    ours = colours(theme, tmp_path)
    background = ours["background"]
    low = {name: contrast(ours[name], background) for name in TEXT if contrast(ours[name], background) < 4.5}
    low |= {name: contrast(ours[name], background) for name in MARKS if contrast(ours[name], background) < 3}
    assert not low
    assert contrast(ours["cursor-text"], ours["cursor"]) >= 4.5


@pytest.mark.parametrize("theme", [name for name, theme in BUILTIN_THEMES.items() if "ansi" not in name])
def test_every_grey_can_be_read_without_colours(theme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    ours = colours(theme, tmp_path)
    used = (*TEXT, *MARKS, "background", "cursor", "cursor-text")
    grey = {name: Color.parse(ours[name]).monochrome.hex for name in used}
    low = {name: value for name in TEXT if (value := contrast(grey[name], grey["background"])) < 4.5}
    low |= {name: value for name in MARKS if (value := contrast(grey[name], grey["background"])) < 3}
    assert not low
    assert contrast(grey["cursor-text"], grey["cursor"]) >= 4.5


@pytest.mark.parametrize("theme", [name for name in BUILTIN_THEMES if "ansi" in name])
def test_a_theme_of_the_terminals_colours_uses_only_those(theme: str, tmp_path: Path) -> None:
    ours = colours(theme, tmp_path)
    assert all(ours[name].startswith("ansi_") for name in (*TEXT[1:], *MARKS, "cursor", "cursor-text"))


def test_no_text_is_yellow_on_a_light_terminal(tmp_path: Path) -> None:
    """Yellow has a contrast of 1.7 to white in xterm's colours."""
    assert "ansi_yellow" in colours("ansi-dark", tmp_path).values()
    ours = colours("ansi-light", tmp_path)
    assert not [name for name in (*TEXT, *MARKS) if "yellow" in ours[name]]


def test_stylesheets_use_no_colour_that_may_be_unreadable() -> None:
    """Of a theme's own colours only the background and the foreground, which themes make for each other."""
    package = Path(ExploreApp.__module__.replace(".", "/")).parent
    allowed = {"background", "foreground"}
    on_it = "border-title-color", "border-subtitle-color"
    for path in [*package.rglob("*.tcss"), *package.rglob("*.py")]:
        for line in path.read_text().splitlines():
            if "color:" in line or "border" in line or "background:" in line:
                used = {word.strip(";,)").removeprefix("$") for word in line.split() if word.startswith("$")}
                if any(name in line for name in on_it):
                    assert used <= {"foreground", *TEXT}, (path, line)
                assert used <= allowed | set(TEXT) | set(MARKS) | {"cursor", "cursor-text"}, (path, line)


def test_no_two_stylesheets_style_the_same_id() -> None:
    """A style sheet holds for every screen once it was read, so another screen's rule would be taken as well."""
    seen: dict[str, str] = {}
    for path in (Path(ExploreApp.__module__.replace(".", "/")).parent / "screens").glob("*.tcss"):
        rules = re.sub(r"/\*.*?\*/|\{[^}]*\}", " ", path.read_text(), flags=re.DOTALL)
        for name in set(re.findall(r"#[a-z-]+", rules)):
            assert seen.setdefault(name, path.name) == path.name, (name, seen[name])
