"""The kinds of occasions that ring the bell or run the command of `--on-end`. `occasions.py` detects them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alexplore.core.settings import SettingError, nearest

OCCASIONS: Mapping[str, str] = {
    "finished": "all epochs are trained",
    "stopped": "it was stopped after a checkpoint",
    "failed": "it ended with an error",
    "nonfinite": "it ended because a loss, gradient or weight is not finite",
    "crashed": "its process was killed, or the machine",
    "stalled": "it gave no sign of progress for two minutes",
    "best": "an epoch has a higher validation accuracy than all before",
}
"""Every kind of occasion, with its meaning."""

USUAL = tuple(kind for kind in OCCASIONS if kind != "best")
"""The occasions used if the user names none: without `best`, which almost every early epoch is."""


def read_occasions(names: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of occasions with the given names.

    Raises:
        SettingError: a name is unknown.
    """
    for name in names:
        if name not in OCCASIONS:
            raise SettingError(f"notify: unknown {name!r}{nearest(name, OCCASIONS)} Allowed: {', '.join(OCCASIONS)}")
    return tuple(names)
