"""A form as a list of settings, to move from one to the next, edit the value of one, or find one.

`SettingPane` adds the lines below the list that explain the setting under the cursor, or show its error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from alexplore.core.formatting import cut
from alexplore.tui.form import Field, Form, Heading, Line
from alexplore.tui.messages import ChoiceRequested
from alexplore.tui.named_keys import editing_keys, typing_key
from alexplore.tui.widgets.cursor_list import CursorList

LABEL_LEFT = 2  # cells before a label
ARROWS = 2  # cells on each side of a value, for the arrows that step it
VALUE_CELLS = (10, 26)  # the narrowest and widest column of values
NOTE_CELLS = 12  # a note with less room is not shown
NOTES_CELLS = 24  # for which the column of values becomes narrower; a longer value takes the room of its note
TYPED_CELLS = 4  # room for more characters while a value is edited


class SettingList(CursorList):
    """A list of settings in groups.

    Moving: up and down go to another setting, left and right step its value or fold a group; Enter starts editing the
    value, and so does a digit, or a character that no key is bound to. Editing: Enter and down end it if the value is
    allowed, Escape restores the old value. In a list made with `at_once=True` every character starts editing, and Enter
    ends the whole form.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "enter", "edit", tooltip="Edit the value; Enter ends it, Escape takes it back"),
        Binding("enter", "keep", "keep", tooltip="Keep what was changed, and close the form"),
        Binding("left", "step(-1)", "value before", show=False, tooltip="The choice or number before; fold a group"),
        Binding("right", "step(1)", "value after", show=False, tooltip="The next choice or number; unfold a group"),
        Binding("backspace", "reset", "reset", tooltip="Give the setting the value that the form began with"),
        Binding("ctrl+r", "reset_all", "reset all", tooltip="Give every setting the value that the form began with"),
        Binding("slash", "find", "find", tooltip="Find a setting by its name or by what it does"),
        Binding("escape", "cancel", "leave", show=False, tooltip="Leave the form"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "setting-list--label",
        "setting-list--value",
        "setting-list--changed",
        "setting-list--note",
        "setting-list--error",
        "setting-list--heading",
        "setting-list--typed",
        "setting-list--caret",
        "table--cursor",
    }
    FILTERED = False  # a setting is found by other words than those of its line
    DEFAULT_CSS = """
    SettingList {
        width: 1fr;
        height: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        .setting-list--label, .setting-list--value { color: $foreground; }
        .setting-list--changed { color: $careful; text-style: bold; }
        .setting-list--note { color: $faint; }
        .setting-list--error { color: $bad; text-style: bold; }
        .setting-list--heading { color: $foreground; text-style: bold; }
        .setting-list--typed { background: $background; color: $foreground; text-style: underline; }
        .setting-list--caret { background: $background; color: $foreground; text-style: reverse; }
    }
    """

    @dataclass
    class Event(Message):
        """Something happened to a form; `name` is the field that it is about, "" for several."""

        source: SettingList
        name: str

        @property
        def control(self) -> SettingList:
            """The list, for `@on(…, "#id")`."""
            return self.source

    class Changed(Event):
        """A value has changed; posted at every keystroke."""

    class Committed(Event):
        """Enter ended the editing of a value; in a list made with `at_once=True`, of the form."""

    class Cancelled(Event):
        """Escape was pressed while moving."""

    class Opened(Event):
        """Enter was pressed on a field that `opens` a dialog."""

    class Explained(Event):
        """The explanation of the field under the cursor has changed."""

    def __init__(self, *, at_once: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.form: Form | None = None
        self._at_once = at_once
        self._lines: list[Line] = []
        self._label_width = self._value_width = 0

    # What the list shows

    def show(self, form: Form) -> None:
        """Show a form, with the cursor on its current field."""
        self.form = form
        self.show_form()

    def show_form(self) -> None:
        """Show the form again, after something other than this list has changed it."""
        if self.form is None:
            return
        form = self.form
        self._lines = form.lines
        fields = [field for field in form.fields if form.is_used(field)]
        self._label_width = max((cell_len(field.title) for field in fields), default=0) + 2
        narrowest, widest = VALUE_CELLS
        longest = max((cell_len(field.text or field.placeholder) for field in fields), default=0)
        self._value_width = max(narrowest, min(widest, longest))
        at = next((index for index, line in enumerate(self._lines) if line is form.current), self.cursor)
        self.show_lines()
        if at < len(self._lines):
            self.cursor = at
        self._explain()

    @property
    def line_count(self) -> int:
        """The number of lines."""
        return len(self._lines)

    @property
    def line(self) -> Line | None:
        """The line under the cursor."""
        return self._lines[self.cursor] if self.cursor < len(self._lines) else None

    @property
    def field(self) -> Field | None:
        """The field under the cursor, None on a heading."""
        return self.line if isinstance(self.line, Field) else None

    @property
    def editing(self) -> bool:
        """Whether a value is being edited."""
        return self.form is not None and self.form.entry is not None

    @property
    def finding(self) -> bool:
        """Whether a setting is being searched for."""
        return self.form is not None and self.form.search is not None

    def copied_text(self) -> str:
        """Return the text to copy: the value under the cursor."""
        return self.field.text if self.field else ""

    @property
    def selected_text(self) -> str:
        """The value that is being edited, while all of it is selected."""
        entry = self.form.entry if self.form else None
        return entry.selected_text if entry else ""

    # Drawing

    def line_strip(self, index: int, selected: bool, width: int) -> Strip:
        """Return a setting or the heading of a group."""
        line = self._lines[index]
        base = self.style() + self.style("table--cursor") if selected else self.style()
        if isinstance(line, Heading):
            segments = self._heading(line.group, base, width)
        else:
            segments = self._setting(line, base, selected, width)
        return Strip(segments).adjust_cell_length(width, base)

    def _accent(self, name: str, base: Style) -> Style:
        """Return a style in the colour and weight of a component class, on the line's own background."""
        accent = self.style(f"setting-list--{name}")
        if base is not self.style():
            return base if name in ("label", "value", "note", "heading") else base + Style(bold=accent.bold)
        return base + Style(color=accent.color, bold=accent.bold)

    def _heading(self, group: str, base: Style, width: int) -> list[Segment]:
        assert self.form is not None
        members = self.form.members(group)
        folded = group in self.form.folded
        title = f"{'▸' if folded else '▾'} {group}".ljust(LABEL_LEFT + self._label_width + ARROWS)
        segments = [Segment(title, self._accent("heading", base))]
        if folded:
            changed = sum(field.changed for field in members)
            wrong = sum(bool(self.form.error_of(field)) for field in members)
            counts = f"{wrong} not allowed · " * bool(wrong) + f"{changed} changed · " * bool(changed)
            kind = "error" if wrong else "changed"
            segments.append(Segment(counts, self._accent(kind, base)))
            values = " · ".join(f"{field.title} {field.text or '–'}" for field in members)
            room = width - cell_len(title) - len(counts) - 1
            segments.append(Segment(cut(values, room), self._accent("note", base)))
        return segments

    def _setting(self, field: Field, base: Style, selected: bool, width: int) -> list[Segment]:
        assert self.form is not None
        error = self.form.error_of(field)
        kind = "error" if error else "changed" if field.changed else "value"
        label = cut(field.title, self._label_width).ljust(self._label_width)
        segments = [
            Segment(" " * LABEL_LEFT, base),
            Segment(label, self._accent("error" if error else "label", base)),
        ]
        room = width - LABEL_LEFT - self._label_width - 2 * ARROWS
        column = max(VALUE_CELLS[0], min(self._value_width, room - NOTES_CELLS))
        if selected and self.editing:
            cells = min(room, max(column, cell_len(field.text) + TYPED_CELLS))
            segments += [Segment(" " * ARROWS, base), *self._typed(field, cells), Segment(" " * ARROWS, base)]
        else:
            text = field.text or field.placeholder
            cells = min(room, max(column, cell_len(text)))
            arrows = bool(field.kind.choices) or (selected and field.stepped(1) is not None)
            shown = _cut_start(text, cells) if field.opens else cut(text, cells)
            left, right = ("◂ ", " ▸") if arrows else ("  ", "  ")
            style = self._accent(kind if field.text else "note", base)
            segments += [
                Segment(left, self._accent("note", base)),
                Segment(shown, style),
                Segment(right, self._accent("note", base)),
                Segment(" " * (cells - cell_len(shown)), base),
            ]
        left_over = width - sum(cell_len(segment.text) for segment in segments) - 1
        if left_over >= NOTE_CELLS:
            note = f"✗ {error.removeprefix(f'{field.name}: ')}" if error else self._note(field)
            segments.append(Segment(cut(f" {note}", left_over), self._accent("error" if error else "note", base)))
        return segments

    def _note(self, field: Field) -> str:
        was = f"was {field.before or NOT_SET_SHORT}" if field.changed else ""
        meaning = field.note or (field.doc if field.doc != field.title else "")
        return " · ".join(filter(None, (was, meaning)))

    def _typed(self, field: Field, cells: int) -> list[Segment]:
        """Return the text being typed with its caret; only the part around it if the text is longer than `cells`."""
        entry = self.form.entry if self.form else None
        assert entry is not None
        typed, caret = self.style("setting-list--typed"), self.style("setting-list--caret")
        if entry.selected:
            return [Segment(cut(entry.text, cells), caret), Segment(" " * (cells - len(entry.text)), typed)]
        first = max(0, entry.caret - cells + 1)
        ghost = field.completion[len(entry.text) :] if entry.caret == len(entry.text) else ""
        shown = (entry.text + ghost)[first : first + cells].ljust(cells)
        at = entry.caret - first
        return [Segment(shown[:at], typed), Segment(shown[at : at + 1], caret), Segment(shown[at + 1 :], typed)]

    # Moving

    def watch_cursor(self, before: int, cursor: int) -> None:
        """Make the field under the cursor the form's current one."""
        if self.form is not None and self.field is not None:
            self.form.position = self.form.index(self.field.name)
        super().watch_cursor(before, cursor)
        self._explain()
        self.refresh_bindings()  # digits are typed into some settings, and are keys of the app on others

    def _explain(self) -> None:
        self.post_message(self.Explained(self, self.field.name if self.field else ""))

    def select(self, name: str) -> None:
        """Move the cursor to the field called `name`."""
        if self.form is not None:
            self._leave_entry()
            self.form.search = None
            self.form.go_to(name)
            self.show_form()

    def action_enter(self) -> None:
        """Edit the value, open its dialog, or fold a group."""
        if isinstance(self.line, Heading):
            self._fold(self.line.group not in (self.form.folded if self.form else ()))
        elif self.field is not None and self.field.opens:
            self.post_message(self.Opened(self, self.field.name))
        elif self.field is not None:
            self._edit()

    def action_keep(self) -> None:
        """End the form."""
        self.post_message(self.Committed(self, ""))

    def action_choose(self) -> None:
        """Do the same as Enter, but never end the form: a double click edits."""
        if self._at_once and self.field is not None:
            self._edit()
        else:
            self.action_enter()

    def action_step(self, step: int) -> None:
        """Step the value, or fold a group."""
        if isinstance(self.line, Heading):
            self._fold(step < 0)
        elif self.form is not None and self.form.step(step):
            self._changed()

    def _fold(self, folded: bool) -> None:
        if self.form is not None and isinstance(self.line, Heading):
            heading = self.line
            self.form.fold(heading.group, folded)
            self._lines = self.form.lines
            self.show_lines()
            self.cursor = self._lines.index(heading)

    def action_reset(self) -> None:
        """Give the setting under the cursor, or those of the group, the value that the form began with."""
        if self.form is None or self.line is None:
            return
        line = self.line
        if self.form.reset(self.form.members(line.group) if isinstance(line, Heading) else [line]):
            self._changed()

    def action_reset_all(self) -> None:
        """Give every setting the value that the form began with."""
        if self.form is not None:
            self.form.reset(self.form.fields)
            self._changed("")

    def action_cancel(self) -> None:
        """Report that Escape was pressed."""
        self.post_message(self.Cancelled(self, ""))

    def _changed(self, name: str | None = None) -> None:
        """Show the new values, and report them."""
        if self.form is not None:
            self.show_form()
            self.post_message(self.Changed(self, self.form.current.name if name is None else name))

    # Editing a value

    def _edit(self) -> None:
        if self.form is not None:
            self.form.edit()
            self._refresh_line()
            self._explain()

    def _refresh_line(self) -> None:
        self.refresh_at(self.cursor)
        self.refresh_bindings()

    def _leave_entry(self) -> None:
        """End editing; a value that is not allowed is kept and marked as wrong."""
        if self.form is not None and self.form.entry is not None:
            self.form.entry = None
            self._refresh_line()
            self._explain()

    def end_edit(self) -> bool:
        """End the editing of a value; return False, and keep editing, if it is not allowed."""
        return not self.editing or self._accept()

    def on_blur(self) -> None:
        """End editing when another pane gets the focus."""
        self._leave_entry()

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        """Return whether a key is typed into the list, so that the footer and the help do not show its binding."""
        if character is None or not character.isprintable():
            return False
        if self.editing or self.finding or self._takes_digit(character):
            return True
        return self._at_once and self.field is not None and character != " "

    def _takes_digit(self, character: str) -> bool:
        """Return whether a character is a digit, and the setting one that is typed and not chosen."""
        return character.isdecimal() and self.field is not None and not (self.field.kind.choices or self.field.opens)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible; none is while a value is edited or a setting is searched for."""
        if self.editing or self.finding:
            return False
        if action == "enter":
            return not self._at_once or self.field is None
        if action == "keep":
            return self._at_once and self.field is not None
        if action in ("reset", "reset_all", "find"):
            return not self._at_once
        return super().check_action(action, parameters)

    def typing_keys(self) -> Mapping[str, Binding]:
        """Return the bindings of keys while a value is edited or a setting is searched for."""
        if self.finding:
            return {
                "enter": typing_key("take", "Go to the setting under the cursor", show=True),
                "escape": typing_key("leave", "Show every setting again", show=True),
                "down": typing_key("down", "Go to the setting after"),
                "up": typing_key("up", "Go to the setting before"),
                **editing_keys(),
            }
        if not self.editing or self.form is None or self.form.entry is None:
            return {}
        entry, field = self.form.entry, self.form.current
        keys = {
            "enter": typing_key("keep", "Keep the value" + " and close the form" * self._at_once, show=True),
            "escape": typing_key("take back", "Take back what was typed", show=True),
            "down": typing_key("next", "Keep the value and go to the next setting", show=True),
            "up": typing_key("before", "Keep the value and go to the setting before"),
            **editing_keys(),
        }
        if entry.selected and field.stepped(1) is not None:
            keys["left"] = typing_key("value before", "Take the choice or number before")
            keys["right"] = typing_key("next value", "Take the next choice or number")
        if field.completion and entry.caret == len(entry.text):
            keys["tab"] = keys["right"] = typing_key("complete", "Complete what was typed", show=True)
        return keys

    def on_key(self, event: events.Key) -> None:
        """Pass a key to the value being edited or to the search, or start editing with it."""
        if self.form is None:
            return
        if self.form.entry is not None:
            handled = self._edit_key(event)
        elif self.form.search is not None:
            handled = self._find_key(event)
        else:
            handled = self._begins(event)
        if handled:
            event.stop()
            event.prevent_default()

    def _begins(self, event: events.Key) -> bool:
        """Start a search, or start editing: with a character that is no key, with a digit, or by deleting the text."""
        character = event.character
        if character == "/" and not self._at_once:  # its binding would come after the keys that follow at once
            self.action_find()
            return True
        clears = self._at_once and event.key in ("backspace", "delete")
        typed = character is not None and event.is_printable and character != " "
        if self.field is None or not (clears or typed):
            return False
        if not self._at_once and self._is_bound(event.key) and not self._takes_digit(character or ""):
            return False
        self._edit()
        return self._edit_key(event)

    def _is_bound(self, key: str) -> bool:
        return key in self.screen.active_bindings

    def _edit_key(self, event: events.Key) -> bool:
        form = self.form
        assert form is not None
        assert form.entry is not None
        entry = form.entry
        match event.key:
            case "escape":
                if form.take_back():
                    self._changed()
                else:
                    self.show_form()
                self.refresh_bindings()
            case "enter" | "down" | "up":
                if self._accept() and event.key == "enter":
                    self.post_message(self.Committed(self, "" if self._at_once else form.current.name))
                elif not self.editing:
                    self.action_move(1 if event.key == "down" else -1)
            case "left" | "right" if entry.selected and form.current.stepped(1) is not None:
                if form.step(1 if event.key == "right" else -1):
                    entry.selected = True
                    self._changed()
            case "tab" | "right" if form.current.completion and entry.caret == len(entry.text):
                entry.put(form.current.completion)
                self._typed_in()
            case key if entry.press(key):
                self._typed_in()
            case _ if event.is_printable and event.character is not None:
                entry.insert(event.character)
                self._typed_in()
            case _:
                return False
        return True

    def _accept(self) -> bool:
        form = self.form
        assert form is not None
        accepted = form.accept()
        if accepted:
            self._changed()
        else:
            self.app.bell()
            self._refresh_line()
            self._explain()
        self.refresh_bindings()
        return accepted

    def _typed_in(self) -> None:
        form = self.form
        assert form is not None
        self._refresh_line()
        if form.take_entry():
            self._explain()
            self.post_message(self.Changed(self, form.current.name))

    def on_paste(self, event: events.Paste) -> None:
        """Insert text from the clipboard of the terminal."""
        event.stop()
        if self.form is None or not event.text:
            return
        text = event.text.splitlines()[0]
        if self.form.search is not None:
            self.form.search.insert(text)
            self._found()
        elif self.field is not None:
            if self.form.entry is None:
                self._edit()
            assert self.form.entry is not None
            self.form.entry.insert(text)
            self._typed_in()

    # Finding a setting

    def action_find(self) -> None:
        """Start a search: the list shows the settings that contain the words being typed."""
        if self.form is not None:
            self.form.find()
            self._found()

    def _found(self) -> None:
        if self.form is None:
            return
        self._lines = self.form.lines
        self.show_lines()
        self.cursor = 0
        self.watch_cursor(0, 0)
        self.refresh_bindings()

    def _find_key(self, event: events.Key) -> bool:
        form = self.form
        assert form is not None
        assert form.search is not None
        match event.key:
            case "escape" | "enter":
                form.end_search(found=event.key == "enter" and self.field is not None)
                self.show_form()
            case "up" | "down":
                self.action_move(1 if event.key == "down" else -1)
            case key if form.search.press(key):
                self._found()
            case _ if event.is_printable and event.character is not None:
                form.search.insert(event.character)
                self._found()
            case _:
                return False
        self.refresh_bindings()
        return True

    # The mouse

    def on_click(self, event: events.Click) -> None:
        """Step the value whose arrow was clicked, list the choices of a value that was clicked, or fold a group.

        A click elsewhere moves the cursor.
        """
        event.prevent_default()  # of the lists, which would choose the line again
        offset = event.get_content_offset(self)
        index = None if offset is None else self._index_at(offset.y)
        if offset is None or index is None:
            return
        line = self._lines[index]
        if self.editing and index != self.cursor:
            self._leave_entry()
        had_cursor = index == self.cursor
        self.cursor = index
        if isinstance(line, Heading):
            self._fold(line.group not in (self.form.folded if self.form else ()))
            return
        left = LABEL_LEFT + self._label_width
        right = left + ARROWS + max(1, min(self.size.width - left - 2 * ARROWS, cell_len(line.text)))
        arrows = (bool(line.kind.choices) or had_cursor) and not self.editing
        if arrows and left <= offset.x < left + ARROWS:
            self.action_step(-1)
        elif arrows and right <= offset.x < right + ARROWS:
            self.action_step(1)
        elif line.kind.choices and not self.editing and left + ARROWS <= offset.x < right:
            answer = partial(self._choose, line)
            self.post_message(ChoiceRequested(line.title, line.kind.choices, line.text, answer))
        elif event.chain == 2:
            self.action_choose()

    def _choose(self, field: Field, chosen: str) -> None:
        """Set the value chosen from the list that a click opened."""
        if chosen != field.text and self.form is not None and self.form.current is field:
            self.form.put(field, chosen)
            self._changed()


NOT_SET_SHORT = "–"


def _cut_start(text: str, width: int) -> str:
    """Return the end of a path that has at most `width` characters."""
    return text if len(text) <= width else f"…{text[len(text) - width + 1 :]}" if width > 0 else ""
