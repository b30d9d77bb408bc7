"""Errors of exports."""

from __future__ import annotations

from alexplore.core.settings import SettingError


class ExportError(SettingError):
    """A network that can't be written in a format; the message says why."""
