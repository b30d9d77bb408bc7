"""Calling the person at a terminal: the bell, and the notifications that terminals show outside their window."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from alexplore.core.inert import inert_line

BELL = "\a"
WAYS = ("bell", "osc", "off")
"""`osc` sends a notification and the bell: a terminal that knows no notifications ignores them."""

LONGEST = 200  # characters of a message


def notice(way: str, message: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return what to write to a terminal to call a person in one of `WAYS`.

    OSC 9 is understood by iTerm2, kitty, WezTerm, Windows Terminal and ConEmu; OSC 777 by rxvt-unicode, foot, VTE and
    Ghostty. Inside tmux and GNU screen they are wrapped so that these pass them on, which in tmux the option
    `allow-passthrough` must allow.
    Sources: iTerm2, "Proprietary Escape Codes"; tmux(1), `allow-passthrough`; screen(1), "Control Sequences", DCS.
    """
    if way == "off":
        return ""
    if way == "bell":
        return BELL
    text = inert_line(message)[:LONGEST].replace(";", ",")
    sequences = f"\x1b]9;{text}{BELL}", f"\x1b]777;notify;alexplore;{text}{BELL}"
    wrap = next((wrap for variable, wrap in WRAPPINGS.items() if variable in environment), str)
    return "".join(map(wrap, sequences)) + BELL


def through_tmux(sequence: str) -> str:
    """Return a control sequence in tmux's wrapping, in which every ESC is doubled."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def through_screen(sequence: str) -> str:
    """Return a control sequence in GNU screen's wrapping, which must not contain ST."""
    return f"\x1bP{sequence}\x1b\\"


WRAPPINGS: Mapping[str, Callable[[str], str]] = {"TMUX": through_tmux, "STY": through_screen}
"""What wraps a sequence, by the environment variable that is set inside the program."""
