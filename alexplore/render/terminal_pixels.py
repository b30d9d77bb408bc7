"""Ask the terminal whether it draws pictures in pixels: once, before anything else reads from it."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

Protocol = Literal["kitty", "sixel"]

KITTY_QUESTION = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
"""Asks whether an image of one pixel could be drawn. Source: "Terminal graphics protocol", kitty's documentation."""

ATTRIBUTES_QUESTION = "\x1b[c"
"""Asks for the device attributes, which every terminal answers; 4 among them is Sixel. Source: VT340 manual, DA1."""

ATTRIBUTES = re.compile(r"\x1b\[\?([\d;]*)c")
KITTY_ANSWER = "\x1b_Gi=31;OK"
SIXEL = "4"

PATIENCE = 1.0
"""Seconds to wait for the answer, which takes as long as the connection to the terminal."""

MULTIPLEXERS = ("screen", "tmux")
"""Prefixes of $TERM inside programs that misread kitty's question as the title of a window."""


@dataclass(frozen=True)
class Pixels:
    """How a terminal draws pixels, and the size of its cells in pixels."""

    protocol: Protocol
    cell_width: int
    cell_height: int


@dataclass(frozen=True)
class PixelPicture:
    """A picture as escape sequences.

    `code` draws it with its upper left corner in the cell of the cursor, over `columns` × `lines` cells, and `removal`
    removes it. For Sixel it is empty: text that is written into the cells replaces the picture.
    """

    columns: int
    lines: int
    code: str
    removal: str = ""


def ask_terminal(environment: Mapping[str, str] = os.environ) -> Pixels | None:
    """Return how the terminal of stdin and stdout draws pixels; None if it can't.

    It is not asked, and None returned, without the package textual-image, with NO_COLOR, if the size of its cells is
    unknown, or if there is already input, which would be mixed up with its answer.
    """
    if find_spec("textual_image") is None or environment.get("NO_COLOR") or sys.platform == "win32":
        return None
    if any(stream is None or not stream.isatty() for stream in (sys.__stdin__, sys.__stdout__)):
        return None
    assert sys.__stdin__ is not None
    assert sys.__stdout__ is not None
    reading, writing = sys.__stdin__.fileno(), sys.__stdout__.fileno()
    cell = cell_size()
    if cell is None or select.select([reading], [], [], 0)[0]:
        return None
    inside_another = "TMUX" in environment or environment.get("TERM", "").startswith(MULTIPLEXERS)
    question = ATTRIBUTES_QUESTION if inside_another else KITTY_QUESTION + ATTRIBUTES_QUESTION
    answer = _answer(reading, writing, question)
    attributes = ATTRIBUTES.search(answer)
    if KITTY_ANSWER in answer:
        return Pixels("kitty", *cell)
    if attributes and SIXEL in attributes[1].split(";"):
        return Pixels("sixel", *cell)
    return None


def cell_size() -> tuple[int, int] | None:
    """Return the width and height in pixels of a cell of the terminal of stdout; None if they are unknown."""
    import fcntl
    import struct
    import termios

    try:
        descriptor = sys.__stdout__.fileno() if sys.__stdout__ else -1
        rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))
    except (OSError, ValueError):  # it is closed
        return None
    return (width // columns, height // rows) if rows and columns and width >= columns and height >= rows else None


def _answer(reading: int, writing: int, question: str) -> str:
    """Return the terminal's answer up to its attributes, the last question, or the part within `PATIENCE` seconds."""
    import termios
    import tty

    answer = b""
    with suppress(OSError, termios.error):
        before = termios.tcgetattr(reading)
        tty.setcbreak(reading, termios.TCSANOW)
        try:
            os.write(writing, question.encode("ascii"))
            deadline = time.monotonic() + PATIENCE
            while not ATTRIBUTES.search(answer.decode("latin-1")):
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([reading], [], [], left)[0]:
                    break
                some = os.read(reading, 1024)
                if not some:
                    break
                answer += some
        finally:
            termios.tcsetattr(reading, termios.TCSANOW, before)
    return answer.decode("latin-1")
