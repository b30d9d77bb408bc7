"""The sentences that tell a person what happened in a run."""

from __future__ import annotations

from typing import Any

import pytest

from alexplore.runs.messages import event_text, is_logged, machine_text, weights_texts
from alexplore.runs.protocol import PrecisionEvent, WeightsEvent


def choice(precision: str, fp32: float, bf16: float, **more: Any) -> PrecisionEvent:
    return PrecisionEvent(precision, "cpu", 1e12, 128, {"fp32": fp32, "bf16": bf16}, **more)


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (
            choice("fp32", 0.18, 0.17, speedup=1.0588),
            "bf16 is 5% faster than fp32, less than the 10% needed (fp32 and bf16: 180 and 170 ms for 128 images): "
            "training in fp32",
        ),
        (
            choice("fp32", 1.0999, 1.0),
            "bf16 is 9% faster than fp32, less than the 10% needed (fp32 and bf16: 1100 and 1000 ms for 128 images): "
            "training in fp32",
        ),
        (
            choice("bf16", 0.0021, 0.001, speedup=2.1, kept=True),
            "bf16 is 2.1 times as fast as fp32 (fp32 and bf16: 2.10 and 1.00 ms for 128 images): "
            "training in bf16, as in the first attempt",
        ),
        (
            choice("fp32", 0.1, 0.13),
            "fp32 is 30% faster than bf16 (fp32 and bf16: 100 and 130 ms for 128 images): training in fp32",
        ),
    ],
)
def test_the_choice_of_a_precision_is_explained(event: PrecisionEvent, sentence: str) -> None:
    assert event_text(event) == sentence


def test_a_precision_that_the_recipe_names_needs_no_explanation() -> None:
    assert not is_logged(PrecisionEvent("bf16", "cpu", 1e12))


def test_what_was_taken_from_weights_is_listed() -> None:
    event = WeightsEvent("w.pt", {"conv1": "features.0", "fc6": "fc6"}, {"fc8": "other shapes"}, {"head": "weight 7×9"})
    assert event_text(event) == (
        "starts from w.pt: 2 of 3 layers taken; fc8 starts anew: other shapes; unused: head (weight 7×9)"
    )
    assert weights_texts(event)[1:3] == ["conv1 from features.0", "fc6"]


def test_the_machine_is_told_in_one_line() -> None:
    values = {"machine/gpu_power": 612.4, "machine/cpu": 0.931, "machine/joules_per_image": 0.5231, "train/loss": 1.0}
    assert machine_text(values) == "processors 93% · 612 W · 0.523 J an image"
    assert machine_text({"train/loss": 1.0}) == ""
