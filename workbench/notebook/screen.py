"""One place in a notebook that shows a picture and a line of text, from whichever thread, without flicker.

The picture is an image widget whose bytes are replaced. The output also holds a plain PNG; ``freeze`` leaves nothing
but that, so that a saved notebook shows it without a kernel; ``thaw`` brings the widget back.
"""

import base64
import html
import io
from typing import Any

import numpy as np
from matplotlib.image import imsave

VIEW = "application/vnd.jupyter.widget-view+json"


class Screen:
    """A picture of ``width`` x ``height`` pixels and a line below; without ipywidgets the picture is static.

    ``shown``: a widget to show in its place as long as there is a kernel; the picture is what a saved notebook keeps.
    """

    def __init__(self, width: int, height: int, shown: Any = None):
        self.png = b""
        self.image, self.line = _widgets(width, height)
        self.shown = shown or self.image
        self._handles: list[Any] = []

    def put(self, png: bytes) -> None:
        """Show another picture."""
        self.png = png
        if self.image is not None:
            self.image.value = png

    def say(self, words: str, alarm: bool = False) -> None:
        """Show a line of text, red if it is an alarm; markup in it stays text."""
        if self.line is not None:
            self.line.value = markup(words, alarm)

    def show(self, live: bool = True) -> None:
        """Display it in the cell that runs now."""
        from IPython.display import display

        if self.image is None or not live:
            display(self.static(), raw=True)
            return
        display(self.line)
        self._handles.append(display(self._live(), raw=True, display_id=True))

    def freeze(self) -> None:
        """Leave a plain picture wherever it was shown."""
        self._update(self.static())

    def thaw(self) -> None:
        """Bring the widget back where it was frozen."""
        self._update(self._live())

    def _update(self, data: dict[str, Any]) -> None:
        for handle in self._handles:
            if handle is not None:  # outside a notebook there is none
                handle.update(data, raw=True)

    def _live(self) -> dict[str, Any]:
        bundle = self.shown._repr_mimebundle_()
        return {VIEW: (bundle[0] if isinstance(bundle, tuple) else bundle)[VIEW], **self.static()}

    def static(self) -> dict[str, str]:
        """The picture as a notebook keeps it."""
        picture = {"image/png": base64.b64encode(self.png).decode()} if self.png else {}
        return {**picture, "text/plain": "a picture of the workbench"}


def _widgets(width: int, height: int) -> tuple[Any, Any]:
    try:
        import ipywidgets
    except ImportError:
        return None, None
    # A place that changes its height makes the page jump: a blank picture takes it before there is a real one. A narrow
    # page makes pictures smaller, live and frozen alike; JupyterLab stands the frozen one on 2 pixels.
    image = ipywidgets.Image(
        value=blank(width, height), format="png", width=str(width), height=str(height)
    )
    image.layout.display, image.layout.margin = "block", "0 0 2px 0"
    image.add_class("workbench-live")
    return image, message_line()


def message_line() -> Any:
    """A widget for a message: two lines high whether empty or full, longer messages scroll inside it."""
    import ipywidgets

    place = ipywidgets.Layout(height="40px", overflow="auto")
    return ipywidgets.HTML(markup(""), layout=place).add_class("workbench-message")


def blank(width: int, height: int) -> bytes:
    """A white picture as PNG."""
    out = io.BytesIO()
    imsave(out, np.full((max(1, height), max(1, width), 3), 255, np.uint8), format="png")
    return out.getvalue()


def markup(words: str, alarm: bool = False) -> str:
    """A message as HTML, red if it is an alarm; markup in it stays text."""
    style = f"line-height:18px;color:{'#b00020' if alarm else '#333333'}"
    return f'<div style="{style}">{html.escape(words)}</div>'
