"""What panels are made of: a widget for every field of a dataclass, and buttons whose errors are seen.

Widgets mirror what is on disk and own nothing: running the cell again, another notebook or a new kernel shows the same.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import ipywidgets as W

from workbench.notebook.screen import markup, message_line
from workbench.settings import SETTINGS, Setting, Settings

WIDE = W.Layout(width="auto")
LABEL = {"description_width": "12em"}


def control(field: Setting, value: Any) -> W.Widget:
    """The widget of one setting: its choices or range, its name, its help where the mouse rests."""
    unit = f" ({field.unit})" if field.unit else ""
    about: dict[str, Any] = {
        "description": field.name + unit,
        "tooltip": bounds(field),
        "style": LABEL,
        "layout": W.Layout(width="26em"),
    }
    if field.choices:
        return W.Dropdown(options=list(field.choices), value=value, **about)
    if field.kind is bool:
        return W.Checkbox(value=value, indent=False, **about)
    if field.kind is int and field.low is not None and field.high is not None:
        return W.BoundedIntText(value=value, min=int(field.low), max=int(field.high), **about)
    # Everything else as text, which `parse` checks: a float field would round what was typed.
    return W.Text(value=str(value), continuous_update=False, **about)


def bounds(field: Setting) -> str:
    """What a person needs to know of a setting: its explanation, range and unit."""
    if field.low is None:
        return field.doc
    return f"{field.doc}; between {field.low:g} and {field.high:g} {field.unit}".rstrip()


class Form:
    """Widgets for all settings, in groups; ``value()`` checks and returns them."""

    def __init__(self, settings: Settings, groups: Iterable[str] | None = None):
        self.fields = SETTINGS
        values = settings.to_dict()
        self.controls = {name: control(f, values[name]) for name, f in SETTINGS.items()}
        self.groups: dict[str, list[str]] = {}
        for name, f in SETTINGS.items():
            self.groups.setdefault(f.group, []).append(name)

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

    def value(self) -> Settings:
        """The settings that the widgets show; UserError names the one that is out of its range."""
        return Settings.of(**{name: widget.value for name, widget in self.controls.items()})

    def set(self, settings: Settings) -> None:
        """Show other settings."""
        values = settings.to_dict()
        for name, widget in self.controls.items():
            value = values[name]
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
