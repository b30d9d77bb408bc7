"""Published results of training as values of our metrics, to be drawn beside a run's curves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from alexplore.presets.published import Published

RESULTS: Mapping[str, tuple[str, Callable[[float], float]]] = {
    "top1_error": ("val/acc", lambda percent: 1 - percent / 100),
    "top1_accuracy": ("val/acc", lambda percent: percent / 100),
    "test_accuracy": ("val/acc", lambda share: share),
    "top5_error": ("val/acc5", lambda percent: 1 - percent / 100),
    "top5_accuracy": ("val/acc5", lambda percent: percent / 100),
    "train_accuracy": ("train/acc", lambda share: share),
    "train_loss": ("train/loss", lambda nats: nats),
}
"""The metric that a published quantity is a value of, and how it is converted."""


def published_results(published: Iterable[Published]) -> dict[str, tuple[float, ...]]:
    """Return the published values by metric: one value, or one for each epoch; if it is published twice, the first."""
    found: dict[str, tuple[float, ...]] = {}
    for one in published:
        if one.quantity in RESULTS and one.layer is None:
            key, convert = RESULTS[one.quantity]
            values = one.value if isinstance(one.value, tuple) else (one.value,)
            found.setdefault(key, tuple(map(convert, values)))
    return found
