"""Run `alexplore train --preset fmnist-valid`, as a user does, and compare with the tutorial's log of five epochs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from alexplore.presets.library import load_preset
from alexplore.runs.protocol import EpochEvent, Event, PrecisionEvent, StartEvent, event_record, read_event
from gpu_checks.bench import Bench, Check, Outcome, at_most, expect, skip

PRESET, TINY_PRESET = "fmnist-valid", "fmnist-28"
WITHIN = 0.02
"""How much lower than the tutorial's the last accuracy may be; seeds differ by about half of it."""
STOP_SECONDS = 10.0  # reserved at the end of the part for a checkpoint


def run(bench: Bench) -> Outcome:
    """Train for five epochs; the values are the seconds and the test accuracy of each."""
    if bench.data is None and not bench.dry:
        return Outcome((skip(PRESET, "no Fashion-MNIST: name the folder of its four files with --data"),))
    tutorial = tutorial_accuracies()
    arguments = train_arguments(bench)
    events, code, console = train(arguments, bench)
    epochs = list(epochs_of(events))
    chosen = {event.kind: event_record(event) for event in events if isinstance(event, PrecisionEvent | StartEvent)}
    values = {"arguments": arguments, "epochs": epochs, "tutorial": tutorial, "events": chosen}
    wanted = 2 if bench.dry else len(tutorial)
    return Outcome(
        (check_end(bench, len(epochs), wanted, code, console), check_accuracy(bench, epochs, tutorial)), values
    )


def tutorial_accuracies() -> list[float]:
    """Return the test accuracy after each epoch in the tutorial's log, which the preset quotes."""
    (published,) = (one for one in load_preset(PRESET).published if one.quantity == "test_accuracy")
    assert isinstance(published.value, tuple)
    return list(published.value)


def train_arguments(bench: Bench) -> list[str]:
    """Return the arguments of `alexplore`; in a dry run with a smaller preset and few images."""
    arguments = ["train", "--preset", TINY_PRESET if bench.dry else PRESET, "--device", bench.device, "--gpus", "1"]
    arguments.append("--json")
    if bench.data is not None:
        arguments += ["--data", str(bench.data)]
    if bench.dry:
        arguments += ["--epochs", "2", "--limit-train", "256", "--limit-val", "64", "--precision", "fp32"]
        arguments += [] if bench.data else ["--dataset", "synthetic"]
    return arguments


def train(arguments: list[str], bench: Bench) -> tuple[list[Event], int, str]:
    """Run `alexplore` and return the events that it printed, its exit code, and the end of its stderr.

    When the part's time is nearly up, the run is stopped as by Ctrl-C, and killed if it does not stop.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "alexplore", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "ALEXPLORE_RUNS": str(bench.work)},
    )  # fmt: skip
    timer = threading.Thread(target=_stop_in_time, args=(process, bench), daemon=True)
    timer.start()
    printed, errors = process.communicate()
    records = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    events = [read_event(record).event for record in records if "event" in record]
    return events, process.returncode, "\n".join(errors.splitlines()[-5:])


def epochs_of(events: Sequence[Event]) -> Iterator[dict[str, float]]:
    """Yield the seconds and the accuracies of each epoch; the time of saving does not count."""
    before = 0.0
    for event in events:
        if isinstance(event, EpochEvent):
            yield {
                "epoch": event.epoch,
                "seconds": round(event.seconds - before, 3),
                "images_per_second": event.metrics["images_per_second"],
                "train_accuracy": event.metrics["train/acc"],
                "test_accuracy": event.metrics["val/acc"],
            }
            before = event.seconds


def check_end(bench: Bench, epochs: int, wanted: int, code: int, console: str) -> Check:
    """Check that all epochs were trained; it is no failure if the time was too short."""
    if bench.seconds_left() < STOP_SECONDS and epochs < wanted:
        return skip("the run finishes", f"the part's time was up after {epochs} of {wanted} epochs")
    return expect("the run finishes", code == 0 and epochs == wanted, f"exit code {code}; {console}")


def check_accuracy(bench: Bench, epochs: list[dict[str, float]], tutorial: list[float]) -> Check:
    """Check the test accuracy of the last epoch against the tutorial's of the same epoch."""
    name = "test accuracy behind the tutorial's"
    if bench.dry or not epochs:
        return skip(name, "a dry run learns nothing" if bench.dry else "no epoch was trained")
    last = len(epochs) - 1
    return at_most(name, tutorial[last] - epochs[last]["test_accuracy"], WITHIN, f"after epoch {last + 1}")


def _stop_in_time(process: subprocess.Popen[str], bench: Bench) -> None:
    while process.poll() is None and bench.seconds_left() > STOP_SECONDS:
        time.sleep(0.1)
    for sign in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):  # stop after a checkpoint; stop at once; kill
        if process.poll() is not None:
            return
        process.send_signal(sign)
        time.sleep(STOP_SECONDS / 3)
