"""Reading predictions from the process that makes them."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from alexplore.runs import predictions
from alexplore.runs.predictions import Prediction, Predictions

LINE = json.dumps(Prediction("a.png", (("cat", 0.9),)).to_dict())


def predicting(monkeypatch: pytest.MonkeyPatch, code: str) -> Predictions:
    """Return predictions of a program in place of the one that imports torch."""
    monkeypatch.setattr(predictions, "command_line", lambda *_: [sys.executable, "-c", code])
    return Predictions(Path("run"), ["a.png"], keep_errors=True)


@pytest.mark.usefixtures("heavy")
def test_any_number_of_damaged_images_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a pipe holds, before the first prediction."""
    code = f"import sys; sys.stderr.write('error: no image\\n' * 100_000); print({LINE!r})"
    with predicting(monkeypatch, code) as found:
        assert [one.image for one in found] == ["a.png"]
    assert found.errors.splitlines() == ["error: no image"] * 100_000
    assert found.returncode == 0


@pytest.mark.usefixtures("heavy")
def test_a_process_killed_in_the_middle_of_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"import os; os.write(1, {LINE!r}.encode() + b'\\n' + {LINE!r}.encode()[:20]); os.kill(os.getpid(), 9)"
    with predicting(monkeypatch, code) as found:
        assert [one.image for one in found] == ["a.png"]
    assert found.returncode == -signal.SIGKILL
