"""Counts, bytes and durations as people read them."""

from __future__ import annotations

import re
import time

LONGEST = 1e10
"""Seconds, some three centuries."""


def short_count(count: float) -> str:
    """Return a count in four digits and a letter: 724.4M."""
    for divisor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= divisor * 0.99995:
            return f"{count / divisor:.1f}{letter}"
    return f"{count:g}"


def count_text(count: int, noun: str) -> str:
    """Return a number with its noun: `1 rank`, `2 ranks`, `1,000 images`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def bytes_text(count: int) -> str:
    """Return bytes in units of 1024: 233 MiB."""
    size = float(min(count, 10**300))
    for unit in UNITS:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == UNITS[0] or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{1024 * size:.3g} {UNITS[-1]}"


UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def cut(text: str, width: int) -> str:
    """Return a text in at most `width` characters; a longer one ends with an ellipsis, never with part of a number."""
    if len(text) <= width:
        return text
    return with_ellipsis(text[: width - 1]) if width > 0 else ""


def cut_middle(text: str, width: int) -> str:
    """Return a text in at most `width` characters, cut in the middle: for names, which differ at their ends."""
    if len(text) <= width:
        return text
    end = (width - 1) * 2 // 3
    return text[: width - 1 - end] + "…" + text[len(text) - end :]


def with_ellipsis(kept: str) -> str:
    """Return the beginning of a longer text with an ellipsis after it.

    A number at its end is left out, since nothing would show whether it is whole: `2…` may be 2 or 256.
    """
    words = LAST_NUMBER.sub("", kept)
    if words == kept:
        return f"{kept}…"
    return f"{words.rstrip()} …" if words.strip() else "…"


LAST_NUMBER = re.compile(r"(?<![\w.])(?<!\w-)[-+−]?\d[\d.,:×%/e+−-]*[kMGT]?$")
"""What may be a part of a number at the end of a text; the digits of a name, such as fmnist-28, are not."""


def shortened(text: str, most: int = 4096) -> str:
    """Return a text cut to a maximum length: texts in damaged files may have millions of characters."""
    return text if len(text) <= most else f"{text[:most]}…"


def clock_text(seconds: float) -> str:
    """Return the local time of day at `seconds` since 1970 as 14:02:31; blanks for a time that no clock shows."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(seconds))
    except (ValueError, OverflowError, OSError):  # not finite, or beyond the years that the system knows
        return " " * 8


def duration_text(seconds: float) -> str:
    """Return a duration as 1:02:03, 4:05 or 12.3 s; a dash for one that is not finite or longer than any training."""
    if not seconds < LONGEST:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def age_text(seconds: float) -> str:
    """Return an age in its largest unit: 12 s, 8 min, 3 h, 12 d."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
