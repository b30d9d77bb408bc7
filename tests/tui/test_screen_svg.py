"""The SVG writer: text where the cells are, one style a name, and well-formed whatever is shown."""

from __future__ import annotations

from xml.etree import ElementTree

from rich.text import Text
from textual.app import App, ComposeResult
from textual.widgets import Static

from docs.screen_svg import CELL_HEIGHT, CELL_WIDTH, screen_svg

SVG = "{http://www.w3.org/2000/svg}"


class TextApp(App[None]):
    """Shows a text at the top left."""

    def __init__(self, text: Text) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """The text."""
        yield Static(self._text)


async def drawn(text: Text, title: str = "") -> ElementTree.Element:
    app = TextApp(text)
    async with app.run_test(size=(20, 4)) as pilot:
        await pilot.pause()
        return ElementTree.fromstring(screen_svg(app, title))


async def test_runs_of_text_are_where_their_cells_are() -> None:
    root = await drawn(Text.assemble("ab  ", ("cd", "bold #ff0000"), "\n", ("  日本 & <é>", "#00ff00 on #000080")))
    texts = {element.text: element for element in root.iter(f"{SVG}text")}
    assert set(texts) == {"ab", "cd", "日本 & <é>"}
    assert texts["cd"].attrib["x"] == str(4 * CELL_WIDTH)
    assert texts["cd"].attrib["class"] == "c-ff0000-bold"
    wide = texts["日本 & <é>"]
    assert wide.attrib["x"] == str(2 * CELL_WIDTH)
    assert wide.attrib["textLength"] == str(10 * CELL_WIDTH)
    assert CELL_HEIGHT < int(wide.attrib["y"]) < 2 * CELL_HEIGHT
    boxes = [element.attrib for element in root.iter(f"{SVG}rect") if element.attrib.get("fill") == "#000080"]
    assert [(box["x"], box["y"], box["width"]) for box in boxes] == [("0", str(CELL_HEIGHT), str(12 * CELL_WIDTH))]


async def test_styles_are_named_after_what_they_are() -> None:
    root = await drawn(Text.assemble(("a", "#ff0000 italic underline"), ("b", "#0000ff on #ffff00 reverse")))
    style = "".join(root.find(f"{SVG}style").itertext())  # type: ignore[union-attr]
    assert ".c-ff0000-italic-underline { fill: #ff0000; font-style: italic; text-decoration: underline }" in style
    assert ".c-ffff00 { fill: #ffff00 }" in style


async def test_a_title_makes_room_for_itself() -> None:
    with_title, without = await drawn(Text("a"), "a & b"), await drawn(Text("a"))
    heights = [int(root.attrib["viewBox"].split()[3]) for root in (with_title, without)]
    assert heights[0] > heights[1]
    assert "a & b" in [element.text for element in with_title.iter(f"{SVG}text")]
