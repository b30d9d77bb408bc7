"""Pictures in a terminal's pixels: which terminals draw them, and what is written."""

from __future__ import annotations

import base64
import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from alexplore.cli.output import console as cli_console
from alexplore.core.picture import Picture
from alexplore.render import inside_views
from alexplore.render.inside_views import drawn
from alexplore.render.pixels import ENCODERS, in_pixels
from alexplore.render.terminal_pixels import ATTRIBUTES_QUESTION, KITTY_QUESTION, Pixels, Protocol, ask_terminal

pytest.importorskip("textual_image")

PICTURE = Picture(2, 3, 3, bytes(range(0, 252, 14)))
CELL = (10, 20)
SIXEL, KITTY = "\x1bP", "\x1b_G"
KITTY_ANSWERS, SIXEL_ANSWERS, NEITHER = "\x1b_Gi=31;OK\x1b\\\x1b[?62;c", "\x1b[?62;4;6c", "\x1b[?6c"


# Which terminals


@contextmanager
def terminal(
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    size: tuple[int, int, int, int] = (24, 80, 800, 480),
    typed: bytes = b"",
) -> Iterator[Callable[[], str]]:
    """Make stdin and stdout a terminal with `size` that answers; yield what returns the question."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size))
    if typed:
        os.write(master, typed)
    asked: list[bytes] = []

    def respond() -> None:
        while ATTRIBUTES_QUESTION.encode() not in b"".join(asked):
            asked.append(os.read(master, 1024))
        os.write(master, answer.encode())

    for name in ("__stdin__", "__stdout__"):
        monkeypatch.setattr(sys, name, SimpleNamespace(fileno=lambda: slave, isatty=lambda: True))
    responder = threading.Thread(target=respond, daemon=True)
    responder.start()
    try:
        yield lambda: b"".join(asked).decode()
    finally:
        os.write(slave, ATTRIBUTES_QUESTION.encode())  # ends the thread of a terminal that was not asked
        responder.join()
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize(
    ("answer", "environment", "expected"),
    [
        (KITTY_ANSWERS, {}, Pixels("kitty", *CELL)),
        (SIXEL_ANSWERS, {}, Pixels("sixel", *CELL)),
        (NEITHER, {}, None),
        (SIXEL_ANSWERS, {"TMUX": "/tmp/tmux,1,0", "TERM": "tmux-256color"}, Pixels("sixel", *CELL)),
    ],
)
def test_a_terminal_is_asked_once_what_it_draws(
    monkeypatch: pytest.MonkeyPatch, answer: str, environment: Mapping[str, str], expected: Pixels | None
) -> None:
    with terminal(monkeypatch, answer) as asked:
        assert ask_terminal(environment) == expected
        assert (KITTY_QUESTION in asked()) is ("TMUX" not in environment)  # tmux would take it for a title


@pytest.mark.parametrize(
    ("environment", "size", "typed"),
    [
        ({"NO_COLOR": "1"}, (24, 80, 800, 480), b""),
        ({}, (24, 80, 0, 0), b""),  # it does not say how large its cells are
        ({}, (24, 80, 800, 480), b"3\n"),  # a key that was pressed already is not the answer
    ],
)
def test_a_terminal_is_not_asked_where_the_answer_would_not_help(
    monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], size: tuple[int, int, int, int], typed: bytes
) -> None:
    with terminal(monkeypatch, KITTY_ANSWERS, size, typed) as asked:
        assert ask_terminal(environment) is None
        assert ATTRIBUTES_QUESTION not in asked()


def test_without_the_package_and_in_a_file_no_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask_terminal({}) is None  # pytest's stdin is no terminal
    with terminal(monkeypatch, KITTY_ANSWERS) as asked:
        monkeypatch.setattr("alexplore.render.terminal_pixels.find_spec", lambda _: None)
        assert ask_terminal({}) is None
        assert ATTRIBUTES_QUESTION not in asked()


# What is written


def decoded(code: str, protocol: Protocol) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the pixels (height, width, 3) of a code, read without what wrote it."""
    if protocol == "kitty":
        data = "".join(re.findall(r"\x1b_G[^;]*;([^\x1b]*)\x1b\\", code))
        return np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    return _decoded_sixel(code)


def _decoded_sixel(code: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the pixels of a code. Source: DEC, "VT330/VT340 Programmer Reference Manual", chapter 14."""
    found = re.search(r'\x1bP[\d;]*q"1;1;(\d+);(\d+)(.*)\x1b\\', code, re.DOTALL)
    assert found
    width, height = int(found[1]), int(found[2])
    pixels = np.zeros((height + 6, width, 3), np.uint8)
    colours: dict[str, tuple[int, ...]] = {}
    colour, x, top = "0", 0, 0
    for number, definition, times, sixel, control in re.findall(
        r"#(\d+)(;2;\d+;\d+;\d+)?|(?:!(\d+))?([?-~])|([$-])", found[3]
    ):
        if definition:  # does not select the colour in xterm
            colours[number] = tuple(round(int(part) * 255 / 100) for part in definition.split(";")[2:])
        elif number:
            colour = number
        elif control:
            x, top = 0, top + 6 * (control == "-")
        else:
            end = x + int(times or 1)
            for bit in range(6):
                if ord(sixel) - 63 >> bit & 1:
                    pixels[top + bit, x:end] = colours[colour]
            x = end
    return pixels[:height]


@pytest.mark.parametrize("protocol", ENCODERS)
def test_a_picture_is_enlarged_by_a_whole_factor_and_keeps_its_colours(protocol: Protocol) -> None:
    found = in_pixels(PICTURE, Pixels(protocol, *CELL), 4, 3)
    assert found
    assert (found.columns, found.lines) == (4, 2)  # 13 pixels each, 39×26 in cells of 10×20
    pixels = decoded(found.code, protocol)
    expected = np.arange(0, 252, 14, dtype=np.uint8).reshape(2, 3, 3).repeat(13, 0).repeat(13, 1)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= (
        0 if protocol == "kitty" else 8
    )  # Sixel has 256 colours in percents


@pytest.mark.parametrize("protocol", ENCODERS)
@pytest.mark.parametrize("most", [1500, 4000, 8000])
def test_a_picture_takes_no_more_bytes_than_it_may_or_is_left_to_half_blocks(protocol: Protocol, most: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24), np.uint8)
    for side in (4, 8, 12, 24):
        picture = Picture(side, side, 1, noise[:side, :side].tobytes())
        found = in_pixels(picture, Pixels(protocol, *CELL), 60, 20, most)
        assert side > 4 or found
        if found:
            assert len(found.code) <= most
            assert found.lines * CELL[1] >= 0.5 * min(24 * side, 20 * CELL[1]) - CELL[1]


def test_a_picture_for_kitty_is_removed_by_its_number() -> None:
    found = in_pixels(PICTURE, Pixels("kitty", *CELL), 4, 3, number=7)
    assert found
    assert "i=7," in found.code
    assert "i=7," in found.removal


def test_kitty_scales_a_picture_that_takes_too_many_bytes_in_full_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 48), np.uint8)
    found = in_pixels(Picture(24, 48, 1, noise.tobytes()), Pixels("kitty", *CELL), 60, 20, 2500)
    assert found
    assert (found.columns, found.lines) == (58, 14)  # 12 pixels each: 576×288 in cells of 10×20, rounded
    assert "c=58,r=14," in found.code
    assert decoded(found.code, "kitty").shape[1] < 576
    whole = in_pixels(Picture(24, 48, 1, noise.tobytes()), Pixels("kitty", *CELL), 60, 20)
    assert whole
    assert "c=" not in whole.code
    assert decoded(whole.code, "kitty").shape == (288, 576, 3)


def test_there_is_nothing_where_no_pixel_fits() -> None:
    assert in_pixels(Picture(100, 100, 1, bytes(10_000)), Pixels("kitty", *CELL), 4, 3) is None


# The command line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("protocol", "code"), [("sixel", SIXEL), ("kitty", KITTY), (None, "\x1b[48;2;")])
def test_a_terminal_with_pixels_gets_them_and_others_half_blocks(
    monkeypatch: pytest.MonkeyPatch, protocol: Protocol | None, code: str
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(inside_views, "terminal_pixels", lambda: Pixels(protocol, *CELL) if protocol else None)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    out = cli_console()
    for line in drawn(PICTURE, out):
        out.print(line)
    text = screen.getvalue()
    others = {SIXEL, KITTY, "\x1b[48;2;"} - {code}
    assert code in text
    assert not any(other in text for other in others)
