"""The bell and the notifications of a command that follows a run."""

from __future__ import annotations

import sys
from contextlib import suppress

from alexplore.cli.notify_options import NotifyOptions
from alexplore.core.terminal_notice import notice
from alexplore.runs.occasions import OccasionWatch
from alexplore.runs.summary import Summary
from alexplore.tui.preferences import PreferencesStore, preferences_file


class Bell:
    """Rings the bell of the terminal of stderr, if it is one, or shows a notification there, as the preferences say."""

    def __init__(self, notify_options: NotifyOptions | None = None) -> None:
        """`notify_options` are those of a command that starts the run; None if the command only watches it."""
        preferences = PreferencesStore(preferences_file()).values
        self._stream = sys.stderr  # a live display replaces sys.stderr by a stream that escapes control characters
        self._way = preferences.notify if self._stream is not None and self._stream.isatty() else "off"
        self._occasions = (
            preferences.notify_on
            if notify_options is None or notify_options.occasions is None
            else notify_options.occasions
        )
        self._watch = OccasionWatch(from_start=notify_options is not None)

    def update(self, summary: Summary) -> None:
        """Ring for each of the occasions since the last call."""
        for occasion in self._watch.update(summary):
            if occasion.kind in self._occasions and (sequence := notice(self._way, occasion.text)):
                with suppress(OSError):
                    self._stream.write(sequence)
                    self._stream.flush()
