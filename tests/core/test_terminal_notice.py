"""What is written to a terminal to call a person."""

from __future__ import annotations

import pytest

from alexplore.core.terminal_notice import notice
from tests.support.hostile import HOSTILE


def test_ways() -> None:
    assert notice("off", "night-3 finished", {}) == ""
    assert notice("bell", "night-3 finished", {}) == "\x07"
    assert notice("osc", "a; b", {}) == "\x1b]9;a, b\x07\x1b]777;notify;alexplore;a, b\x07\x07"


def test_tmux_passes_it_on() -> None:
    """tmux's FAQ: DCS `tmux;`, the sequence with every ESC doubled, ST; the bell is tmux's own to handle."""
    assert notice("osc", "ok", {"TMUX": "/tmp/tmux-0/default,1,0"}) == (
        "\x1bPtmux;\x1b\x1b]9;ok\x07\x1b\\\x1bPtmux;\x1b\x1b]777;notify;alexplore;ok\x07\x1b\\\x07"
    )


def test_gnu_screen_passes_it_on() -> None:
    """Its manual, "Control Sequences": DCS outputs a string to the terminal without interpretation."""
    assert notice("osc", "ok", {"STY": "123.pts-0.host"}) == (
        "\x1bP\x1b]9;ok\x07\x1b\\\x1bP\x1b]777;notify;alexplore;ok\x07\x1b\\\x07"
    )


@pytest.mark.parametrize("environment", [{}, {"TMUX": "1"}, {"STY": "1"}])
def test_a_hostile_name_ends_no_sequence(environment: dict[str, str]) -> None:
    plain, hostile = notice("osc", "x", environment), notice("osc", HOSTILE, environment)
    for control in ("\x07", "\x1b", "\x9c", "\x9b", "\n"):
        assert hostile.count(control) == plain.count(control)
