"""The command line inside the test's own process: like `alexplore …`, without the time to start a process."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

import pytest

from alexplore.cli import main


class Output(io.TextIOWrapper):
    """A stream that keeps what is printed to it; with `terminal` it claims to be a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        """Return whether to print as for a terminal."""
        return self._terminal

    def text(self) -> str:
        """Return everything that was printed."""
        content = self.buffer
        assert isinstance(content, io.BytesIO)
        return content.getvalue().decode()


def run_here(*arguments: str, columns: int | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process; keywords are environment variables.

    With `columns`, stdout is a terminal of this width without colours; else it is a pipe.
    """
    out, error = Output(terminal=columns is not None), Output(terminal=False)
    if columns is not None:
        environment |= {"COLUMNS": str(columns), "LINES": "50", "TERM": "dumb"}
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", ["alexplore", *arguments]),
        mock.patch.object(gc, "freeze"),  # would keep this process's garbage for ever
        redirect_stdout(out),
        redirect_stderr(error),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    code = ended.value.code
    return subprocess.CompletedProcess(arguments, code if isinstance(code, int) else 1, out.text(), error.text())
