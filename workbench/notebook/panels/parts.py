"""Parts of panels: a widget for every setting, and buttons whose errors are shown.

Widgets mirror what is on disk and hold no state: running the cell again, another notebook or a new
kernel shows the same.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import ipywidgets as W
from markupsafe import Markup

from workbench.notebook.links import file_html
from workbench.notebook.screen import NOTEBOOK_PACKAGE, message_html, message_line
from workbench.reports.render import render
from workbench.settings import SETTINGS, Setting, Settings, UserError, Value

WIDE = W.Layout(width="auto")
RUN_LIST_WIDTH = "46em"  # of lists of runs, whose names end with what tells them apart
# Shared by many widgets: what changes its layout needs one of its own.
PANEL_CLASS = "workbench-panel"  # of what panel.html keeps inside the page
WRAPPED = W.Layout(flex_flow="row wrap")

Callback = Callable[[], None]
ButtonStyle = Literal["", "success", "info", "warning", "danger"]


class Shown(Protocol):
    """Something that displays itself below a panel's widgets."""

    def show(self) -> object:
        """Display it in the current cell."""


def display_panel(widget: W.Widget, below: Iterable[Shown]) -> None:
    """Display a panel's widgets in the current cell, and below them what shows itself.

    In a narrow window they wrap, and none runs over the edge.
    """
    from IPython.display import display

    widget.add_class(PANEL_CLASS)
    display(W.VBox([W.HTML(render(NOTEBOOK_PACKAGE, "panel.html")), widget]))
    for part in below:
        part.show()


def control(field: Setting, value: Value) -> W.Widget:
    """Return the widget of one setting with choices or range, name, and help as a tooltip."""
    unit = f" ({field.unit})" if field.unit else ""
    common = {
        "value": value,
        "description": field.name + unit,
        "tooltip": bounds(field),
        "style": {"description_width": "12em"},
        "layout": W.Layout(width="26em"),
    }
    if field.choices:
        return W.Dropdown(options=list(field.choices), **common)
    if field.kind is bool:
        return W.Checkbox(indent=False, **common)
    if field.kind is int and field.low is not None and field.high is not None:
        return W.BoundedIntText(min=int(field.low), max=int(field.high), **common)

    # Everything else is text, which `Settings` parses: a float widget would round what was typed.
    return W.Text(continuous_update=False, **{**common, "value": str(value)})


def bounds(field: Setting) -> str:
    """Return a setting's explanation with its range and unit."""
    if field.low is None:
        return field.doc
    return f"{field.doc}; between {field.low:g} and {field.high:g} {field.unit}".rstrip()


def help_text(field: Setting) -> W.HTML:
    """Return a setting's explanation as a widget in small print."""
    return W.HTML(help_html(field))


def help_html(field: Setting, mistake: str = "") -> str:
    """Return a setting's explanation, or what is wrong with the value that was typed."""
    return render(NOTEBOOK_PACKAGE, "help.html", text=bounds(field), mistake=mistake)


def check_when_typed(field: Setting, typed: W.Widget, help: W.HTML) -> None:
    """Show beside a field of text what is wrong with its value, as soon as it is typed."""

    def check(_: object) -> None:
        try:
            field.parse(typed.value)
        except UserError as mistake:
            help.value = help_html(field, str(mistake))
        else:
            help.value = help_html(field)

    typed.observe(check, "value")


class Form:
    """Widgets for all settings, in groups; ``controls`` are by flat name."""

    def __init__(self, settings: Settings):
        values = settings.to_dict()
        self.controls = {name: control(field, values[name]) for name, field in SETTINGS.items()}
        self.widget = self._folded()

    def _folded(self) -> W.Accordion:
        """Return one tab per group of settings, folded away."""
        rows: dict[str, list[W.Widget]] = {}
        for name, field in SETTINGS.items():
            help = help_text(field)
            if isinstance(self.controls[name], W.Text):
                check_when_typed(field, self.controls[name], help)
            row = W.HBox([self.controls[name], help])
            rows.setdefault(field.group, []).append(row)
        tabs = W.Tab(children=[W.VBox(group) for group in rows.values()], titles=list(rows))
        return W.Accordion(children=[tabs], titles=["settings"], selected_index=None, layout=WIDE)

    def value(self) -> Settings:
        """Return the settings that the widgets show; UserError names one that is out of range."""
        return Settings.of(**{name: widget.value for name, widget in self.controls.items()})

    def set(self, settings: Settings) -> None:
        """Show other settings."""
        values = settings.to_dict()
        for name, widget in self.controls.items():
            value = values[name]
            widget.value = str(value) if isinstance(widget, W.Text) else value


class Status:
    """A line for messages and a short log, which also show what callbacks raise."""

    def __init__(self) -> None:
        self.line = message_line()
        self.log = W.HTML()
        self.widget = W.VBox([self.line, self.log])

    def show_message(self, text: str, alarm: bool = False) -> None:
        """Show a message, red if it is an alarm; markup in it is shown as text."""
        self.line.value = message_html(text, alarm)

    def show_link(self, text: str, path: Path) -> None:
        """Show a file that was written, as a link that the browser can open."""
        self.line.value = render(
            NOTEBOOK_PACKAGE, "link.html", text=text, link=Markup(file_html(path))
        )

    def show_log(self, text: str) -> None:
        """Show the last lines of some output."""
        self.log.value = render(NOTEBOOK_PACKAGE, "log.html", text=text) if text else ""

    def guard(self, act: Callback, clear: bool = True) -> Callable[..., None]:
        """Return ``act`` as a callback of a widget; what it raises is shown here, and raised.

        ``clear``: the message before goes; a thread that goes on with what it says keeps it.
        """

        def callback(*_: object) -> None:
            if clear:
                self.show_message("")
            try:
                act()
            except Exception as problem:
                self.show_message(f"{type(problem).__name__}: {problem}", alarm=True)
                raise

        return callback


def button(
    text: str, act: Callback, status: Status, style: ButtonStyle = "", help: str = ""
) -> W.Button:
    """Return a button that calls ``act``; errors appear in ``status``."""
    made = W.Button(
        description=text, button_style=style, tooltip=help or text, layout=W.Layout(width="auto")
    )
    made.add_class("workbench-" + text.lower().replace(" ", "-"))
    made.on_click(status.guard(act))
    return made


def scrolled_html(parts: Sequence[Markup]) -> str:
    """Return pieces of HTML below each other in a place that scrolls; nothing if all are empty."""
    shown = [part for part in parts if part]
    return render(NOTEBOOK_PACKAGE, "scrolled.html", parts=shown) if shown else ""


def set_options(widget: W.Dropdown, options: Iterable[tuple[str, str]], value: str | None) -> None:
    """Give a dropdown other options, (label, value); it keeps its value, or takes ``value``."""
    before = widget.value
    widget.options = list(options)
    values = [each for _, each in widget.options]
    if before in values:
        widget.value = before
    elif value in values:
        widget.value = value
