"""The names that a layer may have: each becomes an attribute of an `nn.Module`, built here or exported."""

from __future__ import annotations

from keyword import iskeyword, kwlist
from typing import Any

INPUT = "input"
"""The name of the network's input in `inputs`."""

ALLOWED = (
    "letters, digits and _, starting with a letter; no Python keyword, not `input`, no name that exported code uses"
)


def is_layer_name(name: str) -> bool:
    """Return whether a layer may have this name."""
    plain = name.isascii() and name.isidentifier() and not name.startswith("_")
    return plain and not iskeyword(name) and name != INPUT and name not in MODULE_ATTRIBUTES


def name_schema() -> dict[str, Any]:
    """Return the JSON Schema of the names that a layer may have."""
    return {
        "description": f"name of the layer: {ALLOWED}; its type with a number if left out",
        "type": "string",
        "pattern": "^[A-Za-z][A-Za-z0-9_]*$",
        "not": {"enum": sorted({INPUT, *kwlist, *MODULE_ATTRIBUTES})},
    }


# The attributes of an nn.Module and an nn.Sequential, and what exported code defines in addition.
MODULE_ATTRIBUTES = frozenset(
    [
        "T_destination",
        "add_module",
        "append",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extend",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "insert",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "pop",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "reset_parameters",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
    ]
)
