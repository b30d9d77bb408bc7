"""A training recipe: the `[training]` table of a preset, each key with what is allowed and its default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alexplore.core.declared import Declared
from alexplore.core.settings import (
    LARGEST,
    Kind,
    SettingError,
    choice,
    flag,
    integer,
    list_schema,
    number,
    optional,
    parse_text,
    patterns,
    read_settings,
    setting,
    setting_fields,
    settings_of,
    text,
)
from alexplore.network.memory import OptimizerState
from alexplore.presets.datasets import DATASETS
from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.precisions import PRECISIONS
from alexplore.presets.schedules import SCHEDULES

MONITORED = ("val/acc", "val/loss")
"""Metrics by which a checkpoint can be the best."""

BALANCED = "balanced"


def class_weights() -> Kind[str | tuple[float, ...]]:
    """Return the kind of `"balanced"`, and of lists with a number above 0 for each class."""
    weight = number(0, above=True)

    def parse(value: Any) -> str | tuple[float, ...]:
        if value == BALANCED:
            return BALANCED
        if not isinstance(value, list | tuple) or not value:
            raise ValueError
        return tuple(weight.parse(one) for one in value)

    schema = {"anyOf": [{"const": BALANCED}, list_schema(weight.schema, 1)]}
    return Kind(f'"{BALANCED}", or a list of numbers > 0, one for each class', parse, schema)


class Recipe(Declared):
    """How a network is trained."""

    dataset: str = setting(choice(*DATASETS), "fashion-mnist", "images to learn from")
    epochs: int = setting(integer(1), 10, "passes over the training images")
    batch_size: int = setting(integer(1), 128, "images in a step, shared among the ranks")
    optimizer: str = setting(choice(*OPTIMIZERS), "sgd", "how gradients change the weights")
    lr: float = setting(number(0, above=True), 0.01, "learning rate")
    momentum: float = setting(number(0, 1, below=True), 0.9, "share of the last update that sgd repeats")
    weight_decay: float = setting(number(0), 0.0, "L2 penalty; decoupled with adamw")
    bias_lr: float = setting(number(0), 1.0, "learning rate of the biases as a multiple of lr")
    schedule: str = setting(choice(*SCHEDULES), "constant", "how lr changes")
    warmup_epochs: float = setting(number(0, LARGEST), 0.0, "epochs in which lr rises from 0")
    step_epochs: int = setting(integer(1), 30, "epochs between two reductions under step")
    gamma: float = setting(number(0, 1, above=True), 0.1, "factor of a reduction under step and plateau")
    patience: int = setting(integer(0), 3, "epochs without improvement before plateau reduces lr")
    reductions: int = setting(integer(0), 3, "how often plateau may reduce lr")
    weights: str | None = setting(
        optional(text()), None, "file of weights, or a run, whose weights it starts from where the layers fit"
    )
    freeze: tuple[str, ...] | None = setting(
        patterns(),
        None,
        "layers that keep their weights, by patterns of their names; frozen batch norms keep their statistics, too",
    )
    head_lr: float = setting(
        number(0),
        1.0,
        "learning rate of the new head, the last layer with weights, as a multiple of lr; also of other layers that "
        "take nothing from `weights`",
    )
    label_smoothing: float = setting(number(0, 1, below=True), 0.0, "share of a label spread over all classes")
    clip_grad_norm: float | None = setting(
        optional(number(0, above=True)),
        None,
        "largest norm of all gradients together; longer ones are scaled down",
    )
    micro_batch_size: int | None = setting(
        optional(integer(1)),
        None,
        "images of a batch that a rank computes at once; gradients add up over the batch. Saves memory; a batch norm "
        "normalises over such a part",
    )
    class_weights: str | tuple[float, ...] | None = setting(
        optional(class_weights()), None, "weights of the classes in the loss; balanced makes rare classes count as much"
    )
    balanced_sampling: bool = setting(
        flag(), False, "draw the images of an epoch with repetition, all classes equally often"
    )
    ema_decay: float | None = setting(
        optional(number(0, 1, above=True, below=True)),
        None,
        "evaluate and save an exponential moving average of the weights, with at most this decay a step",
    )
    swa_epochs: int | None = setting(
        optional(integer(1)),
        None,
        "evaluate and save the mean of the weights at the ends of this many last epochs (stochastic weight averaging)",
    )
    swa_lr: float = setting(
        number(0, above=True), 0.5, "constant learning rate of the epochs that swa_epochs averages, as a multiple of lr"
    )
    early_stopping: int | None = setting(
        optional(integer(1)), None, "end the training after this many epochs in a row without a better value of monitor"
    )
    monitor: str = setting(
        choice(*MONITORED), "val/acc", "metric that decides which checkpoint is the best, and watched by early_stopping"
    )
    precision: str = setting(choice(*PRECISIONS), "auto", "auto times fp32 and bf16 and takes the faster")
    normalize: str = setting(
        choice("unit", "dataset", "imagenet"), "unit", "pixels: 0 to 1, or standardised by these statistics"
    )
    resize: int | None = setting(
        optional(integer(1, 4096)), None, "side in pixels of images before cropping; the input's if left out"
    )
    random_crop: bool = setting(flag(), False, "train on random crops of the input's size; test on the centre")
    crop_padding: int = setting(integer(0, 1024), 0, "black pixels around an image before a random crop")
    horizontal_flip: bool = setting(flag(), False, "mirror half of the training images")
    color_noise: float = setting(number(0, 10), 0.0, "standard deviation of the paper's PCA colour noise")
    seed: int = setting(integer(0, 2**63 - 1), 0, "of initial weights, sample order, dropout and augmentation")
    checkpoint_minutes: float = setting(
        number(0, LARGEST, above=True), 10.0, "minutes between checkpoints within an epoch"
    )

    deterministic: bool = setting(
        flag(), False, "use only operations that give the same bits each time; slower on a GPU, so on a CPU anyhow"
    )
    inside: bool = setting(flag(), True, "record what the network looks like inside, see `runs inside`")

    @property
    def optimizer_state(self) -> OptimizerState:
        """What is kept for each trainable parameter: the optimizer's tensors, and the averaged weights."""
        state = OPTIMIZERS[self.optimizer].state(self)
        if self.ema_decay is None and self.swa_epochs is None:
            return state
        return state._replace(tensors=state.tensors + 1, note=f"{state.note}, and the averaged weights")

    def images_at_once(self, ranks: int = 1) -> int:
        """Return how many images of a batch are computed at once by `ranks` ranks together."""
        return min(self.batch_size, ranks * (self.micro_batch_size or self.batch_size))

    @property
    def activation_bits(self) -> int:
        """The bits of an activation in training; `auto` counts as fp32."""
        return PRECISIONS[self.precision].activation_bits

    def to_dict(self, *, defaults: bool = True) -> dict[str, Any]:
        """Return the `[training]` table; with `defaults=False` only what differs from the defaults."""
        return settings_of(self, defaults=defaults)


def used_settings(recipe: Recipe) -> tuple[str, ...]:
    """Return the keys that have an effect with a recipe's optimizer and schedule, in the order of the recipe.

    Keys that only other optimizers or schedules use are left out.
    """
    optimizer, schedule = OPTIMIZERS[recipe.optimizer], SCHEDULES[recipe.schedule]
    declared = (*(each.settings for each in OPTIMIZERS.values()), *(each.settings for each in SCHEDULES.values()))
    unused = {key for settings in declared for key in settings} - {*optimizer.settings, *schedule.settings}
    return tuple(key for key in setting_fields(Recipe) if key not in unused)


def read_recipe(values: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a `[training]` table; keys that are missing have their defaults.

    Raises:
        SettingError: a key is unknown or a value is not allowed.
    """
    return Recipe(**read_settings(Recipe, values))


def change_recipe(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe with some keys changed.

    Raises:
        SettingError: a key is unknown or a value is not allowed.
    """
    return read_recipe({**recipe.to_dict(), **changes})


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the changes in assignments such as `training.lr=0.02`, whose values are written as in TOML.

    Raises:
        SettingError: an assignment has another form.
    """
    changes = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        table, dot, name = key.strip().partition(".")
        if not equals or not dot or table != "training":
            raise SettingError(f"--set {assignment!r}: allowed: training.KEY=VALUE, such as training.lr=0.02")
        changes[name] = parse_text(value)
    return changes
