"""What is refused before there is a run of it. A worker refuses the rest, which takes torch to see."""

from __future__ import annotations

from pathlib import Path

from alexplore.core.settings import SettingError
from alexplore.runs.config import RunConfig


def check_config(config: RunConfig) -> None:
    """Refuse what no worker could train.

    Raises:
        SettingError: the work can't be shared among so many ranks, or there is no such data set.
    """
    check_ranks(config, config.hardware.gpus)
    _check_data(config)


def check_ranks(config: RunConfig, ranks: int | None) -> None:
    """Refuse a number of ranks among which the work can't be shared; None stands for as many as suit it.

    Raises:
        SettingError: a batch has fewer images, or the network has not as many towers.
    """
    towers, batch = config.network.towers, config.recipe.batch_size
    if config.hardware.parallel == "towers":
        if towers < 2:
            raise SettingError(
                "--parallel towers: this network has no towers; set towers = 2, or train with --parallel data"
            )
        if ranks not in (None, towers):
            raise SettingError(
                f"--parallel towers: this network has {towers} towers, each for one rank, not for {ranks}"
            )
    elif ranks is not None and ranks > batch:
        raise SettingError(
            f"{ranks} ranks: a batch of {batch} images can't be shared among so many; use --gpus {batch} or less"
        )


def _check_data(config: RunConfig) -> None:
    if config.data.folder is None:
        if config.recipe.dataset == "imagefolder":
            raise SettingError(
                "an image folder has to be named: --data DIR, with DIR/train/CLASS/*.jpg and DIR/val/CLASS/*.jpg"
            )
    elif not Path(config.data.folder).expanduser().is_dir():
        raise SettingError(f"--data {config.data.folder}, where the data set is to be looked for, is not a folder")
