"""A network with an opaque layer in the app: shown, and not edited."""

from __future__ import annotations

from pathlib import Path

from alexplore.network.graph import read_network
from alexplore.presets.preset import Preset
from alexplore.tui.app import ExploreApp
from tests.support.screens import screen_text, until

OPAQUE = {
    "name": "turned", "type": "opaque", "operator": "permute", "recorded_inputs": [[3, 8, 6]],
    "recorded_output": [8, 6, 3],
}  # fmt: skip
NETWORK = {"input": [3, 8, 6], "layers": [OPAQUE, {"type": "flatten"}, {"type": "linear", "out_features": 10}]}


async def test_an_opaque_layer_is_not_edited(tmp_path: Path) -> None:
    app = ExploreApp(Preset("imported", read_network(NETWORK)), tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: "turned (opaque) can't be edited" in screen_text(app), "the reason")
