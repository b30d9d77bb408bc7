"""How many random examples a test tries."""

from __future__ import annotations

from hypothesis import settings

ALL = 100  # hypothesis's own number, for tests that give none


def examples(count: int) -> settings:
    """Return hypothesis's settings for a number of examples.

    `pytest --hypothesis-profile eighth` tries an eighth of them (`tests/conftest.py`).
    """
    return settings(max_examples=max(1, count * settings().max_examples // ALL))
