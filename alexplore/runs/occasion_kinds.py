"""The occasions at which a person is called; how they are found is in `occasions.py`."""

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
"""Every occasion, with what it means."""

USUAL = tuple(kind for kind in OCCASIONS if kind != "best")
"""The occasions that count where none are named: a new best comes with almost every early epoch."""


def read_occasions(names: Sequence[str]) -> tuple[str, ...]:
    """Return the occasions of some names, which are written as on a command line.

    Raises:
        SettingError: one is unknown.
    """
    for name in names:
        if name not in OCCASIONS:
            raise SettingError(f"notify: unknown {name!r}{nearest(name, OCCASIONS)} Allowed: {', '.join(OCCASIONS)}")
    return tuple(names)
