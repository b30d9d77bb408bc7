"""The weights that a run starts from, matched to its network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from alexplore.core.formatting import shortened
from alexplore.training import checkpoint
from alexplore.training.errors import UnfitWeightsError
from alexplore.training.weight_matching import Match, match_weights


def match_starting_weights(own: Mapping[str, Tensor], source: Path, warn: Callable[[str], None]) -> tuple[Path, Match]:
    """Read the weights of a file or checkpoint folder and match them to a network's tensors, `own`.

    Return the path that was read, which is another checkpoint's if the one at `source` is damaged, and the match.

    Raises:
        CheckpointError: the file or checkpoint can't be read.
        UnfitWeightsError: it has no weights, or none that fit a layer.
    """
    source, tensors = checkpoint.load_named_weights(source, warn)
    match = match_weights(own, tensors, source)
    if not match.taken:
        reasons = "; ".join(f"{layer}: {reason}" for layer, reason in match.left.items())
        raise UnfitWeightsError(
            shortened(f"{source}: no layer of the network can take weights from it. {reasons}", 1000)
        )
    return source, match
