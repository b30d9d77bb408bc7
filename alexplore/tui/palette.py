"""The colours of the app, made readable in every theme.

Many combinations of a theme's colours can't be read. Each colour of the app starts from one of the theme's and is moved
towards black or white until it has enough contrast (WCAG 2.1, 1.4.3 and 1.4.11: 4.5 for text, 3 for other elements).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.color import Color

TEXT_CONTRAST, FRAME_CONTRAST = 4.5, 3.0
STEP = 0.02  # share of the way to black or white that a colour is moved at a time


@dataclass(frozen=True)
class Shade:
    """A colour of the app: the theme's variable that it starts from; `mixed` is the share of background in it."""

    source: str
    contrast: float = TEXT_CONTRAST
    mixed: float = 0.0
    ansi: str = "ansi_default"  # the colour in themes that use the terminal's own colours
    ansi_light: str = ""  # the same on a light background, if another is more readable there


SHADES: Mapping[str, Shade] = {
    "faint": Shade("foreground", mixed=0.4),
    "frame": Shade("foreground", FRAME_CONTRAST, mixed=0.6),
    "frame-focus": Shade("primary", FRAME_CONTRAST, ansi="ansi_bright_blue"),
    "good": Shade("success", ansi="ansi_green"),
    "careful": Shade("warning", ansi="ansi_yellow", ansi_light="ansi_magenta"),
    "bad": Shade("error", ansi="ansi_red"),
    "busy": Shade("primary", ansi="ansi_bright_blue"),
    "series-1": Shade("primary", ansi="ansi_bright_blue"),
    "series-2": Shade("accent", ansi="ansi_magenta"),
    "series-3": Shade("success", ansi="ansi_green"),
    "series-4": Shade("error", ansi="ansi_red"),
    "series-5": Shade("warning", ansi="ansi_yellow", ansi_light="ansi_bright_red"),
    "series-6": Shade("secondary", ansi="ansi_cyan"),
    "series-1-faint": Shade("primary", FRAME_CONTRAST, mixed=0.5, ansi="ansi_blue"),
}
"""The colours by the names of their variables in the style sheets; they are made for the theme's background."""

SERIES = tuple(f"series-{number}" for number in range(1, 7))


def contrast(one: Color, other: Color) -> float:
    """Return the contrast of two colours, from 1 to 21 (WCAG 2.1, relative luminance)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(channel) for channel in colour.normalized)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def readable(colour: Color, background: Color, least: float) -> Color:
    """Return the colour nearest to `colour` that has a contrast of at least `least` to the background."""
    black, white = Color(0, 0, 0), Color(255, 255, 255)
    end = white if contrast(white, background) > contrast(black, background) else black
    share = 0.0
    while contrast(moved := colour.blend(end, share), background) < least and share < 1:
        share = min(1.0, share + STEP)
    return moved


def app_colours(theme: Mapping[str, str], *, light: bool = False, grey: bool = False) -> dict[str, str]:
    """Return the app's colours by name, for the variables of a dark or light theme.

    `grey` is for NO_COLOR: Textual then shows each colour as a grey, whose contrast differs from the colour's.
    """
    if theme["background"].startswith("ansi"):
        colours = {name: (light and shade.ansi_light) or shade.ansi for name, shade in SHADES.items()}
        return colours | {"cursor": "ansi_blue", "cursor-text": "ansi_bright_white"}

    def parse(name: str) -> Color:
        colour = Color.parse(theme[name])
        return colour.monochrome if grey else colour

    background = parse("background")
    colours = {}
    for name, shade in SHADES.items():
        start = parse(shade.source).blend(background, shade.mixed)
        colours[name] = readable(start, background, shade.contrast).hex
    cursor = parse("primary")
    text = readable(parse("foreground"), cursor, TEXT_CONTRAST)
    return colours | {"cursor": cursor.hex, "cursor-text": text.hex}
