"""What is said when a run continues on other hardware."""

from __future__ import annotations

import pytest

from alexplore.training.compute_setup import ComputeSetup


@pytest.mark.parametrize(
    ("device", "ranks", "words"),
    [
        ("cpu", 2, ""),
        ("cpu", 1, "continued with 1 rank on CPU, before with 2 ranks on CPU: "),
        ("cuda", 2, "continued with 2 ranks on CUDA, before with 2 ranks on CPU: "),
    ],
)
def test_other_hardware_is_noted(device: str, ranks: int, words: str) -> None:
    text = ComputeSetup("cpu", 2, 1, None).change_text(device, ranks)
    assert text.startswith(words) and bool(text) == bool(words)
    assert not words or "bits may differ" in text


def test_nothing_is_noted_where_the_earlier_hardware_is_not_known() -> None:
    assert ComputeSetup("", 0, 0, None).change_text("cpu", 2) == ""
