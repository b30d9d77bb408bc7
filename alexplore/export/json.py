"""A preset and all of its numbers as one JSON object."""

from __future__ import annotations

import json

from alexplore.export.report import shapes_dict
from alexplore.network.analysis import Analysis
from alexplore.presets.preset import Preset
from alexplore.presets.published import check_published
from alexplore.presets.text import preset_values


def export(preset: Preset, analysis: Analysis) -> str:
    """Return the preset under its file's own keys, and all numbers under `analysis`.

    `published` has ours, whether it is confirmed, and the reason beside each number.
    """
    shapes = shapes_dict(preset, analysis)
    checked = [one.to_dict() for one in check_published(preset.published, analysis)]
    values = {
        "preset": preset.name,
        **preset_values(preset),
        "published": checked,
        "analysis": {"batch": shapes["batch"], "layers": shapes["layers"], "totals": shapes["totals"]},
    }
    return json.dumps(values, indent=1) + "\n"
