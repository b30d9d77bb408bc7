"""The weights of an imported model under the names of the preset's layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from alexplore.core.atomic_files import write_output
from alexplore.importing.mapping import Imported


def layer_tensors(imported: Imported, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of all layers, including opaque ones, for `load_state_dict` of the network that is built.

    `state` is the model's own state; each returned tensor is a copy on the CPU.
    """
    return {
        name: (state[tensor] if isinstance(tensor, str) else tensor).detach().cpu().contiguous().clone()
        for name, tensor in imported.tensors.items()
    }


def write_weights(imported: Imported, state: Mapping[str, Tensor], file: Path) -> None:
    """Write the tensors of all layers as a safetensors file, atomically.

    Raises:
        OSError: it can't be written; the error names it.
    """
    write_output(file, save(layer_tensors(imported, state)))
