"""The user's note on a run: one line of text in the file notes.txt of its directory."""

from __future__ import annotations

from alexplore.core.atomic_files import write_atomically
from alexplore.core.regular_files import open_regular
from alexplore.runs.directory import RunDirectory, RunError

MOST_BYTES = 4096


def read_note(run: RunDirectory) -> str:
    """Return the note on a run, in one line without control characters; "" if there is none or it can't be read."""
    try:
        with open_regular(run.notes_file, links=False) as file:
            text = file.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return one_line(text)


def write_note(run: RunDirectory, text: str) -> None:
    """Replace the note on a run; a blank text removes it.

    Raises:
        RunError: it is too long, or the directory can't be written.
    """
    note = one_line(text)
    if len(note.encode("utf-8", "replace")) > MOST_BYTES:
        raise RunError(f"the note is longer than the {MOST_BYTES:,} bytes that are allowed; shorten it")
    try:
        if note:
            write_atomically(run.notes_file, note + "\n")
        else:
            run.notes_file.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{run.notes_file}: {error.strerror}", failure=True) from None


def one_line(text: str) -> str:
    """Return a text in one line, with control characters and line ends replaced by blanks."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
