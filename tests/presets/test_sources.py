"""Sources: the names of their presets, and the answer of the process that imports them."""

from __future__ import annotations

import json

import pytest

from alexplore.core.processes import CommandError
from alexplore.presets.preset import PresetError
from alexplore.presets.sources import read_answer, source_name
from alexplore.presets.writer import check_free, own_path

NAMES = {
    "net.py:Net": "Net",
    "net.py:nets.Net(width=0.5)": "Net",
    "package.module:make": "make",
    "torchvision:alexnet": "alexnet",
    "squeezenet1.1-7.onnx": "squeezenet1.1-7",
    "dir/my-net.onnx": "my-net",
    "net.v2.pt2": "net.v2",
    "my net (2).onnx": "my_net__2_",
    "-net.onnx": "_net",
    "größe.pt2": "größe",
}


@pytest.mark.parametrize("source", NAMES)
def test_the_name_of_an_imported_preset(source: str) -> None:
    assert source_name(source) == NAMES[source]
    assert own_path(source_name(source)).stem == NAMES[source]


def test_a_source_with_the_name_of_a_shipped_preset_needs_another() -> None:
    with pytest.raises(PresetError) as told:
        check_free(source_name("paper.onnx"))
    assert str(told.value) == ("paper is the name of a shipped preset; give another --name, or a file with --output")


@pytest.mark.parametrize("printed", ["", "{", "[]", "{}", json.dumps({"preset": "", "name": "net"})])
def test_a_process_that_was_ended_gave_no_answer(printed: str) -> None:
    with pytest.raises(CommandError, match=r"net\.py:Net: the process that imports it gave no answer; it "):
        read_answer("net.py:Net", printed, 130, print)
