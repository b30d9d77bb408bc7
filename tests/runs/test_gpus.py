"""GPUs as the drivers report them."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.runs import gpus
from alexplore.runs.gpus import gpu_names, has_nvidia_driver, visible_gpus


@pytest.mark.parametrize(
    ("visible", "found"), [("0,2", ("0", "2")), ("", ()), ("-1", ()), ("GPU-8932f937", ("GPU-8932f937",))]
)
def test_gpus_are_those_that_are_visible(visible: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == found


def test_the_files_of_nvidias_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "NVIDIA", tmp_path)
    assert (has_nvidia_driver(), visible_gpus()) == (False, ())
    (tmp_path / "version").write_text("NVRM version: 570")
    for bus, model in (("0000:01:00.0", "Model: \t NVIDIA H100 80GB HBM3\n"), ("0000:02:00.0", "IRQ: 3\n")):
        (tmp_path / "gpus" / bus).mkdir(parents=True)
        (tmp_path / "gpus" / bus / "information").write_text(model)
    assert (has_nvidia_driver(), visible_gpus()) == (True, ("0", "1"))
    assert list(gpu_names())[:2] == ["NVIDIA H100 80GB HBM3", "NVIDIA GPU"]
