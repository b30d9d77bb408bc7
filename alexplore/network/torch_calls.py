"""PyTorch's module for each layer of a network, for exported code and for training."""

from __future__ import annotations

from alexplore.network.calls import Call
from alexplore.network.graph import IMAGE, Network
from alexplore.network.row import Row


def torch_call(row: Row, network: Network) -> Call | None:
    """Return the call of PyTorch's module for a row's layer, None if it is an expression (`Layer.torch_expression`).

    An activation overwrites its input (`inplace`) if nothing else needs the input.
    """
    if row.layer.torch_expression(network.source_names(row.index - 1)) is not None:
        return None
    call = row.layer.torch_call(row.inputs)
    if row.layer.can_overwrite and _is_free(network, row):
        return call._replace(keywords={**call.keywords, "inplace": True})
    return call


def _is_free(network: Network, row: Row) -> bool:
    """Return whether the layer's input is read by it alone, and not needed by the layer that wrote it."""
    (source,) = row.sources
    return source != IMAGE and network.layers[source].overwritable and network.readers[source] == (row.index - 1,)
