"""The watchdog: what counts as a hang, and what it says about it."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from alexplore.training import watchdog
from alexplore.training.watchdog import HANG_FACTOR, HANG_SECONDS, Watchdog
from tests.support.processes import run_python


def make() -> Watchdog:
    return Watchdog(None, None, lambda _: None)


def test_a_training_that_has_not_begun_does_not_hang() -> None:
    assert not make().count(100 * HANG_SECONDS)


def test_a_training_without_progress_hangs() -> None:
    one = make()
    one.progress()
    assert not one.count(HANG_SECONDS / 2)
    assert not one.count(HANG_SECONDS / 2)
    assert one.count(1)
    one.progress()
    assert not one.count(HANG_SECONDS / 2)


def test_a_training_of_long_steps_may_take_long() -> None:
    one = make()
    one.progress()
    one.count(HANG_SECONDS / 2)
    one.progress()
    assert not one.count(HANG_FACTOR * HANG_SECONDS / 2)
    assert one.count(1)


def test_the_time_before_the_first_step_is_no_measure() -> None:
    one = make()
    one.count(100 * HANG_SECONDS)
    one.progress()
    one.count(1)
    assert one.limit == HANG_SECONDS


def test_a_rank_that_waits_for_others_is_given_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    code = compile("import sys; frame = sys._getframe()", "/x/torch/distributed/distributed_c10d.py", "exec")
    names: dict[str, object] = {}
    exec(code, names)
    one = make()
    assert one.limit == HANG_SECONDS
    monkeypatch.setattr(one, "_main_frame", lambda: names["frame"])
    assert one.limit > HANG_SECONDS


def test_the_place_is_the_innermost_one_of_this_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PACKAGE", Path(__file__).parents[1])
    found: list[str] = []
    release = threading.Event()

    def hang() -> None:
        release.wait(60)

    thread = threading.Thread(target=hang)
    thread.start()
    while not found or "hang" not in found[-1]:
        found.append(watchdog._place(sys._current_frames().get(thread.ident or 0)))
    release.set()
    thread.join()
    assert found[-1].startswith("training/test_watchdog.py:")


@pytest.mark.usefixtures("heavy")
def test_a_process_that_hangs_ends_with_the_reason() -> None:
    done = run_python(
        "import time; from alexplore.training import watchdog\n"
        "watchdog.HANG_SECONDS, watchdog.ROUND_SECONDS = 0.1, 0.05\n"
        "one = watchdog.Watchdog(None, None, print)\n"
        "one.start(); one.progress(); time.sleep(60)"
    )
    assert done.returncode == 1
    assert done.stdout.startswith("the training hangs: no step for 0 s, in ")
