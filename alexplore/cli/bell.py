"""The bell and the notifications of a command that follows a run."""

from __future__ import annotations

import sys
from contextlib import suppress

from alexplore.cli.calls import Calls
from alexplore.core.terminal_notice import notice
from alexplore.runs.occasions import OccasionWatch
from alexplore.runs.summary import Summary
from alexplore.tui.preferences import PreferencesStore, preferences_file


class Bell:
    """Calls the person at the terminal of stderr, if it is one, as the preferences say."""

    def __init__(self, calls: Calls | None = None) -> None:
        """`calls` are those of the command that starts the run; None for one that only watches it."""
        preferences = PreferencesStore(preferences_file()).values
        self._stream = sys.stderr  # kept before a live display replaces it by a stream that makes everything inert
        self._way = preferences.notify if self._stream is not None and self._stream.isatty() else "off"
        self._occasions = preferences.notify_on if calls is None or calls.occasions is None else calls.occasions
        self._watch = OccasionWatch(from_start=calls is not None)

    def look(self, summary: Summary) -> None:
        """Call the person if one of the occasions has occurred in the run."""
        for occasion in self._watch.look(summary):
            if occasion.kind in self._occasions and (sequence := notice(self._way, occasion.text)):
                with suppress(OSError):
                    self._stream.write(sequence)
                    self._stream.flush()
