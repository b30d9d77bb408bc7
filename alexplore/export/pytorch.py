"""A network as PyTorch code that stands alone.

Layers one after another are a `torch.nn.Sequential`; a network with branches is a `torch.nn.Module` with a `forward`.
The keys of the `state_dict` are the layers' names, as in a run's checkpoints, which therefore load into it.
"""

from __future__ import annotations

from collections.abc import Iterator

from alexplore.export.python_code import assignment, call, call_arguments, class_name, heading, helpers_text, variables
from alexplore.network.analysis import Analysis
from alexplore.network.calls import Call
from alexplore.network.graph import Network
from alexplore.network.layers.flatten import Flatten
from alexplore.network.layers.init import Init
from alexplore.network.row import Row
from alexplore.network.torch_calls import torch_call
from alexplore.presets.preset import Preset

Modules = list[tuple[str, Call]]
"""Modules by name, in order: a layer's own, after one that pads its input where PyTorch's layer can't."""


def export(preset: Preset, analysis: Analysis) -> str:
    """Return the text of a module with one class."""
    network, rows = preset.network, analysis.rows
    modules = [_modules(network, row) for row in rows]
    calls = [made for of_row in modules for _, made in of_row]
    helpers = helpers_text(calls)
    name = class_name(preset, helpers)
    if network.is_chain:
        definition = _sequential(preset, name, rows, modules)
    else:
        definition = _module(preset, name, rows, modules, helpers)
    return (
        heading(preset, rows, "pytorch")
        + _imports(helpers, network)
        + helpers
        + definition
        + _demonstration(preset, name)
    )


def _imports(helpers: str, network: Network) -> str:
    functional = "import torch.nn.functional as F\n" if "F." in helpers else ""
    tensor = "from torch import Tensor, nn\n" if helpers or not network.is_chain else "from torch import nn\n"
    ordered = "from collections import OrderedDict\n\n" if network.is_chain else ""
    return f"\n{ordered}import torch\n{functional}{tensor}\n"


def _modules(network: Network, row: Row) -> Modules:
    """Return a layer's modules; none for one that is an expression."""
    layer, made = row.layer, torch_call(row, network)
    if made is None:
        return []
    padding = layer.torch_padding(row.inputs)
    pad = [] if padding is None else [(network.free_name(f"{layer.name}_pad"), padding)]
    return [*pad, (layer.name, made)]


def _sequential(preset: Preset, name: str, rows: tuple[Row, ...], modules: list[Modules]) -> str:
    """Return a class that is an `nn.Sequential` of named layers."""
    entries = ["".join(_entry(made, 12, f'"{name}": ', ",") for name, made in one) for one in modules]
    flat = next((i for i, row in enumerate(rows) if isinstance(row.layer, Flatten)), None)
    parts = {"layers": entries} if not flat else {"features": entries[:flat], "classifier": entries[flat:]}
    text = _class_head(preset, name, "nn.Sequential")
    for part_name, part in parts.items():
        text += f"        {part_name} = {{\n{''.join(part)}        }}\n"
    text += f"        super().__init__(OrderedDict({' | '.join(parts)}))\n"
    return text + _class_tail(rows)


def _module(preset: Preset, name: str, rows: tuple[Row, ...], modules: list[Modules], helpers: str) -> str:
    """Return a class with a `forward`."""
    text = _class_head(preset, name, "nn.Module") + "        super().__init__()\n"
    text += "".join(_entry(made, 8, f"self.{module} = ") for one in modules for module, made in one)
    text += _class_tail(rows)
    text += "\n    def forward(self, images: Tensor) -> Tensor:\n"
    names = variables(preset.network, "images", helpers)
    for row, of_row in zip(rows, modules, strict=True):
        read, output = [names[source] for source in row.sources], names[row.index - 1]
        expression = row.layer.torch_expression(read)
        if expression is not None:
            text += assignment(output, expression, 8)
        value = read[0]
        for module, _ in of_row:
            text += call(f"self.{module}", [value], 8, f"{output} = ")
            value = output
    return text + f"        return {names[len(rows) - 1]}\n"


def _entry(made: Call, indent: int, before: str, after: str = "") -> str:
    """Return a module's lines, with what is to be known about it above."""
    comment = f"{' ' * indent}# {made.comment}\n" if made.comment else ""
    return comment + call(made.name, call_arguments(made), indent, before, after)


def _class_head(preset: Preset, name: str, base: str) -> str:
    text = f"\nclass {name}({base}):\n"
    text += f'    """Reads (N, {", ".join(map(str, preset.network.input))}) images."""\n\n'
    return text + "    def __init__(self):\n"


def _class_tail(rows: tuple[Row, ...]) -> str:
    """Return initial weights and what is frozen."""
    text = ""
    initial, frozen = "".join(_initial(rows)), [row for row in rows if not row.layer.trains]
    if initial:
        text += "        self.reset_parameters()\n"
    for row in frozen:
        text += f"        self.{row.layer.name}.requires_grad_(False)\n"
    if initial:
        text += f"\n    def reset_parameters(self):\n{initial}"
    keeping = [row.layer.name for row in frozen if row.parameters.buffers]
    if keeping:
        text += "\n    def train(self, mode=True):\n        super().train(mode)\n"
        text += "".join(f"        self.{name}.eval()  # frozen\n" for name in keeping)
        text += "        return self\n"
    return text


def _demonstration(preset: Preset, name: str) -> str:
    size = ", ".join(map(str, preset.network.input))
    return f"""

if __name__ == "__main__":
    model = {name}().eval()
    print(model)
    print(f"{{sum(p.numel() for p in model.parameters()):,}} parameters")
    print(tuple(model(torch.zeros(1, {size})).shape))
"""


def _initial(rows: tuple[Row, ...]) -> Iterator[str]:
    """Yield statements that draw initial weights, layers with the same initialisation together."""
    alike: dict[tuple[Init, bool], list[str]] = {}
    for row in rows:
        init = row.layer.initial_weights
        if init is not None and init != Init():
            biased = getattr(row.layer, "bias", False) and init.bias is not None
            alike.setdefault((init, biased), []).append(f"self.{row.layer.name}")
    for (init, biased), layers in alike.items():
        if len(layers) == 1:
            indent, layer = " " * 8, layers[0]
        else:
            yield call("", layers, 8, "for layer in ", ":")
            indent, layer = " " * 12, "layer"
        if init.std is not None:
            yield f"{indent}nn.init.normal_({layer}.weight, std={init.std!r})\n"
        if biased:
            yield f"{indent}nn.init.constant_({layer}.bias, {init.bias!r})\n"
