"""A model's own weights under the names of the layers that it became."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from alexplore.importing.mapping import Imported


def write_weights(imported: Imported, state: Mapping[str, Tensor], file: Path) -> None:
    """Write the tensors of all layers as a safetensors file, which `load_state_dict` of the built network takes.

    Those of opaque layers are in it too.
    """
    tensors = {
        name: (state[tensor] if isinstance(tensor, str) else tensor).detach().cpu().contiguous().clone()
        for name, tensor in imported.tensors.items()
    }
    save_file(tensors, file)
