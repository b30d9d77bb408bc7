"""Read the weights in files of training scripts: the table of tensors in a file, whatever else the file contains.

Only tensors, numbers, texts and containers of these are unpickled. Anything else in a file, such as the arguments of
the script, is replaced by `LeftOut`, and no code of its class runs.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file
from torch import Tensor

from alexplore.core.regular_files import check_regular, read_json
from alexplore.core.settings import found_text
from alexplore.training.errors import CheckpointError, UnfitWeightsError

LEVELS = 2
"""The number of levels of a file's contents in which a table of tensors is searched for."""

USUAL_NAMES = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
"""Names under which scripts save a model's tensors; of several tables in a file the first of these counts."""

MOST_LISTED = 100
"""The most values of a list among which a table of tensors is searched for."""

OPTIMIZER = {"state", "param_groups"}
"""What the state of an optimizer of PyTorch contains."""

INDEX_SUFFIX = ".index.json"
UNREAD_GLOBAL = re.compile(r"Unsupported global: GLOBAL (\S+) was not an allowed global")

WRAPPER, COMPILED = "module", "_orig_mod"
"""The parts that `DataParallel` and `DistributedDataParallel`, and `torch.compile`, add to the names of a module."""

DTYPES = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool,
)  # fmt: skip
"""Number formats of weights that can be copied into a network, whose parameters are fp32."""

NO_TENSORS_ALONE = "contains other things than tensors; save the model's state_dict()"


class LeftOut:
    """Replaces an object that is not read: it accepts any arguments and state from a pickle, and keeps nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Return an instance, for any arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file, or of a file saved by PyTorch, by the names that the model has.

    In a file saved by PyTorch they are the table of tensors at the top, or the one at one or two levels below. An index
    of shards, such as model.safetensors.index.json, stands for the tensors of all its shards.

    Raises:
        CheckpointError: the file can't be read, has no such table, or several of which none has a usual name.
    """
    values = _read(path)
    if isinstance(values, LeftOut):  # a whole module
        raise UnfitWeightsError(f"{path}: {NO_TENSORS_ALONE}")
    return check_tensors(without_wrappers(_choose_table(values, path)), path)


def _read(path: Path) -> Any:
    if path.name.endswith(INDEX_SUFFIX):
        return _read_shards(path)
    try:
        check_regular(path)
        _check_start(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what would be needed to read other things
            return load_file(path) if path.suffix == ".safetensors" else _unpickle(path)
    except (CheckpointError, MemoryError):
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    except pickle.UnpicklingError:
        raise UnfitWeightsError(f"{path}: {NO_TENSORS_ALONE}") from None
    except Exception as error:  # a file of another kind raises anything
        raise CheckpointError(
            f"{path}: can't be read as weights ({type(error).__name__}): it is damaged, or neither .safetensors nor "
            "saved with torch.save"
        ) from None


def _read_shards(index: Path) -> dict[str, Tensor]:
    """Return the tensors of the shards that an index lists, in the order of the index.

    An index is JSON with a `weight_map`: the name of each tensor, and of the file beside the index that has it. Source:
    "Sharded checkpoints" of the documentation of Hugging Face's Transformers.

    Raises:
        CheckpointError: the index or a shard can't be read, or lacks a tensor.
    """
    listed = (read_json(index) or {}).get("weight_map")
    if not isinstance(listed, dict) or not all(map(_is_shard, listed.values())):
        raise UnfitWeightsError(f"{index}: has no weight_map with the name of a file beside it for each tensor")
    shards = {file: _read(index.with_name(file)) for file in dict.fromkeys(listed.values())}
    for name, file in listed.items():
        if not isinstance(shards[file], Mapping) or name not in shards[file]:
            raise CheckpointError(f"{index}: {file} has no {name}: the shards are not those of the index")
    return {name: shards[file][name] for name, file in listed.items()}


def _is_shard(file: Any) -> bool:
    return isinstance(file, str) and Path(file).name == file and not file.endswith(INDEX_SUFFIX)


def _check_start(path: Path) -> None:
    """Check that a file is not one of those that are often given in place of weights, by its first bytes.

    Raises:
        UnfitWeightsError: it contains no weights; the message says what it is.
        CheckpointError: it is damaged.
    """
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise UnfitWeightsError(f"{path}: is a pointer of Git LFS, not the file itself; get that with: git lfs pull")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UnfitWeightsError(f"{path}: is a web page, not weights; download the file itself")
    if not start.startswith(b"PK\3\4"):
        return
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: is damaged: its end is missing; copy or download it again")
    with zipfile.ZipFile(path) as archive:
        names = [name.rpartition("/")[2] for name in archive.namelist()]
    if "constants.pkl" in names:
        raise UnfitWeightsError(f"{path}: is a TorchScript module; save the model's state_dict()")
    if "data.pkl" not in names:
        raise UnfitWeightsError(
            f"{path}: is an archive that torch.save did not write; give the file of weights that is in it"
        )


def _unpickle(path: Path) -> Any:
    """Return the contents of a file saved by PyTorch, with `LeftOut` for each object that PyTorch would not read."""
    if zipfile.is_zipfile(path):
        return _load(path, torch.serialization.get_unsafe_globals_in_checkpoint(path), mapped=True)
    unread: list[str] = []
    while True:  # the format before PyTorch 1.6, in which PyTorch names only the first object that it would not read
        try:
            return _load(path, unread, mapped=False)
        except pickle.UnpicklingError as error:
            name = UNREAD_GLOBAL.search(str(error))
            if name is None or name[1] in unread:
                raise
            unread.append(name[1])


def _load(path: Path, unread: Sequence[str], *, mapped: bool) -> Any:
    with torch.serialization.safe_globals([(LeftOut, name) for name in unread]):
        return torch.load(path, "cpu", weights_only=True, mmap=mapped)


def _choose_table(values: Any, path: Path) -> dict[Any, Tensor]:
    """Return the table of tensors in the contents of a file.

    Raises:
        CheckpointError: there is none, or it is not clear which.
    """
    if isinstance(values, Mapping) and values.keys() == OPTIMIZER:
        raise UnfitWeightsError(
            f"{path}: is the state of an optimizer, without a model's weights; save its state_dict()"
        )
    found = dict(_tables(values)) or dict(_tables(values, mixed=True))
    if not found:
        raise UnfitWeightsError(f"{path}: contains no state_dict (a table of tensors by name)")
    if len(found) > 1:  # an optimizer's, or that of a generator of random numbers, has no layers
        found = {name: table for name, table in found.items() if _has_layers(table)} or found
    for usual in USUAL_NAMES:
        for name, table in found.items():
            if len(found) > 1 and name.rpartition(".")[2] == usual:
                return table
    if len(found) > 1:
        raise UnfitWeightsError(
            f"{path}: contains several tables of tensors ({', '.join(found)}): save the one that is wanted alone"
        )
    return next(iter(found.values()))


def _tables(
    values: Any, name: str = "", level: int = 0, *, mixed: bool = False
) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Yield the tables whose values are tensors, with their names; those in a table that is yielded are left out.

    `mixed` tables also hold other values: their tensors are those with a layer's name.
    """
    if isinstance(values, list | tuple):
        for place, value in enumerate(values[:MOST_LISTED] if level < LEVELS else ()):
            yield from _tables(value, f"{name}.{place}" if name else str(place), level + 1, mixed=mixed)
    if not isinstance(values, Mapping):
        return
    tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
    named = {key: value for key, value in tensors.items() if isinstance(key, str) and "." in key}
    if mixed and named:
        yield name, named
    elif tensors and len(tensors) == len(values):
        yield name, tensors
    elif level < LEVELS:
        for key, value in values.items():
            yield from _tables(value, f"{name}.{key}" if name else str(key), level + 1, mixed=mixed)


def _has_layers(table: Mapping[Any, Tensor]) -> bool:
    return any(isinstance(name, str) and name.endswith(("weight", "bias")) for name in table)


def without_wrappers(tensors: Mapping[Any, Tensor]) -> dict[Any, Tensor]:
    """Return the tensors under the names that they had before the model was compiled, or wrapped for several GPUs."""
    if not all(isinstance(name, str) for name in tensors):
        return dict(tensors)
    bare = {".".join(part for part in name.split(".") if part != COMPILED): name for name in tensors}
    while bare and all(name.startswith(f"{WRAPPER}.") and name.count(".") > 1 for name in bare if name != "n_averaged"):
        bare = {name.removeprefix(f"{WRAPPER}."): given for name, given in bare.items() if name != "n_averaged"}
    return {name: tensors[given] for name, given in bare.items()}


def check_tensors(tensors: dict[Any, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weight file, if they can be a network's.

    Raises:
        CheckpointError: one has no name, no values or no plain layout, or numbers in another format than `DTYPES`.
    """
    for name, tensor in tensors.items():
        dtype = str(tensor.dtype).removeprefix("torch.")
        if not isinstance(name, str):
            raise UnfitWeightsError(f"{path}: {found_text(name)} is no name of a tensor")
        if tensor.device.type == "meta":
            raise UnfitWeightsError(f"{path}: {name} has a shape, but no values: it was saved from the device `meta`")
        if tensor.layout != torch.strided or tensor.is_quantized:
            kind = "quantized" if tensor.is_quantized else "sparse"
            raise UnfitWeightsError(f"{path}: {name} is {kind}; save it as a plain tensor, in fp32, fp16 or bf16")
        if tensor.dtype not in DTYPES:
            raise UnfitWeightsError(f"{path}: {name} contains {dtype} numbers; save it in fp32, fp16 or bf16")
    return tensors
