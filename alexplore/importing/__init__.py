"""Networks from PyTorch: a module is traced, and what it calls becomes the layers of a preset.

    source  ──▶ module ──▶ exported program ──▶ operations ──▶ layers ──▶ preset
    (loading)   (tracing)                       (operations)   (mapping)

A separate process does this (`alexplore.importing.command`); `alexplore.presets.sources` starts it.
"""
