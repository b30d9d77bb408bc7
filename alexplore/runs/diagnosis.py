"""Findings about a run from its curves, layers and times, each with its number and with what to try.

A rule is one entry in `RULES`. It reads `Evidence` alone and returns a finding, or None. The thresholds are rules of
thumb; those of layers are in `thresholds.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite, log
from statistics import median

from alexplore.core.formatting import count_text
from alexplore.core.regular_files import FileStamp, file_stamp
from alexplore.presets.recipe import Recipe
from alexplore.runs.curves import Curve
from alexplore.runs.directory import RunDirectory
from alexplore.runs.metrics import LAYER_METRICS, METRICS
from alexplore.runs.protocol import NOT_FINITE, DatasetEvent, EpochEvent, ErrorEvent, StartEvent
from alexplore.runs.step_time import BOUNDS, StepTime, step_time
from alexplore.runs.thresholds import (
    DEAD_SHARE,
    EXPLODING_GRADIENT,
    LARGEST_RATIO,
    SMALLEST_RATIO,
    VANISHING_GRADIENT,
    ZERO_SHARE,
)
from alexplore.runs.watch import Snapshot


@dataclass(frozen=True)
class Finding:
    """What a rule found: what was observed, with its number, and something to try."""

    rule: str
    text: str
    advice: str


@dataclass(frozen=True)
class Evidence:
    """What the rules read.

    `losses` are the finite values of the smoothed training loss, in nats, at `positions` in epochs. `first_loss` is the
    first recorded loss. `epochs` are the finished epochs. `figures` holds, for each metric in `LAYER_METRICS`, a value
    for each layer, from the first layer to the last: the median over the last recorded steps, or over all of them (see
    `LAST_VALUES`). `dead` are the shares of dead units, 0 to 1, by layer. `classes` and `images` (the number of
    training images) are None if they are not known.
    """

    recipe: Recipe
    layers: tuple[str, ...] = ()
    """The types of the network's layers."""

    classes: int | None = None
    images: int | None = None
    ranks: int = 1
    positions: Sequence[float] = ()
    losses: Sequence[float] = ()
    first_loss: float | None = None
    epochs: tuple[EpochEvent, ...] = ()
    reason: str | None = None
    """Why the run ended, if it did not finish."""

    not_finite: bool = False
    """Whether it ended because a number was not finite."""

    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    dead: Mapping[str, float] = field(default_factory=dict)

    time: StepTime | None = None
    """Where the time of a step goes; None if it was not recorded."""

    @property
    def chance_loss(self) -> float | None:
        """The cross-entropy of a network that answers every class alike: ln(classes)."""
        return log(self.classes) if self.classes and self.classes > 1 else None

    @property
    def loss(self) -> float | None:
        """The last training loss, smoothed."""
        return self.losses[-1] if self.losses else None

    @property
    def trained(self) -> float:
        """Epochs that the losses cover, a fraction."""
        return self.positions[-1] if self.positions else 0.0

    def values(self, key: str) -> list[float]:
        """Return a metric of each finished epoch that has it."""
        found = [epoch.metrics[key] for epoch in self.epochs if key in epoch.metrics]
        return [value for value in found if isfinite(value)]

    def figure(self, family: str) -> Mapping[str, float]:
        """Return the values of one of `LAYER_METRICS` by layer."""
        return self.figures.get(family, {})


LAST_VALUES: Mapping[str, int] = {"grad_norm": 9, "zero_share": 9}
"""How many of the last recorded values of a layer metric count.

All values of a metric that is not listed count: update ratios, for example, fall with the schedule.
"""


def diagnose_run(snapshot: Snapshot) -> tuple[Finding, ...]:
    """Return what the rules find in a run, the most urgent first. This reads the last file of the folder `inside/`."""
    return diagnose(evidence_of(snapshot, _dead_shares(snapshot.run)))


def _dead_shares(run: RunDirectory) -> Mapping[str, float]:
    """Return the share of dead units by layer after the last recorded epoch; empty if it can't be read."""
    if not run.inside_folder.is_dir():
        return {}
    from alexplore.runs.inside import InsideError, inside_file, recorded_epochs  # imports numpy, which is slow

    recorded = recorded_epochs(run)
    if not recorded:
        return {}
    try:
        return _dead_shares_at(run, recorded[-1], file_stamp(inside_file(run, recorded[-1])))
    except InsideError:
        return {}


@lru_cache(maxsize=16)
def _dead_shares_at(run: RunDirectory, epoch: int, _stamp: FileStamp | None) -> Mapping[str, float]:
    """Return the share of dead units by layer in the file of an epoch that has this stamp.

    It is cached, because a running run is diagnosed repeatedly.

    Raises:
        InsideError: the file can't be read.
    """
    from alexplore.runs.inside import load_epoch

    layers = load_epoch(run, epoch).activations
    return {one.layer: one.dead_share for one in layers if one.dead_share is not None}


def evidence_of(snapshot: Snapshot, dead: Mapping[str, float] | None = None) -> Evidence:
    """Return what the rules read of a run; `dead` are the shares of dead units by layer, if they are known."""
    config = snapshot.config
    dataset, start = snapshot.last(DatasetEvent), snapshot.last(StartEvent)
    curve = snapshot.curves.get("train/loss", Curve())
    smooth = curve.smoothed()
    points = [(at, value) for at, value in zip(smooth.epochs, smooth.values, strict=True) if isfinite(value)]
    return Evidence(
        recipe=config.recipe,
        layers=tuple(layer.type for layer in config.network.layers),
        classes=dataset.classes if dataset else None,
        images=dataset.train if dataset else None,
        ranks=start.ranks if start and start.parallel == "data" else 1,
        positions=[at for at, _ in points],
        losses=[value for _, value in points],
        first_loss=next(iter(curve.values), None),
        epochs=snapshot.epochs,
        reason=snapshot.status.reason,
        not_finite=snapshot.status.state == "failed" and _last_cause(snapshot) == NOT_FINITE,
        figures={family: _layer_values(snapshot, family) for family in LAYER_METRICS},
        dead=dead or {},
        time=step_time(snapshot),
    )


def _last_cause(snapshot: Snapshot) -> str | None:
    """Return the cause in the error of the last attempt; None if it has none."""
    line = snapshot.last_events.get(ErrorEvent)
    if line is None or line.head.attempt != snapshot.attempt or not isinstance(line.event, ErrorEvent):
        return None
    return line.event.cause


def _layer_values(snapshot: Snapshot, family: str) -> dict[str, float]:
    """Return the median of a layer metric's values by layer, in the order of the layers; see `LAST_VALUES`."""
    found = {}
    for layer in snapshot.config.network.layers:
        curve = snapshot.curves.get(f"{family}/{layer.name}")
        counted = curve.values[-LAST_VALUES.get(family, 0) :] if curve else ()  # [-0:] is all
        values = [value for value in counted if isfinite(value)]
        if values:
            found[layer.name] = median(values)
    return found


def diagnose(evidence: Evidence) -> tuple[Finding, ...]:
    """Return what the rules find, the most urgent first."""
    found = ((name, rule(evidence)) for name, rule in RULES.items())
    return tuple(Finding(name, *observation) for name, observation in found if observation)


# The rules

Observation = tuple[str, str] | None
"""What a rule observed, with its number, and what to try; None if the rule does not apply."""

LOSS, VAL_LOSS = METRICS["train/loss"], METRICS["val/loss"]
TRAIN, VAL = METRICS["train/acc"], METRICS["val/acc"]

RISE = 1.5
"""A loss diverges if it rises to this many times its lowest value."""


def not_finite(run: Evidence) -> Observation:
    """Find a run that ended because a number was not finite."""
    if not run.not_finite:
        return None
    return f"the training ended: {run.reason}", _lower_rate(run)


def diverging(run: Evidence) -> Observation:
    """Find a training loss that rises again, above the loss of guessing or far above its lowest value."""
    if len(run.losses) < 5 or run.loss is None:
        return None
    start = run.chance_loss or max(run.losses[0], 0.1)
    low = min(run.losses)
    exploded = run.loss > 2 * start and run.loss > 1.05 * low
    rose = run.loss > RISE * low and run.loss > 0.75 * start and run.losses.index(low) > 0
    if not exploded and not rose:
        return None
    at = run.positions[run.losses.index(low)]
    return (
        f"diverging: the training loss is {LOSS.number(run.loss)}, and was {LOSS.number(low)} at epoch {at:.2f}",
        _lower_rate(run),
    )


def first_loss(run: Evidence) -> Observation:
    """Find a first loss far above ln(classes): an untrained network that gives wrong classes high probabilities."""
    if run.chance_loss is None or run.first_loss is None or run.trained > 2 or not isfinite(run.first_loss):
        return None
    if run.first_loss < 2 * run.chance_loss:
        return None
    return (
        f"the first training loss was {LOSS.number(run.first_loss)}; of an untrained network it should be about "
        f"ln({run.classes}) = {LOSS.number(run.chance_loss)}",
        'smaller initial weights, a norm after each convolution, or normalize = "dataset"',
    )


def at_chance(run: Evidence) -> Observation:
    """Find a network that has learned nothing: a loss at ln(classes), or above, after a whole epoch."""
    accuracies = run.values("train/acc")
    if run.chance_loss is None or run.classes is None or run.loss is None or not accuracies:
        return None
    if run.loss < 0.97 * run.chance_loss or accuracies[-1] > 2 / run.classes:
        return None
    ratios = list(run.figure("update_ratio").values())
    advice = "another learning rate (ten times lower, then ten times higher), and whether the labels fit the images"
    if ratios and median(ratios) < SMALLEST_RATIO:
        advice = f"a higher learning rate: a step changes the weights by a share of {median(ratios):.1g} only"
    return (
        f"nothing is learned: after {count_text(len(run.epochs), 'epoch')} the training loss is "
        f"{LOSS.number(run.loss)}, and ln({run.classes}) = {LOSS.number(run.chance_loss)} is chance",
        advice,
    )


def shuffled_labels(run: Evidence) -> Observation:
    """Find training images that are learned while validation stays at chance."""
    train, val = run.values("train/acc"), run.values("val/acc")
    if not run.classes or len(train) < 2 or not val:
        return None
    chance = 1 / run.classes
    if train[-1] < chance + 0.25 or max(val[-3:]) > 1.35 * chance:
        return None
    return (
        f"labels look shuffled: {TRAIN.number(train[-1])} of the training images are learned, but validation stays at "
        f"{VAL.number(val[-1])}, which is chance (1/{run.classes} = {chance:.1%})",
        "compare the labels of some images of both parts with what they show; both need the same classes",
    )


def overfitting(run: Evidence) -> Observation:
    """Find a validation loss that has risen by a tenth since its lowest, while the training loss fell."""
    losses, train = run.values("val/loss"), run.values("train/loss")
    if len(losses) < 3 or len(train) != len(losses) or shuffled_labels(run):
        return None
    low = losses.index(min(losses))
    if losses[-1] < 1.1 * losses[low] or losses[-2] < 1.05 * losses[low] or train[-1] >= train[low]:
        return None
    return (
        f"overfitting since epoch {low + 1}: the validation loss rose from {VAL_LOSS.number(losses[low])} to "
        f"{VAL_LOSS.number(losses[-1])} while the training loss fell to {LOSS.number(train[-1])}",
        "stop earlier, or random crops and flips, dropout, a higher weight_decay, more images",
    )


def underfitting(run: Evidence) -> Observation:
    """Find a finished training whose accuracy on training images is no better, while the loss still falls."""
    train, val, losses = run.values("train/acc"), run.values("val/acc"), run.values("train/loss")
    if len(losses) < 3 or not train or not val or at_chance(run) or train[-1] > 0.95:
        return None
    if len(run.epochs) < run.recipe.epochs:
        return None
    fall = 1 - losses[-1] / losses[-2] if losses[-2] > 0 else 0.0
    if train[-1] > val[-1] + 0.02 or fall < 0.02:
        return None
    above = "is hardly above" if train[-1] > val[-1] else "is not above"
    return (
        f"underfitting: the training accuracy, {TRAIN.number(train[-1])}, {above} that of validation, "
        f"{VAL.number(val[-1])}, and the last epoch still lowered the loss by {fall:.0%}",
        "more epochs, a higher learning rate, less dropout, or a wider network",
    )


STALLED_EPOCHS = 4
STALLED_CHANGE = 0.005


def stalled(run: Evidence) -> Observation:
    """Find a training loss that does not fall any more, before the training images are learned."""
    losses, train = run.values("train/loss"), run.values("train/acc")
    if len(losses) <= STALLED_EPOCHS or not train or train[-1] > 0.99 or at_chance(run) or diverging(run):
        return None
    before, now = losses[-1 - STALLED_EPOCHS], losses[-STALLED_EPOCHS:]
    if min(now) < (1 - STALLED_CHANGE) * before:
        return None
    return (
        f"stalled: the training loss is {LOSS.number(losses[-1])}, and was {LOSS.number(before)} {STALLED_EPOCHS} "
        "epochs ago",
        f"a learning rate of {run.recipe.lr / 10:g}, a schedule that lowers it, or a wider network",
    )


def rate_too_low(run: Evidence) -> Observation:
    """Find steps that hardly change the weights."""
    ratios = list(run.figure("update_ratio").values())
    if not ratios or median(ratios) >= SMALLEST_RATIO:
        return None
    return (
        f"the learning rate looks too low: a step changes the weights by a share of {median(ratios):.1g}; about 0.001 "
        "is usual",
        f"a learning rate of {run.recipe.lr * 10:g}",
    )


def rate_too_high(run: Evidence) -> Observation:
    """Find steps that change most layers' weights by a large share."""
    ratios = list(run.figure("update_ratio").values())
    if not ratios or median(ratios) <= LARGEST_RATIO:
        return None
    return (
        f"the learning rate looks too high: a step changes the weights by a share of {median(ratios):.2g}; about 0.001 "
        "is usual",
        _lower_rate(run),
    )


def exploding_gradients(run: Evidence) -> Observation:
    """Find a layer whose gradient is large."""
    norms = run.figure("grad_norm")
    if not norms:
        return None
    layer = max(norms, key=norms.__getitem__)
    if norms[layer] < EXPLODING_GRADIENT:
        return None
    return f"exploding gradients: {layer}'s has a norm of {norms[layer]:.3g}", _lower_rate(run)


def vanishing_gradients(run: Evidence) -> Observation:
    """Find a first layer whose gradient is small beside that of the last."""
    norms = run.figure("grad_norm")
    if len(norms) < 3:
        return None
    (first, *_, last) = norms
    if norms[last] <= 0 or norms[first] > VANISHING_GRADIENT * norms[last]:
        return None
    return (
        f"vanishing gradients: {first}'s has a norm of {norms[first]:.2g}, {last}'s of {norms[last]:.2g}",
        "relu in place of sigmoid or tanh, batch_norm between the layers, larger initial weights, or shortcuts (add)",
    )


def dead_units(run: Evidence) -> Observation:
    """Find a layer most of whose units answer 0 to every image."""
    zeros = run.figure("zero_share")
    shares = {layer: share for layer, share in run.dead.items() if share >= DEAD_SHARE}
    shares |= {layer: share for layer, share in zeros.items() if share >= ZERO_SHARE and layer not in shares}
    if not shares:
        return None
    worst = max(shares, key=shares.__getitem__)
    what = "units are 0 for every image that was looked at" if worst in run.dead else "outputs are 0"
    others = f", and {len(shares) - 1} more layers" if len(shares) > 1 else ""
    return (
        f"dead units: {shares[worst]:.0%} of {worst}'s {what}{others}",
        f"a lower learning rate than {run.recipe.lr:g}, leaky_relu, batch_norm, or initial biases of 0",
    )


FEWEST_FOR_STATISTICS = 8


def small_batches(run: Evidence) -> Observation:
    """Find batch norms that estimate mean and variance from a few images."""
    share = run.recipe.images_at_once(max(1, run.ranks))  # of all ranks together
    if "batch_norm" not in run.layers or share >= FEWEST_FOR_STATISTICS:
        return None
    key = "batch_size" if share == run.recipe.batch_size else "micro_batch_size"
    return (
        f"batch_norm estimates its mean and variance from {count_text(share, 'image')}",
        f"a {key} of 32 or more, or group_norm",
    )


def limited_by(name: str) -> Callable[[Evidence], Observation]:
    """Return the rule that finds a training limited by one of `BOUNDS`, and not by its calculations."""

    def rule(run: Evidence) -> Observation:
        if run.time is None or run.time.bound is not BOUNDS[name]:
            return None
        return run.time.verdict, run.time.advice

    return rule


def _lower_rate(run: Evidence) -> str:
    """Return the advice to lower the learning rate."""
    return f"a learning rate of {run.recipe.lr / 10:g}, a tenth of this run's; warmup_epochs = 1"


RULES: Mapping[str, Callable[[Evidence], Observation]] = {
    "not finite": not_finite,
    "diverging": diverging,
    "at chance": at_chance,
    "shuffled labels": shuffled_labels,
    "exploding gradients": exploding_gradients,
    "vanishing gradients": vanishing_gradients,
    "dead units": dead_units,
    "learning rate too high": rate_too_high,
    "learning rate too low": rate_too_low,
    "first loss": first_loss,
    "overfitting": overfitting,
    "stalled": stalled,
    "underfitting": underfitting,
    "small batches": small_batches,
    **{name: limited_by(name) for name in BOUNDS},
}
"""Every rule by its name, the most urgent first."""
