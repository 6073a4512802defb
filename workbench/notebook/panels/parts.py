"""What panels are made of: a widget for every field of a dataclass, and buttons whose errors are seen.

Widgets mirror what is on disk and own nothing: running the cell again, another notebook or a new kernel shows the same.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any, Literal, get_args, get_origin

import ipywidgets as W

from workbench.notebook.screen import markup, message_line
from workbench.settings import parse

WIDE = W.Layout(width="auto")
LABEL = {"description_width": "12em"}


def control(field: dataclasses.Field, value: Any) -> W.Widget:
    """The widget of one field: its choices or range, its name, its help where the mouse rests."""
    meta, kind = field.metadata, field.type
    unit = f" ({meta['unit']})" if meta.get("unit") else ""
    about: dict[str, Any] = {
        "description": field.name + unit,
        "tooltip": bounds(field),
        "style": LABEL,
        "layout": W.Layout(width="26em"),
    }
    if get_origin(kind) is Literal:
        return W.Dropdown(options=list(get_args(kind)), value=value, **about)
    if kind is bool:
        return W.Checkbox(value=value, indent=False, **about)
    if kind is int and meta.get("low") is not None and meta.get("high") is not None:
        return W.BoundedIntText(value=value, min=meta["low"], max=meta["high"], **about)
    # Everything else as text, which `parse` checks: a float field would round what was typed.
    return W.Text(value=str(value), continuous_update=False, **about)


def bounds(field: dataclasses.Field) -> str:
    """What a person needs to know of a field: its explanation, range and unit."""
    meta = field.metadata
    low, high = meta.get("low"), meta.get("high")
    return meta["doc"] + (
        f"; between {low:g} and {high:g} {meta['unit']}".rstrip() if low is not None else ""
    )


class Form:
    """Widgets for the fields of a frozen dataclass, in groups; ``value()`` checks and returns an instance."""

    def __init__(self, instance: Any, groups: Iterable[str] | None = None):
        self.kind = type(instance)
        self.fields = {f.name: f for f in dataclasses.fields(instance)}
        self.controls = {
            name: control(f, getattr(instance, name)) for name, f in self.fields.items()
        }
        self.groups: dict[str, list[str]] = {}
        for name, f in self.fields.items():
            self.groups.setdefault(f.metadata["group"], []).append(name)
        self.widget = self._folded(list(groups or self.groups))

    def _folded(self, groups: Sequence[str]) -> W.Accordion:
        """One tab per group, folded away until somebody wants to look."""
        boxes = []
        for group in groups:
            rows = [
                W.HBox(
                    [self.controls[n], W.HTML(f"<small>{escape(bounds(self.fields[n]))}</small>")]
                )
                for n in self.groups[group]
            ]
            boxes.append(W.VBox(rows))
        return W.Accordion(
            children=[W.Tab(children=boxes, titles=groups)],
            titles=["settings"],
            selected_index=None,
            layout=WIDE,
        )

    def value(self) -> Any:
        """What the widgets say; UserError names the field that is out of its range."""
        return self.kind(
            **{
                name: parse(self.fields[name], widget.value)
                for name, widget in self.controls.items()
            }
        )

    def set(self, instance: Any) -> None:
        """Show another instance."""
        for name, widget in self.controls.items():
            value = getattr(instance, name)
            widget.value = str(value) if isinstance(widget, W.Text) else value

    def observe(self, act: Callable[[], None]) -> None:
        """Call ``act`` whenever a widget changes."""
        for widget in self.controls.values():
            widget.observe(lambda _: act(), "value")


class Status:
    """One line and a short log, where everything that goes wrong in a callback is seen."""

    def __init__(self) -> None:
        self.line, self.log = message_line(), W.HTML()
        self.widget = W.VBox([self.line, self.log])

    def say(self, words: str, alarm: bool = False) -> None:
        """A line; markup in it stays text."""
        self.line.value = markup(words, alarm)

    def show_log(self, text: str) -> None:
        """The last lines of some output."""
        style = "max-height:8em;overflow:auto;font-size:11px;line-height:1.3"
        self.log.value = f'<pre style="{style}">{escape(text)}</pre>' if text else ""

    def guarded(self, act: Callable[[], None]) -> Callable[..., None]:
        """``act`` as a callback; what it raises is shown here, since a notebook shows it nowhere."""

        def callback(*_: Any) -> None:
            self.say("")
            try:
                act()
            except Exception as problem:
                self.say(f"{type(problem).__name__}: {problem}", alarm=True)
                raise

        return callback


def button(
    text: str, act: Callable[[], None], status: Status, style: str = "", help: str = ""
) -> W.Button:
    """A button; ``style`` success, warning, danger or nothing."""
    made = W.Button(
        description=text, button_style=style, tooltip=help or text, layout=W.Layout(width="auto")
    )
    made.add_class("workbench-" + text.lower().replace(" ", "-").replace("…", ""))
    made.on_click(status.guarded(act))
    return made


def table_widget(html: str) -> W.HTML:
    """A table that scrolls inside its place."""
    return W.HTML(f'<div style="max-height:24em;overflow:auto">{html}</div>')
