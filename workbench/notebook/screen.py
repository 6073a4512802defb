"""A picture and a line of text in a notebook, which any thread may change without flicker.

The picture is an image widget whose bytes are replaced. The output of the cell also holds a plain
PNG. `Screen.freeze` leaves only that, so that a saved notebook shows it without a kernel;
`Screen.thaw` brings the widget back.
"""

import base64
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.image import imsave

from workbench.figures.dark import DARK_STYLE, picture_class, picture_html
from workbench.reports.render import render

if TYPE_CHECKING:
    from IPython.display import DisplayHandle
    from ipywidgets import HTML, Image, Widget

NOTEBOOK_PACKAGE = "workbench.notebook"  # whose templates make the HTML of widgets
ROOM_OF_WIDGETS = 12.5  # pixels that JupyterLab leaves around a widget, and not around a picture
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

MimeBundle = dict[str, Any]  # contents by MIME type; that of a widget is JSON


class ScreenWidgets(NamedTuple):
    """The widgets of a screen: ``head`` is the line with the rule for dark themes."""

    image: "Image"
    line: "HTML"
    head: "Widget"


class Screen:
    """A picture of ``width`` x ``height`` pixels and a line of text.

    Without ipywidgets the picture is static.

    ``shown``: a widget to show in place of the picture while there is a kernel. A saved notebook
    keeps the picture. ``image`` and ``line`` are the widgets, or None without ipywidgets; ``png``
    is the picture. ``keeps_colours``: whether a dark theme leaves the picture as it is.
    """

    def __init__(
        self,
        width: int,
        height: int,
        shown: "Widget | None" = None,
        keeps_colours: bool = False,
    ):
        self.png = b""
        self.keeps_colours = keeps_colours
        widgets = _make_widgets(width, height, keeps_colours)
        self.image = widgets.image if widgets else None
        self.line = widgets.line if widgets else None
        self._head = widgets.head if widgets else None
        self.shown = shown or self.image
        self._handles: list[DisplayHandle] = []

    def put(self, png: bytes) -> None:
        """Show another picture."""
        self.png = png
        if self.image is not None:
            self.image.value = png

    def show_message(self, text: str, alarm: bool = False) -> None:
        """Show a line of text, red if it is an alarm; markup in it is shown as text."""
        if self.line is not None:
            self.line.value = message_html(text, alarm)

    def show(self, live: bool = True) -> None:
        """Display the screen in the current cell; only its picture if it is not ``live``."""
        from IPython.display import display

        if self.image is None or not live:
            display(self.static_bundle(), raw=True)
            return

        display(self._head)
        handle = display(self._live_bundle(), raw=True, display_id=True)
        if handle is not None:  # outside a notebook there is none
            self._handles.append(handle)

    def freeze(self) -> None:
        """Leave a plain picture wherever the screen was displayed."""
        self._update(self.static_bundle())

    def thaw(self) -> None:
        """Bring the widget back wherever it was frozen."""
        self._update(self._live_bundle())

    def static_bundle(self) -> MimeBundle:
        """Return the picture as a saved notebook keeps it."""
        bundle = {"text/plain": "a picture of the workbench"}
        if self.png:
            png = base64.b64encode(self.png).decode()
            html = picture_html(self.png, self.keeps_colours, ROOM_OF_WIDGETS)
            bundle = {"text/html": html, "image/png": png, **bundle}
        return bundle

    def _live_bundle(self) -> MimeBundle:
        static = self.static_bundle()
        if self.shown is None:
            return static
        static.pop("text/html", None)  # a widget makes its own picture dark
        bundle = self.shown._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        return {WIDGET_VIEW: data[WIDGET_VIEW], **static}

    def _update(self, bundle: MimeBundle) -> None:
        for handle in self._handles:
            handle.update(bundle, raw=True)


def _make_widgets(width: int, height: int, keeps_colours: bool) -> ScreenWidgets | None:
    try:
        import ipywidgets
    except ImportError:
        return None

    image = picture_widget(width, height, keeps_colours)
    image.add_class("workbench-live")
    rule = ipywidgets.HTML(DARK_STYLE, layout=ipywidgets.Layout(height="0", margin="0"))
    line = message_line()
    return ScreenWidgets(image, line, ipywidgets.VBox([rule, line]))


def picture_widget(width: int, height: int, keeps_colours: bool = False) -> "Image":
    """Return a widget for a picture of ``width`` x ``height`` pixels, at first a blank one.

    A place that changes its height makes the page jump. A narrow page makes pictures smaller, live
    and frozen alike. JupyterLab puts a frozen picture on 2 pixels, hence the margin.
    """
    import ipywidgets

    image = ipywidgets.Image(
        value=blank_png(width, height), format="png", width=str(width), height=str(height)
    )
    image.layout.display = "block"
    image.layout.margin = "0 0 2px 0"
    image.add_class(picture_class(keeps_colours))
    return image


def message_line() -> "HTML":
    """Return a widget for a message, always two lines high; longer messages scroll."""
    import ipywidgets

    layout = ipywidgets.Layout(height="40px", overflow="auto")
    return ipywidgets.HTML(message_html(""), layout=layout).add_class("workbench-message")


def message_html(text: str, alarm: bool = False) -> str:
    """Return a message as HTML, red if it is an alarm; markup in it is shown as text."""
    return render(NOTEBOOK_PACKAGE, "message.html", text=text, alarm=alarm)


def blank_png(width: int, height: int) -> bytes:
    """Return a white picture of at least one pixel as PNG."""
    pixels = np.full((max(1, height), max(1, width), 3), 255, np.uint8)
    out = io.BytesIO()
    imsave(out, pixels, format="png")
    return out.getvalue()
