"""Counts, bytes and durations as people read them."""

from __future__ import annotations


def count_text(count: int) -> str:
    """Return a count with thousands' commas: 34,944; a dash for zero."""
    return f"{count:,}" if count else "–"


def short_count(count: float) -> str:
    """Return a count in four digits and a letter: 724.4M."""
    for divisor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= divisor * 0.99995:
            return f"{count / divisor:.1f}{letter}"
    return f"{count:g}"


def bytes_text(count: int) -> str:
    """Return bytes in units of 1024: 233 MiB."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def duration_text(seconds: float) -> str:
    """Return a duration as 1:02:03, 4:05 or 12.3 s."""
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
