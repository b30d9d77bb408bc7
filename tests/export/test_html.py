"""The HTML page: well formed, complete, self-contained, escaped, and never larger than it may be."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given

from alexplore.export import export_preset
from alexplore.export.graph_picture import graph_picture, place_layers
from alexplore.export.html import LARGEST_BYTES
from alexplore.network.analysis import analyse
from alexplore.network.graph import IMAGE, Network, read_network
from alexplore.presets.library import load_preset, shipped_names
from alexplore.presets.preset import Preset
from tests.support.examples import examples
from tests.support.networks import networks

UNCLOSED = {"meta", "dt", "dd", "td", "th", "tr"}  # HTML closes them itself


class Page(HTMLParser):
    """Collects the texts of elements, and checks that each that must be closed is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self.texts.setdefault(tag, []).append("")
        if tag not in UNCLOSED:
            self.open.append(tag)
        self.last = tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts[self.last][-1] += data


@pytest.mark.parametrize("name", shipped_names())
def test_presets(name: str) -> None:
    preset = load_preset(name)
    text, analysis = export_preset(preset, "html"), analyse(preset.network)
    page = Page(text)
    assert len(text.encode()) < LARGEST_BYTES
    assert page.texts["h1"] == [preset.title]
    cells = " ".join(page.texts["td"])
    for row in analysis.rows:
        assert f"{row.params:,}" in cells and row.layer.name in cells
    assert any(f"{analysis.totals.params:,}" in text for text in page.texts["dd"])
    assert len(page.texts["rect"]) == len(analysis.rows) + 1
    assert len(page.texts["path"]) == sum(len(set(read)) for read in preset.network.sources)
    assert len(page.texts["summary"]) > sum(row.params > 0 for row in analysis.rows)
    assert not {key for key, _ in page.attributes} & {"src", "href", "style", "onclick", "onload"}
    assert not re.search(r"url\(|@import|<script|<link|<img|<iframe", text)


def test_texts_are_escaped() -> None:
    hostile = "<script>alert('&')</script>\x1b[2J"
    network = read_network({"input": [1, 4, 4], "layers": [{"name": "flat", "type": "flatten"}]})
    text = export_preset(Preset("x", network, title=hostile, source=hostile), "html")
    assert "<script" not in text and "\x1b" not in text
    assert text.count("&lt;script&gt;alert(&#x27;&amp;&#x27;)") == 3
    Page(text)


def test_a_broken_network_has_the_reason() -> None:
    layers = [{"name": "conv1", "type": "conv2d", "out_channels": 6, "kernel_size": 50}, {"name": "r", "type": "relu"}]
    preset = Preset("broken", read_network({"input": [1, 8, 8], "layers": layers}))
    page = Page(export_preset(preset, "html"))
    assert any("larger than the input's 8" in text for text in page.texts["td"])


@pytest.mark.parametrize(("count", "arithmetic"), [(260, True), (500, False)])
def test_pages_of_large_networks_lose_the_arithmetic_before_the_picture(count: int, arithmetic: bool) -> None:
    layers = [
        {"name": f"layer_with_a_name_{i}", "type": "conv2d", "out_channels": 64, "kernel_size": 3, "padding": 1}
        if i % 3 == 0 else {"name": f"layer_{i}", "type": "relu"}
        for i in range(count)
    ]  # fmt: skip
    preset = Preset("large", read_network({"input": [3, 64, 64], "layers": layers}))
    text = export_preset(preset, "html")
    assert len(text.encode()) < LARGEST_BYTES
    assert ("<details>" in text) == arithmetic
    assert "--explain" in text and "<svg" in text and f"layer_{count - 1}" in text


@examples(60)
@given(network=networks(working=True))
def test_no_two_blocks_share_a_place_and_edges_lead_right(network: Network) -> None:
    places = place_layers(network)
    assert len(set(places.values())) == len(network.layers) + 1
    for position, read in enumerate(network.sources):
        assert all(places[source][0] < places[position][0] for source in read)
    ElementTree.fromstring(graph_picture(analyse(network)))


def test_branches_have_lanes_of_their_own() -> None:
    places = place_layers(load_preset("googlenet").network)
    network = load_preset("googlenet").network
    first = network.index("maxpool2")
    readers = network.readers[first]
    assert len({places[reader][1] for reader in readers}) == len(readers) == 4
    chain = place_layers(load_preset("paper").network)
    assert [chain[position] for position in range(IMAGE, 3)] == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert all(one[0] < other[0] for one, other in pairwise(chain.values()))
